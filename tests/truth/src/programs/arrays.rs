//! Passes over large arrays that compute next to nothing; and a series of passes that compute more and more.

use std::hint::black_box;

use bottleneck_runtime::{Dtype, Work, bottleneck};

use crate::data::{self, Pages};
use crate::oracle::{Oracle, Stall};
use crate::table::{Program, Set};
use crate::trial::{Denied, Trial, checksum};
use crate::widest::{madd, total, widest};

/// Side of a matrix of 64 MiB.
const SIDE: usize = 4096;
/// Values per row of the series: 1 KiB, so that 24 inputs stay in the first-level cache.
const COLS: usize = 256;

/// Hold-outs, and the series.
pub const PROGRAMS: &[Program] = &[
    Program::known(
        "H",
        "transpose",
        "memory",
        &["latency", "bandwidth", "tlb", "cache"],
        "each value that is read lies in another page",
        transposition,
    )
    .of(Set::HoldOut),
    Program::known(
        "H",
        "vector_sum",
        "memory",
        &["bandwidth"],
        "z = x + y over vectors beyond the caches",
        vector_sum,
    )
    .of(Set::HoldOut),
    series("sweep_1", batch::<1>),
    series("sweep_2", batch::<2>),
    series("sweep_4", batch::<4>),
    series("sweep_8", batch::<8>),
    series("sweep_12", batch::<12>),
    series("sweep_16", batch::<16>),
    series("sweep_24", batch::<24>),
];

const fn series(name: &'static str, run: fn(&Trial) -> Result<(), Denied>) -> Program {
    let truth =
        "so many products for each weight that streams in: its own oracle says how much is stall";
    Program::known("S", name, "memory", &[], truth, run)
        .or(&["compute", "mixed", "inconclusive"])
        .of(Set::Sweep)
}

fn transposition(trial: &Trial) -> Result<(), Denied> {
    let matrices = (data::beyond_caches(trial.size()) / 4 / (SIDE * SIDE)).max(2);
    let values = data::floats(matrices * SIDE * SIDE, trial.seed(), Pages::Usual);
    let mut out = data::floats(SIDE * SIDE, 1, Pages::Usual);
    trial.check(|| {
        let (side, again) = (64, SIDE * SIDE / (64 * 64) / 4);
        let mut few = vec![0.0; side * side];
        let near = |_| {
            for _ in 0..again {
                transpose(side, side, black_box(&values[..side * side]), black_box(&mut few));
            }
        };
        let far = |round| {
            let rows = SIDE / 4;
            let from = round % (4 * matrices) * rows * SIDE;
            transpose(rows, SIDE, &values[from..][..rows * SIDE], black_box(&mut out));
        };
        Oracle::memory(Stall::on_cpu(7, near, far))
    })?;
    trial.record(|pass| {
        let from = pass as usize % matrices * SIDE * SIDE;
        turn(trial, &values[from..][..SIDE * SIDE], &mut out);
        checksum(&out[..SIDE])
    });
    Ok(())
}

#[bottleneck(request)]
fn turn(trial: &Trial, values: &[f32], out: &mut [f32]) {
    trial.declare(|| Work::copy(4 * values.len()));
    transpose(SIDE, SIDE, values, out);
}

fn transpose(rows: usize, cols: usize, values: &[f32], out: &mut [f32]) {
    for (column, out) in out.chunks_exact_mut(rows).take(cols).enumerate() {
        for (row, out) in out.iter_mut().enumerate() {
            *out = values[row * cols + column];
        }
    }
}

fn vector_sum(trial: &Trial) -> Result<(), Denied> {
    const PART: usize = 4 << 20;
    const NEAR: usize = 8 << 10;
    let count = data::beyond_caches(trial.size()) / 4 / 2;
    let x = data::floats(count, trial.seed(), Pages::Usual);
    let y = data::floats(count, trial.seed() + 1, Pages::Usual);
    let mut z = data::floats(count, 1, Pages::Usual);
    trial.check(|| {
        let mut few = vec![0.0; NEAR];
        let near = |_| {
            for _ in 0..PART / NEAR {
                add(black_box(&x[..NEAR]), &y[..NEAR], black_box(&mut few));
            }
        };
        let far = |round| {
            let from = round % (count / PART) * PART;
            add(&x[from..][..PART], &y[from..][..PART], &mut z[from..][..PART]);
        };
        Oracle::memory(Stall::on_cpu(9, near, far))
    })?;
    trial.record(|_| {
        residual(trial, &x, &y, &mut z);
        checksum(&z[..SIDE])
    });
    Ok(())
}

#[bottleneck(request)]
fn residual(trial: &Trial, x: &[f32], y: &[f32], z: &mut [f32]) {
    let (flops, bytes) = (z.len() as f64, 12.0 * z.len() as f64);
    trial.declare(|| Work { flops, bytes, dtype: Dtype::F32 });
    add(x, y, z);
}

fn add(x: &[f32], y: &[f32], z: &mut [f32]) {
    for ((x, y), z) in x.iter().zip(y).zip(z) {
        *z = x + y;
    }
}

fn batch<const N: usize>(trial: &Trial) -> Result<(), Denied> {
    // A round of 16 MiB, and passes of 64 MiB, so that the slowest of the series still makes many.
    const ROUND: usize = 16 << 10;
    let rows = data::beyond_caches(trial.size()) / 4 / COLS;
    let weights = data::floats(rows * COLS, trial.seed(), Pages::Usual);
    let x = data::floats(N * COLS, 2, Pages::Usual);
    let mut y = vec![0.0; 4 * ROUND * N];
    trial.check(|| {
        let (few, rounds) = (64, rows / ROUND);
        let mut out = vec![0.0; ROUND * N];
        let mut near_out = vec![0.0; few * N];
        let near = |_| {
            for _ in 0..ROUND / few {
                products::<N>(black_box(&weights[..few * COLS]), &x, black_box(&mut near_out));
            }
        };
        let far = |round: usize| {
            let from = (round + 1) % rounds * ROUND * COLS;
            products::<N>(&weights[from..][..ROUND * COLS], &x, black_box(&mut out));
        };
        Oracle::shown(Stall::on_cpu(15, near, far))
    })?;
    let parts = rows / (4 * ROUND);
    trial.record(|pass| {
        let from = pass as usize % parts * 4 * ROUND * COLS;
        multiply::<N>(trial, &weights[from..][..4 * ROUND * COLS], &x, &mut y);
        checksum(&y)
    });
    Ok(())
}

#[bottleneck(request)]
fn multiply<const N: usize>(trial: &Trial, weights: &[f32], x: &[f32], y: &mut [f32]) {
    trial.declare(|| Work::matmul(weights.len() / COLS, N, COLS, Dtype::F32));
    products::<N>(weights, x, y);
}

widest! {
    fn products[const N: usize](weights: &[f32], x: &[f32], y: &mut [f32]) {
        for (row, out) in weights.as_chunks::<COLS>().0.iter().zip(y.chunks_exact_mut(N)) {
            match N {
                1 => few::<FUSED, 1>(row, x, out),
                2 => few::<FUSED, 2>(row, x, out),
                _ => {
                    for (x, out) in x.chunks_exact(4 * COLS).zip(out.chunks_exact_mut(4)) {
                        few::<FUSED, 4>(row, x, out);
                    }
                }
            }
        }
    }
}

/// As many products at a time as have their sums in registers.
#[inline(always)]
fn few<const FUSED: bool, const N: usize>(row: &[f32; COLS], x: &[f32], out: &mut [f32]) {
    let x = &x.as_chunks::<COLS>().0[..N];
    let mut sums = [[0.0f32; 16]; N];
    for (at, weights) in row.as_chunks::<16>().0.iter().enumerate() {
        for (sums, x) in sums.iter_mut().zip(x) {
            for ((sum, weight), x) in sums.iter_mut().zip(weights).zip(&x[16 * at..]) {
                *sum = madd::<FUSED>(*weight, *x, *sum);
            }
        }
    }
    for (out, sums) in out.iter_mut().zip(sums) {
        *out = total(sums);
    }
}

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
    series("sweep_1", powers::<1>),
    series("sweep_2", powers::<2>),
    series("sweep_3", powers::<3>),
    series("sweep_4", powers::<4>),
    series("sweep_6", powers::<6>),
    series("sweep_8", powers::<8>),
    series("sweep_12", powers::<12>),
];

const fn series(name: &'static str, run: fn(&Trial) -> Result<(), Denied>) -> Program {
    let truth =
        "so many products for each value that streams in: its own oracle says how much is stall";
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

fn powers<const N: usize>(trial: &Trial) -> Result<(), Denied> {
    // A round of 16 MiB, and passes of 64 MiB, so that the slowest of the series still makes many.
    const ROUND: usize = 4 << 20;
    const NEAR: usize = 4 << 10;
    let rounds = data::beyond_caches(trial.size()) / 4 / ROUND;
    let values = data::floats(rounds * ROUND, trial.seed(), Pages::Usual);
    trial.check(|| {
        let near = |_| {
            for _ in 0..ROUND / NEAR {
                black_box(polynomials::<N>(black_box(&values[..NEAR])));
            }
        };
        let far = |round: usize| {
            let from = (round + 1) % rounds * ROUND;
            black_box(polynomials::<N>(&values[from..][..ROUND]));
        };
        Oracle::shown(Stall::on_cpu(15, near, far))
    })?;
    trial.record(|pass| {
        let from = pass as usize % (rounds / 4) * 4 * ROUND;
        u64::from(evaluate::<N>(trial, &values[from..][..4 * ROUND]).to_bits())
    });
    Ok(())
}

#[bottleneck(request)]
fn evaluate<const N: usize>(trial: &Trial, values: &[f32]) -> f32 {
    let (flops, bytes) = (2.0 * N as f64 * values.len() as f64, 4.0 * values.len() as f64);
    trial.declare(|| Work { flops, bytes, dtype: Dtype::F32 });
    polynomials::<N>(values)
}

widest! {
    /// The sum of a polynomial of degree `N` at every value, by Horner's rule. The processor has many vectors in work at a
    /// time, so that it does not matter how long one multiplication takes.
    fn polynomials[const N: usize](values: &[f32]) -> f32 {
        let mut sums = [0.0f32; 16];
        for values in values.as_chunks::<16>().0 {
            let mut results = *values;
            for _ in 1..N {
                for (result, value) in results.iter_mut().zip(values) {
                    *result = madd::<FUSED>(*result, *value, 0.5);
                }
            }
            for (sum, result) in sums.iter_mut().zip(results) {
                *sum += result;
            }
        }
        total(sums)
    }
}

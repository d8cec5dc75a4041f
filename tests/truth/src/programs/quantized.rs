//! Weights in few bits: whether reading or unpacking them takes the time depends on the code, not on their size.

use std::hint::black_box;

use bottleneck_runtime::{Dtype, Work, bottleneck};

use crate::data::{self, Pages};
use crate::oracle::{Oracle, Stall};
use crate::table::{Program, Set};
use crate::trial::{Denied, Trial, checksum};
use crate::widest::{from_bf16, madd, to_bf16, total, widest};

/// Values per row.
const COLS: usize = 4096;
/// Rows of a layer of 4-bit weights: 32 MiB.
const INT4_ROWS: usize = 16 << 10;
/// Weights that share a scale: one block is 16 bytes of weights.
const BLOCK: usize = 32;
/// Rows of the oracle's near data.
const NEAR_ROWS: usize = 64;

/// Programs 5 and 6, and a hold-out.
pub const PROGRAMS: &[Program] = &[
    Program::known(
        "5",
        "gemv_int4",
        "compute",
        &["scalar", "underused"],
        "each weight is looked up, scaled and summed by itself: memory could deliver ten times as many",
        int4,
    ),
    Program::known(
        "6",
        "gemv_int8",
        "memory",
        &["bandwidth"],
        "a matrix of bytes beyond the caches, with vectors; nearer to the edge than floats",
        int8,
    )
    .or(&["mixed"]),
    Program::known(
        "H",
        "gemv_bf16",
        "memory",
        &["bandwidth"],
        "a matrix of half floats beyond the caches, with vectors",
        bf16,
    )
    .or(&["mixed"])
    .of(Set::HoldOut),
];

/// The levels of 4-bit normal floats.
const LEVELS: [f32; 16] = [
    -1.0, -0.696, -0.525, -0.395, -0.284, -0.185, -0.091, 0.0, 0.080, 0.161, 0.246, 0.338, 0.441,
    0.563, 0.723, 1.0,
];

fn int4(trial: &Trial) -> Result<(), Denied> {
    const ROW: usize = COLS / 2;
    let layer = INT4_ROWS * ROW;
    let layers = (data::beyond_caches(trial.size()) / layer).max(2);
    let packed = data::bytes(layers * layer, trial.seed(), Pages::Usual);
    let scales = data::floats(INT4_ROWS * COLS / BLOCK, 3, Pages::Usual);
    let x = data::floats(COLS, 2, Pages::Usual);
    let mut y = vec![0.0; INT4_ROWS];
    trial.check(|| {
        let rows = 2048;
        let mut out = vec![0.0; rows];
        let near = |_| {
            for _ in 0..rows / NEAR_ROWS {
                let packed = black_box(&packed[..NEAR_ROWS * ROW]);
                unpack_and_multiply(packed, &scales, &x, black_box(&mut [0.0; NEAR_ROWS]));
            }
        };
        let far = |round| {
            let packed = &packed[(round + 1) % layers * layer..][..rows * ROW];
            unpack_and_multiply(packed, &scales, &x, black_box(&mut out));
        };
        Oracle::compute(Stall::on_cpu(7, near, far))
    })?;
    trial.record(|pass| {
        let packed = &packed[pass as usize % layers * layer..][..layer];
        decode_int4(trial, packed, &scales, &x, &mut y);
        checksum(&y)
    });
    Ok(())
}

#[bottleneck(request)]
fn decode_int4(trial: &Trial, packed: &[u8], scales: &[f32], x: &[f32], y: &mut [f32]) {
    trial.declare(|| {
        let bytes = (packed.len() + 4 * scales.len()) as f64;
        Work { flops: 4.0 * packed.len() as f64, bytes, dtype: Dtype::F32 }
    });
    unpack_and_multiply(packed, scales, x, y);
}

fn unpack_and_multiply(packed: &[u8], scales: &[f32], x: &[f32], y: &mut [f32]) {
    let rows = packed.chunks_exact(COLS / 2).zip(scales.chunks_exact(COLS / BLOCK));
    for ((row, scales), out) in rows.zip(y) {
        let mut sum = 0.0;
        let blocks = row.as_chunks::<{ BLOCK / 2 }>().0.iter().zip(x.as_chunks::<BLOCK>().0);
        for ((block, x), scale) in blocks.zip(scales) {
            let mut part = 0.0;
            for (byte, x) in block.iter().zip(x.as_chunks::<2>().0) {
                let low = LEVELS[usize::from(byte & 15)] * scale + 0.01;
                let high = LEVELS[usize::from(byte >> 4)] * scale + 0.01;
                part += low * x[0];
                part += high * x[1];
            }
            sum += part;
        }
        *out = sum;
    }
}

fn int8(trial: &Trial) -> Result<(), Denied> {
    let rows = data::beyond_caches(trial.size()) / COLS;
    let bytes = data::bytes(rows * COLS, trial.seed(), Pages::Usual);
    let x: Vec<i8> = (0..COLS).map(|at| i8::try_from(at % 127).unwrap_or(0)).collect();
    let mut y = vec![0; rows];
    trial.check(|| {
        let stall = stall_of_rows(&bytes, COLS, |weights, y: &mut [i32]| dots_i8(weights, &x, y));
        Oracle::shown(stall).and(0.4 <= stall.share(), || {
            format!("memory stalls take {:.2} of the time, at least 0.4 expected", stall.share())
        })
    })?;
    trial.record(|_| {
        decode_int8(trial, &bytes, &x, &mut y);
        y.iter().fold(0, |sum: u64, value| sum.rotate_left(5) ^ u64::from(value.cast_unsigned()))
    });
    Ok(())
}

#[bottleneck(request)]
fn decode_int8(trial: &Trial, weights: &[u8], x: &[i8], y: &mut [i32]) {
    trial.declare(|| Work::matvec(y.len(), COLS, Dtype::I8));
    dots_i8(weights, x, y);
}

widest! {
    fn dots_i8[](weights: &[u8], x: &[i8], y: &mut [i32]) {
        for (row, out) in weights.chunks_exact(x.len()).zip(y) {
            *out = row
                .iter()
                .zip(x)
                .map(|(weight, x)| i32::from(weight.cast_signed()) * i32::from(*x))
                .sum();
        }
    }
}

fn bf16(trial: &Trial) -> Result<(), Denied> {
    let rows = data::beyond_caches(trial.size()) / 2 / COLS;
    let tile: Vec<u16> = data::floats(rows.min(257) * COLS, trial.seed(), Pages::Usual)
        .into_iter()
        .map(to_bf16)
        .collect();
    let weights = data::tiled(rows * COLS, &tile, Pages::Usual);
    let x = data::floats(COLS, 2, Pages::Usual);
    let mut y = vec![0.0; rows];
    trial.check(|| {
        let stall =
            stall_of_rows(&weights, COLS, |weights, y: &mut [f32]| dots_bf16(weights, &x, y));
        Oracle::shown(stall).and(0.4 <= stall.share(), || {
            format!("memory stalls take {:.2} of the time, at least 0.4 expected", stall.share())
        })
    })?;
    trial.record(|_| {
        decode_bf16(trial, &weights, &x, &mut y);
        checksum(&y)
    });
    Ok(())
}

#[bottleneck(request)]
fn decode_bf16(trial: &Trial, weights: &[u16], x: &[f32], y: &mut [f32]) {
    trial.declare(|| Work::matvec(y.len(), COLS, Dtype::Bf16));
    dots_bf16(weights, x, y);
}

widest! {
    fn dots_bf16[](weights: &[u16], x: &[f32], y: &mut [f32]) {
        for (row, out) in weights.chunks_exact(x.len()).zip(y) {
            let mut sums = [0.0f32; 32];
            for (row, x) in row.as_chunks::<32>().0.iter().zip(x.as_chunks::<32>().0) {
                for ((sum, weight), x) in sums.iter_mut().zip(row).zip(x) {
                    *sum = madd::<FUSED>(from_bf16(*weight), *x, *sum);
                }
            }
            *out = total(sums);
        }
    }
}

/// The same near rows again and again, against as many that were not read lately.
fn stall_of_rows<W, Y: Copy + Default>(
    weights: &[W],
    cols: usize,
    dots: impl Fn(&[W], &mut [Y]),
) -> Stall {
    const ROWS: usize = 8192;
    let mut out = vec![Y::default(); ROWS];
    let rounds = (weights.len() / (ROWS * cols)).max(1);
    let near = |_| {
        for _ in 0..ROWS / NEAR_ROWS {
            let mut out = [Y::default(); NEAR_ROWS];
            dots(black_box(&weights[..NEAR_ROWS * cols]), &mut out);
            black_box(out);
        }
    };
    let far = |round| {
        let rows = &weights[round % rounds * ROWS * cols..][..ROWS * cols];
        dots(rows, black_box(&mut out));
    };
    Stall::on_cpu(rounds.min(11), near, far)
}

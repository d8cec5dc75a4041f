//! Programs 32 to 34, pairs for what-if: weights of four bytes or of two, of two or of one, and a loop that the compiler could
//! not or could turn into vector instructions.
//!
//! Truth: memory / bandwidth for the first two, whose data no cache holds; compute / scalar for the last, whose data the first
//! cache holds.

#![expect(unsafe_code, reason = "vector instructions that are detected at run time")]

use std::hint::black_box;

use bottleneck_examples::host;
use bottleneck_examples::random::mix;
use bottleneck_runtime::span;

use crate::data::{self, Pages};
use crate::loads::COLS;
use crate::removal::{self, Pass};
use crate::table::Program;
use crate::trial::{Denied, Trial, checksum};

/// Rows of a pass: far fewer than there are, so that a pass is short, and enough to be measured.
const ROWS: usize = 4096;
/// Rows of the small matrix: 16 KiB.
const SMALL_ROWS: usize = 1;
/// How often it is used in a pass.
const TIMES: usize = 4096;

/// Programs 32 to 34.
pub const PROGRAMS: &[Program] = &[
    Program::known(
        "32",
        "weights_f32",
        "memory",
        &["bandwidth"],
        "weights of four bytes that could have two",
        |trial| fewer_bytes::<f32, u16>(trial, 0.25),
    )
    .with_after(),
    Program::known(
        "33",
        "weights_bf16",
        "memory",
        &["bandwidth"],
        "weights of two bytes that could have one",
        |trial| fewer_bytes::<u16, i8>(trial, 0.2),
    )
    .with_after(),
    Program::known(
        "34",
        "scalar_loop",
        "compute",
        &["scalar", "underused"],
        "sums in the order of the data, which no vector instruction keeps",
        scalar,
    )
    .with_after(),
];

/// A weight of some size.
trait Weight: Copy + Send + Sync {
    fn from_random(bits: u64) -> Self;
    fn value(self) -> f32;
}

impl Weight for f32 {
    fn from_random(bits: u64) -> Self {
        value_of(bits)
    }

    #[inline(always)]
    fn value(self) -> f32 {
        self
    }
}

/// The upper half of an f32: bf16.
impl Weight for u16 {
    fn from_random(bits: u64) -> Self {
        (value_of(bits).to_bits() >> 16) as Self
    }

    #[inline(always)]
    fn value(self) -> f32 {
        f32::from_bits(u32::from(self) << 16)
    }
}

impl Weight for i8 {
    #[expect(clippy::cast_possible_truncation, reason = "within -127 to 127")]
    fn from_random(bits: u64) -> Self {
        (value_of(bits) * 127.0) as Self
    }

    #[inline(always)]
    fn value(self) -> f32 {
        f32::from(self)
    }
}

fn value_of(bits: u64) -> f32 {
    (bits >> 40) as f32 / 8_388_608.0 - 1.0
}

/// A matrix that no cache holds, read from where the last pass ended.
struct Matrix<W> {
    weights: Vec<W>,
    next: usize,
}

impl<W: Weight> Matrix<W> {
    fn new() -> Self {
        let rows =
            usize::try_from(host::streamed_bytes()).unwrap_or(usize::MAX) / (size_of::<W>() * COLS);
        let tile: Vec<W> = (0..(1 << 20) + 1038).map(|at| W::from_random(mix(at))).collect();
        let rows = rows.next_multiple_of(ROWS);
        Self { weights: data::tiled(rows * COLS, &tile, Pages::Usual), next: 0 }
    }

    #[inline(never)]
    fn multiply(&mut self, x: &[f32], y: &mut [f32]) {
        let rows = &self.weights[self.next * COLS..][..y.len() * COLS];
        for (row, out) in rows.chunks_exact(COLS).zip(y.iter_mut()) {
            *out = dot(row, x);
        }
        self.next = (self.next + y.len()) % (self.weights.len() / COLS);
    }
}

/// With the widest instructions that are common.
fn dot<W: Weight>(row: &[W], x: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_available() {
        // SAFETY: the processor has the instructions.
        return unsafe { dot_avx2(row, x) };
    }
    vector_dot(row, x)
}

#[cfg(target_arch = "x86_64")]
fn is_x86_feature_available() -> bool {
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dot_avx2<W: Weight>(row: &[W], x: &[f32]) -> f32 {
    vector_dot(row, x)
}

/// Sums side by side.
#[inline(always)]
fn vector_dot<W: Weight>(row: &[W], x: &[f32]) -> f32 {
    let mut sums = [0.0f32; 32];
    for (row, x) in row.as_chunks::<32>().0.iter().zip(x.as_chunks::<32>().0) {
        for ((sum, weight), x) in sums.iter_mut().zip(row).zip(x) {
            *sum = weight.value().mul_add(*x, *sum);
        }
    }
    sums.iter().sum()
}

/// One sum, in the order of the data.
#[inline(never)]
fn scalar_dot(row: &[f32], x: &[f32]) -> f32 {
    row.iter().zip(x).map(|(weight, x)| weight * x).sum()
}

fn fewer_bytes<B: Weight, A: Weight>(trial: &Trial, least: f64) -> Result<(), Denied> {
    let (mut before, mut after) = (Matrix::<B>::new(), Matrix::<A>::new());
    let (x, mut y) = (vec![1.0; COLS], vec![0.0; ROWS]);
    removal::run(trial, least, |Pass { after: is_after, seen }| {
        let _span = seen.then(|| span!("decode"));
        if is_after {
            after.multiply(&x, &mut y);
        } else {
            before.multiply(&x, &mut y);
        }
        u64::from(y[0].is_finite())
    })
}

fn scalar(trial: &Trial) -> Result<(), Denied> {
    let weights = data::floats(SMALL_ROWS * COLS, trial.seed(), Pages::Usual);
    let x = data::floats(COLS, 2, Pages::Usual);
    let mut y = vec![0.0f32; TIMES];
    removal::run(trial, 0.5, |Pass { after, seen }| {
        let _span = seen.then(|| span!("project"));
        for out in &mut y {
            let (weights, x) = (black_box(&weights), black_box(&x));
            *out = if after { dot(weights, x) } else { scalar_dot(weights, x) };
        }
        checksum(&y)
    })
}

//! Matrix times matrix: blocked with vectors, as of a prompt, and in the plain loop that no compiler turns into vectors.

use std::hint::black_box;

use bottleneck_runtime::{Dtype, Work, bottleneck};

use crate::data::{self, Pages};
use crate::oracle::{Oracle, Stall, median_time};
use crate::table::Program;
use crate::trial::{Denied, Trial, checksum};
use crate::widest::{madd, total, widest};

/// Rows, columns and depth.
const SIDE: usize = 768;
/// Those of a product in the second-level cache.
const NEAR: usize = 128;
/// Those of a product in the first: 27 KiB.
const TINY: usize = 48;
/// Rows and columns that are computed at a time, in registers.
const TALL: usize = 4;
const WIDE: usize = 32;
/// Products that are summed up at a time.
const DEEP: usize = 256;

/// Programs 3 and 4.
pub const PROGRAMS: &[Program] = &[
    Program::known(
        "3",
        "gemm",
        "compute",
        &["vector"],
        "a blocked product of 768 x 768 matrices computes 128 times per value that it fetches",
        blocked,
    ),
    Program::known(
        "4",
        "gemm_scalar",
        "compute",
        &["scalar", "underused"],
        "one sum after the other, on operands in the first-level cache",
        scalar,
    ),
];

/// `c = a b`, square, with `b` in panels of [`WIDE`] columns.
struct Product {
    side: usize,
    a: Vec<f32>,
    panels: Vec<f32>,
    c: Vec<f32>,
}

impl Product {
    fn new(side: usize, seed: u64) -> Self {
        let values = |seed| data::floats(side * side, seed, Pages::Usual);
        Self { side, a: values(seed), panels: values(seed + 1), c: vec![0.0; side * side] }
    }

    fn work(&self) -> Work {
        Work::matmul(self.side, self.side, self.side, Dtype::F32)
    }

    fn compute(&mut self) {
        multiply(self.side, black_box(&self.a), &self.panels, black_box(&mut self.c));
    }
}

fn blocked(trial: &Trial) -> Result<(), Denied> {
    let mut product = Product::new(SIDE, trial.seed());
    trial.check(|| {
        let mut near = Product::new(NEAR, trial.seed());
        let again = (SIDE / NEAR).pow(3);
        let stall =
            Stall::on_cpu(5, |_| (0..again).for_each(|_| near.compute()), |_| product.compute());
        let rate = product.work().flops / stall.far.as_secs_f64() / 1e9;
        Oracle::compute(stall).with("gflop_per_second", rate)
    })?;
    trial.record(|_| {
        prefill(trial, &mut product);
        checksum(&product.c)
    });
    Ok(())
}

fn scalar(trial: &Trial) -> Result<(), Denied> {
    let side = TINY;
    let mut product = Product::new(side, trial.seed());
    trial.check(|| {
        let Product { a, panels: b, c, .. } = &mut product;
        let mut rounds = |multiply: fn(usize, &[f32], &[f32], &mut [f32])| {
            median_time(7, || {
                (0..200).for_each(|_| multiply(side, black_box(a), black_box(b), black_box(c)));
            })
        };
        let (scalar, vector) = (rounds(one_by_one), rounds(side_by_side));
        let gain = scalar.as_secs_f64() / vector.as_secs_f64();
        let mut oracle = Oracle::when(gain >= 1.5, || {
            format!("with vectors it is {gain:.2} times as fast, at least 1.5 expected")
        });
        // All operands lie in the first-level cache.
        oracle.truth_share = Some(0.0);
        oracle.with("gain_with_vectors", gain)
    })?;
    trial.record(|_| {
        (0..40).for_each(|_| project(trial, &mut product));
        checksum(&product.c)
    });
    Ok(())
}

#[bottleneck(request)]
fn prefill(trial: &Trial, product: &mut Product) {
    trial.declare(|| product.work());
    product.compute();
}

#[bottleneck(request)]
fn project(trial: &Trial, product: &mut Product) {
    const AGAIN: usize = 20;
    trial.declare(|| {
        let once = product.work();
        Work { flops: once.flops * AGAIN as f64, ..once }
    });
    for _ in 0..AGAIN {
        let Product { side, a, panels, c } = &mut *product;
        one_by_one(*side, black_box(a), panels, black_box(c));
    }
}

widest! {
    fn multiply[](side: usize, a: &[f32], panels: &[f32], c: &mut [f32]) {
        c.fill(0.0);
        // What is read again and again stays near: 32 KiB of a panel, 768 KiB of `a`.
        for from in (0..side).step_by(DEEP) {
            let deep = DEEP.min(side - from);
            for (number, panel) in panels.chunks_exact(side * WIDE).enumerate() {
                let panel = &panel.as_chunks::<WIDE>().0[from..][..deep];
                for top in (0..side).step_by(TALL) {
                    let rows = std::array::from_fn(|row| &a[(top + row) * side + from..][..deep]);
                    let sums = tile::<FUSED>(rows, panel);
                    for (row, sums) in sums.iter().enumerate() {
                        let out = &mut c[(top + row) * side + number * WIDE..][..WIDE];
                        for (out, sum) in out.iter_mut().zip(sums) {
                            *out += sum;
                        }
                    }
                }
            }
        }
    }
}

/// The sums of one tile, in registers.
#[inline(always)]
fn tile<const FUSED: bool>(rows: [&[f32]; TALL], panel: &[[f32; WIDE]]) -> [[f32; WIDE]; TALL] {
    let [mut s0, mut s1, mut s2, mut s3] = [[0.0f32; WIDE]; TALL];
    let [r0, r1, r2, r3] = rows.map(|row| &row[..panel.len()]);
    let values = r0.iter().zip(r1).zip(r2).zip(r3);
    for ((((a0, a1), a2), a3), b) in values.zip(panel) {
        for at in 0..WIDE {
            s0[at] = madd::<FUSED>(*a0, b[at], s0[at]);
            s1[at] = madd::<FUSED>(*a1, b[at], s1[at]);
            s2[at] = madd::<FUSED>(*a2, b[at], s2[at]);
            s3[at] = madd::<FUSED>(*a3, b[at], s3[at]);
        }
    }
    [s0, s1, s2, s3]
}

/// `b` by columns. The order of a sum of floats is part of its result, so a compiler leaves it as it is.
fn one_by_one(side: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    for (row, out) in a.chunks_exact(side).zip(c.chunks_exact_mut(side)) {
        for (column, out) in b.chunks_exact(side).zip(out) {
            *out = row.iter().zip(column).map(|(a, b)| a * b).sum();
        }
    }
}

/// The same with sums side by side.
fn side_by_side(side: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    for (row, out) in a.chunks_exact(side).zip(c.chunks_exact_mut(side)) {
        for (column, out) in b.chunks_exact(side).zip(out) {
            let mut sums = [0.0f32; 16];
            for (a, b) in row.as_chunks::<16>().0.iter().zip(column.as_chunks::<16>().0) {
                for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                    *sum += a * b;
                }
            }
            *out = total(sums);
        }
    }
}

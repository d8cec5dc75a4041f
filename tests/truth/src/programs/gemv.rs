//! Matrix times vector, the step of decoding: every weight is read once for two operations.

use std::hint::black_box;

use bottleneck_runtime::{Dtype, Work, bottleneck};
use rayon::prelude::*;

use crate::data::{self, Pages};
use crate::oracle::{Oracle, Stall};
use crate::table::Program;
use crate::trial::{Denied, Trial, checksum};
use crate::widest::dot;

/// Values per row: 16 KiB, so that the vector stays near.
const COLS: usize = 4096;
/// Rows that lie in the second-level cache: 512 KiB.
const NEAR_ROWS: usize = 32;
/// Rows for one round of the oracle: 64 MiB.
const ROUND_ROWS: usize = 4096;

/// Programs 1 and 2.
pub const PROGRAMS: &[Program] = &[
    Program::known(
        "1",
        "gemv",
        "memory",
        &["bandwidth"],
        "a matrix of at least four last-level caches is streamed by one thread",
        one_thread,
    ),
    Program::known(
        "2",
        "gemv_all_threads",
        "memory",
        &["bandwidth"],
        "the same by all threads of a pool that knows nothing of spans",
        all_threads,
    ),
];

struct Layer {
    weights: Vec<f32>,
    x: Vec<f32>,
    y: Vec<f32>,
}

impl Layer {
    fn new(trial: &Trial) -> Self {
        let rows = data::beyond_caches(trial.size()) / 4 / COLS;
        let weights = data::floats(rows * COLS, trial.seed(), Pages::Usual);
        Self { weights, x: data::floats(COLS, 2, Pages::Usual), y: vec![0.0; rows] }
    }

    /// The same rows of 512 KiB again and again, against rows that were not read since the caches were full.
    fn stall(&mut self, matvec: fn(&[f32], &[f32], &mut [f32])) -> Stall {
        let Self { weights, x, .. } = self;
        let (mut near_y, mut far_y) = ([0.0; NEAR_ROWS], vec![0.0; ROUND_ROWS]);
        let rounds = weights.len() / (ROUND_ROWS * COLS);
        let near = |_| {
            for _ in 0..ROUND_ROWS / NEAR_ROWS {
                matvec(black_box(&weights[..NEAR_ROWS * COLS]), x, black_box(&mut near_y));
            }
        };
        let far = |round| {
            let from = round % rounds * ROUND_ROWS * COLS;
            matvec(&weights[from..][..ROUND_ROWS * COLS], x, black_box(&mut far_y));
        };
        Stall::on_cpu(rounds.min(11), near, far)
    }

    fn work(&self) -> Work {
        Work::matvec(self.y.len(), COLS, Dtype::F32)
    }
}

fn one_thread(trial: &Trial) -> Result<(), Denied> {
    let mut layer = Layer::new(trial);
    trial.check(|| Oracle::memory(layer.stall(rows)))?;
    trial.record(|_| {
        decode(trial, &mut layer);
        checksum(&layer.y)
    });
    Ok(())
}

fn all_threads(trial: &Trial) -> Result<(), Denied> {
    let mut layer = Layer::new(trial);
    trial.check(|| Oracle::memory(layer.stall(rows)))?;
    trial.record(|_| {
        decode_in_parallel(trial, &mut layer);
        checksum(&layer.y)
    });
    Ok(())
}

#[bottleneck(request)]
fn decode(trial: &Trial, layer: &mut Layer) {
    trial.declare(|| layer.work());
    rows(&layer.weights, &layer.x, &mut layer.y);
}

#[bottleneck(request)]
fn decode_in_parallel(trial: &Trial, layer: &mut Layer) {
    trial.declare(|| layer.work());
    rows_in_parallel(&layer.weights, &layer.x, &mut layer.y);
}

fn rows(weights: &[f32], x: &[f32], y: &mut [f32]) {
    for (row, out) in weights.chunks_exact(x.len()).zip(y) {
        *out = dot(row, x);
    }
}

fn rows_in_parallel(weights: &[f32], x: &[f32], y: &mut [f32]) {
    const ROWS: usize = 64;
    let parts = weights.par_chunks(ROWS * x.len()).zip(y.par_chunks_mut(ROWS));
    parts.for_each(|(weights, y)| rows(weights, x, y));
}

//! Matrix times vector over more weights than any cache holds: 2 FLOPs for 4 bytes of DRAM.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bottleneck_examples::host;
use bottleneck_examples::kernels::{Isa, Matrix, gemv};
use bottleneck_examples::random::fill_uniform;

use crate::oracle::time;

/// Values per row: 16 KiB, so that the vector stays in the first-level cache.
pub(crate) const COLS: usize = 4096;

/// The stream of one thread. Each portion goes on where the last one ended, so that no portion finds its weights in a
/// cache.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    weights: Arc<Vec<f32>>,
    x: Vec<f32>,
    y: Vec<f32>,
    rows: usize,
    next: usize,
    portion: usize,
}

impl Stream {
    /// What one undisturbed core streams in `time`. Fills the weights and measures, which takes seconds.
    pub(crate) fn taking(time: Duration) -> Self {
        let rows = usize::try_from(host::streamed_bytes() / 4).unwrap_or(usize::MAX) / COLS;
        let mut weights = vec![0.0; rows * COLS];
        fill_uniform(&mut weights, 1, 0, 1.0);
        let mut res = Self {
            weights: Arc::new(weights),
            x: vec![1.0; COLS],
            y: vec![0.0; rows],
            rows,
            next: 0,
            portion: rows,
        };
        let rate = rows as f64 / fastest(|| res.run());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, and cut to what there is"
        )]
        let portion = (rate * time.as_secs_f64()) as usize;
        res.portion = portion.clamp(1, rows);
        res
    }

    /// The same weights for another thread, which starts at another place.
    pub(crate) fn beside(&self, number: usize, of: usize) -> Self {
        let next = self.rows / of.max(1) * number % self.rows;
        Self { next, ..self.clone() }
    }

    /// As many rows for each portion, but the same few again and again: a near cache holds them. They stay where they are,
    /// because the kernel fetches ahead of its row: behind a copy there might be no memory, and that is slow to find out.
    pub(crate) fn small(&self) -> Self {
        Self { rows: 16, next: 0, ..self.clone() }
    }

    /// Streams so many times as much from now on.
    pub(crate) fn scale(&mut self, factor: f64) {
        self.portion = scaled(self.portion, factor);
    }

    /// Streams one portion.
    #[inline(never)]
    pub(crate) fn run(&mut self) {
        let (all, rows) = (self.weights.len() / COLS, self.rows);
        let mut left = self.portion;
        while 0 < left {
            let count = left.min(rows - self.next);
            let part =
                Matrix::new(&self.weights, all, COLS).row_range(self.next, self.next + count);
            gemv(Isa::detected(), part, &self.x, &mut self.y[..count]);
            self.next = (self.next + count) % rows;
            left -= count;
        }
        black_box(&self.y);
    }
}

/// Seconds of the fastest of a few times: others have the CPU during some of them.
pub(super) fn fastest(mut work: impl FnMut()) -> f64 {
    let seconds = |_| time(&mut work).as_secs_f64();
    (0..4).map(seconds).fold(f64::INFINITY, f64::min)
}

/// At least one.
pub(super) fn scaled(portion: usize, factor: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let res = (portion as f64 * factor).clamp(1.0, 1e12) as usize;
    res
}

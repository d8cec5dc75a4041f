//! Rows of one cache line from anywhere in a table that no cache holds: each waits for DRAM once.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bottleneck_examples::host;
use bottleneck_examples::random::Random;

use super::stream::{fastest, scaled};

/// Values of a row: 64 bytes.
const WIDTH: usize = 16;
/// Rows that are gathered to measure how long one takes.
const MEASURED: usize = 1 << 18;

/// The gathering of one thread.
#[derive(Clone, Debug)]
pub(crate) struct Gather {
    table: Arc<Vec<[f32; WIDTH]>>,
    random: Random,
    portion: usize,
}

impl Gather {
    /// What one undisturbed core gathers in `time`. Fills the table and measures.
    pub(crate) fn taking(time: Duration) -> Self {
        let rows = usize::try_from(host::streamed_bytes()).unwrap_or(usize::MAX) / (4 * WIDTH);
        let mut res = Self {
            table: Arc::new(vec![[1.0; WIDTH]; rows]),
            random: Random::new(5),
            portion: MEASURED,
        };
        let each = fastest(|| res.run()) / MEASURED as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and small"
        )]
        let portion = (time.as_secs_f64() / each) as usize;
        res.portion = portion.max(1);
        res
    }

    /// Gathers so many times as much from now on.
    pub(crate) fn scale(&mut self, factor: f64) {
        self.portion = scaled(self.portion, factor);
    }

    /// Gathers one portion. The id of the next row hangs on the row before, as that of a merge list does: nothing can
    /// be fetched ahead.
    #[inline(never)]
    pub(crate) fn run(&mut self) {
        let mut sums = [0.0f32; WIDTH];
        let mut last = 0u64;
        let rows = self.table.len() as u64;
        for _ in 0..self.portion {
            // All rows hold the same values, so `last` changes nothing; but neither compiler nor core knows.
            let at = self.random.next_bits().wrapping_add(last) % rows;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "less than the length of the table"
            )]
            let row = &self.table[at as usize];
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
            last = u64::from(row[0].to_bits() & 1);
        }
        black_box(sums);
    }
}

//! Linear layers, with the rows of the weights divided among threads.
//!
//! The calling thread computes the first share itself. Helpers own what they get: the input is shared, and the outputs
//! travel back and forth with the jobs, so that nothing is allocated once the buffers have grown.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope};

use bottleneck_examples::kernels::{Matrix, Packed, matmul, matvec};
use bottleneck_runtime::bottleneck;

use crate::batch::Batch;

/// Rows of a share are a multiple of this, so that only the last one has a ragged end.
const SHARE_UNIT: usize = 6;

/// The calling thread and its helpers.
#[derive(Debug)]
pub(crate) struct Crew<'w> {
    helpers: Vec<Helper<'w>>,
    packed: Arc<Packed>,
    vector: Arc<Vec<f32>>,
}

#[derive(Debug)]
struct Helper<'w> {
    jobs: SyncSender<Job<'w>>,
    results: Receiver<Vec<f32>>,
    /// The output buffer while the helper has no job.
    output: Vec<f32>,
}

#[derive(Debug)]
struct Job<'w> {
    weights: Matrix<'w>,
    input: Input,
    output: Vec<f32>,
}

#[derive(Debug)]
enum Input {
    Vector(Arc<Vec<f32>>),
    Batch(Arc<Packed>),
}

impl<'w> Crew<'w> {
    /// The calling thread alone.
    pub(crate) fn single() -> Self {
        Self { helpers: Vec::new(), packed: Arc::default(), vector: Arc::default() }
    }

    /// The calling thread and `threads - 1` helpers, which end when the crew is dropped.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        threads: usize,
    ) -> std::io::Result<Self>
    where
        'w: 'scope,
    {
        let mut crew = Self::single();
        for number in 1..threads {
            let (jobs, todo) = sync_channel::<Job<'w>>(1);
            let (done, results) = sync_channel(1);
            Builder::new().name(format!("helper-{number}")).spawn_scoped(scope, move || {
                for job in todo {
                    // The crew is gone: the scope is being left.
                    if done.send(job.run()).is_err() {
                        break;
                    }
                }
            })?;
            crew.helpers.push(Helper { jobs, results, output: Vec::new() });
        }
        Ok(crew)
    }

    /// `y[t] = weights x[t]` for the first `tokens` rows.
    #[bottleneck]
    pub(crate) fn linear(&mut self, weights: Matrix<'w>, x: &Batch, tokens: usize, y: &mut Batch) {
        debug_assert!(
            x.width() == weights.cols() && y.width() == weights.rows(),
            "a layer fits its batches"
        );
        let share = weights
            .rows()
            .div_ceil(self.helpers.len() + 1)
            .next_multiple_of(SHARE_UNIT)
            .min(weights.rows());
        if tokens > 1 {
            pack(Arc::make_mut(&mut self.packed), x, tokens);
        } else if !self.helpers.is_empty() {
            let vector = Arc::make_mut(&mut self.vector);
            vector.clear();
            vector.extend_from_slice(x.row(0));
        }
        for (number, helper) in self.helpers.iter_mut().enumerate() {
            let (from, to) = helper_rows(number, share, weights.rows());
            let input = if tokens > 1 {
                Input::Batch(self.packed.clone())
            } else {
                Input::Vector(self.vector.clone())
            };
            let job = Job {
                weights: weights.row_range(from, to),
                input,
                output: std::mem::take(&mut helper.output),
            };
            helper.jobs.send(job).expect("a helper ends after the crew only");
        }
        let own = weights.row_range(0, share);
        if tokens > 1 {
            let stride = y.stride();
            matmul(own, &self.packed, y.values_mut(), stride);
        } else {
            matvec(own, x.row(0), &mut y.row_mut(0)[..share]);
        }
        if !self.helpers.is_empty() {
            self.gather(weights.rows(), share, tokens, y);
        }
    }

    /// Waits for the helpers, and puts their rows beside those of the calling thread.
    #[bottleneck]
    fn gather(&mut self, rows: usize, share: usize, tokens: usize, y: &mut Batch) {
        for (number, helper) in self.helpers.iter_mut().enumerate() {
            let (from, to) = helper_rows(number, share, rows);
            helper.output = helper.results.recv().expect("a helper ends after the crew only");
            if from < to {
                for (t, row) in helper.output.chunks_exact(to - from).take(tokens).enumerate() {
                    y.row_mut(t)[from..to].copy_from_slice(row);
                }
            }
        }
    }
}

/// The rows of the helper with this number.
fn helper_rows(number: usize, share: usize, rows: usize) -> (usize, usize) {
    ((share * (number + 1)).min(rows), (share * (number + 2)).min(rows))
}

/// Brings the input of a matrix product into the order of the kernel.
#[bottleneck]
fn pack(packed: &mut Packed, x: &Batch, tokens: usize) {
    packed.pack(x.values(), tokens, x.width(), x.stride());
}

impl Job<'_> {
    /// Computes the rows of a helper. No span is open between two jobs: a helper that waits for one has nothing to do.
    #[bottleneck]
    fn run(mut self) -> Vec<f32> {
        let rows = self.weights.rows();
        match &self.input {
            Input::Vector(x) => {
                self.output.resize(rows, 0.0);
                matvec(self.weights, x, &mut self.output);
            }
            Input::Batch(x) => {
                self.output.resize(rows * x.rows(), 0.0);
                matmul(self.weights, x, &mut self.output, rows);
            }
        }
        self.output
    }
}

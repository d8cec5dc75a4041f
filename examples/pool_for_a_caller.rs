//! Multiplies a large matrix with a vector, on a pool of threads that knows nothing of spans, while its caller waits.
//!
//! Verdict: memory / bandwidth
//! Start at: `forward`
//!
//! Why that holds by construction: the threads of the pool stream a matrix that no cache holds, in many small portions,
//! so that none of them waits for the last one. Each value of four bytes takes part in 2 FLOPs only. The caller has
//! nothing else to do.
//!
//! The trap: the only annotated thread is blocked all the time. That is no scheduling problem: it waits for work that is
//! done as fast as memory delivers.
//!
//! What helps: smaller weights (f16, i8), or more vectors per pass.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bottleneck_examples::clocks::{Stopwatch, Times};
use bottleneck_examples::host;
use bottleneck_examples::kernels::{Isa, Matrix, gemv, sum};
use bottleneck_examples::random::fill_uniform;
use bottleneck_examples::trial;
use bottleneck_runtime::bottleneck;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Values per row: 16 KiB, so that the vector stays in the first-level cache.
const COLS: usize = 4096;
/// Rows of a portion: 1 MiB.
const PORTION: usize = 64;

fn main() -> ExitCode {
    trial::try_run(3.0, stream)
}

fn stream(time: Duration) -> io::Result<()> {
    let pool = ThreadPoolBuilder::new()
        .num_threads(trial::cpus())
        .thread_name(|number| format!("pool-{number}"))
        .build()
        .map_err(io::Error::other)?;
    let rows = usize::try_from(host::streamed_bytes() / 4).unwrap_or(usize::MAX) / COLS;
    let mut values = vec![0.0; rows * COLS];
    pool.install(|| {
        let portions = values.par_chunks_mut(PORTION * COLS).enumerate();
        portions
            .for_each(|(at, values)| fill_uniform(values, 1, (at * PORTION * COLS) as u64, 1.0));
    });
    let matrix = Matrix::new(&values, rows, COLS);
    let x = vec![1.0; COLS];
    let mut y = vec![0.0; rows];

    let start = Instant::now();
    let mut times = Times::default();
    let mut passes = 0u32;
    while passes == 0 || start.elapsed() < time {
        let watch = Stopwatch::start();
        forward(&pool, matrix, &x, &mut y);
        times += watch.stop();
        passes += 1;
    }

    let bytes = (4 * values.len()) as f64;
    let rate = f64::from(passes) * bytes / times.wall.as_secs_f64() / 1e9;
    let start = Instant::now();
    let total: f32 = pool.install(|| values.par_chunks(PORTION * COLS).map(sum).sum());
    let plain = bytes / start.elapsed().as_secs_f64() / 1e9;
    println!(
        "{passes} passes: the caller was blocked for {:.0} % of their time (sum {total:.3})",
        100.0 * times.blocked_share()
    );
    let verdict = if rate < 0.6 * plain { "does not hold here now" } else { "holds" };
    println!(
        "oracle: {rate:.1} GB/s, a plain read of the same memory {plain:.1} GB/s: the label {verdict}"
    );
    Ok(())
}

/// One pass over the matrix, by all threads of the pool.
#[bottleneck(
    request,
    flops = 2 * matrix.rows() * matrix.cols(),
    bytes = 4 * (matrix.rows() * matrix.cols() + x.len() + y.len()),
    dtype = f32
)]
fn forward(pool: &ThreadPool, matrix: Matrix<'_>, x: &[f32], y: &mut [f32]) {
    pool.install(|| {
        y.par_chunks_mut(PORTION).enumerate().for_each(|(at, out)| {
            let from = at * PORTION;
            gemv(Isa::detected(), matrix.row_range(from, from + out.len()), x, out);
        });
    });
}

//! Multiplies one large matrix with a vector, over and over.
//!
//! Verdict: memory / bandwidth
//! Start at: `matvec`
//!
//! Why that holds by construction: the matrix is at least four times as large as the last-level cache, so every pass
//! reads all of it from memory, and each value of four bytes takes part in 2 FLOPs only. A core could do ten times as
//! many per byte that it gets.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bottleneck_examples::host;
use bottleneck_examples::kernels::{Matrix, matvec, sum};
use bottleneck_examples::random::fill_uniform;
use bottleneck_runtime::bottleneck;

/// Values per row: 16 KiB, so that the vector stays in the first-level cache.
const COLS: usize = 4096;

fn main() -> ExitCode {
    let seconds = match std::env::args().nth(1).map_or(Ok(5.0), |arg| arg.parse::<f64>()) {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => seconds,
        _ => {
            eprintln!(
                "error: the only argument is a number of seconds from 0 to 3600; the default is 5"
            );
            return ExitCode::from(2);
        }
    };
    let rows = rows();
    let values = fill(rows);
    let matrix = Matrix::new(&values, rows, COLS);
    let x = vec![1.0; COLS];
    let mut y = vec![0.0; rows];

    let start = Instant::now();
    let mut passes = 0u32;
    while passes == 0 || start.elapsed() < Duration::from_secs_f64(seconds) {
        pass(matrix, &x, &mut y);
        passes += 1;
    }
    let rate = f64::from(passes) * (values.len() * 4) as f64 / start.elapsed().as_secs_f64() / 1e9;

    let start = Instant::now();
    let total = plain_read(&values);
    let read = (values.len() * 4) as f64 / start.elapsed().as_secs_f64() / 1e9;
    println!(
        "{passes} passes over {} MiB: {rate:.1} GB/s; a plain read: {read:.1} GB/s",
        (rows * COLS * 4) >> 20
    );
    println!("sum of the products: {:.3}, sum of the values: {total:.3}", y.iter().sum::<f32>());
    ExitCode::SUCCESS
}

/// Rows of a matrix of four times the last-level cache, or what half of the memory holds.
fn rows() -> usize {
    let bytes = host::streamed_bytes();
    if host::last_level_cache().is_some_and(|cache| bytes < 4 * cache) {
        println!("note: only {} MiB fit into memory; the cache may serve a part", bytes >> 20);
    }
    usize::try_from(bytes / 4).unwrap_or(usize::MAX).div_ceil(COLS)
}

/// Touches the memory for the first time, so that the passes do not.
#[bottleneck]
fn fill(rows: usize) -> Vec<f32> {
    let mut values = vec![0.0; rows * COLS];
    fill_uniform(&mut values, 1, 0, 1.0);
    values
}

/// One pass over the matrix. A request: the verdict is about the passes, however long the matrix took to fill.
#[bottleneck(request)]
fn pass(matrix: Matrix<'_>, x: &[f32], y: &mut [f32]) {
    matvec(matrix, x, y);
}

/// The ruler: as fast as one thread can read this memory.
#[bottleneck(flops = values.len(), bytes = 4 * values.len(), dtype = f32)]
fn plain_read(values: &[f32]) -> f32 {
    sum(values)
}

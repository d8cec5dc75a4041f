//! Multiplies matrices that fit into the caches.
//!
//! Verdict: compute
//! Start at: `matmul`
//!
//! Why that holds by construction: each product of 512 x 512 weights with a batch of 384 rows is 201 MFLOP on 2.6 MB that
//! are in the caches since the first product. Even if they came from memory every time, that would be 77 FLOP for each
//! byte, several times more than any core can do per byte of memory bandwidth.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bottleneck_examples::kernels::{Isa, Matrix, Packed, matmul};
use bottleneck_examples::random::fill_uniform;
use bottleneck_runtime::bottleneck;

const ROWS: usize = 512;
const COLS: usize = 512;
const BATCH: usize = 384;
/// A stride that is no power of two spreads the output over all sets of the caches.
const STRIDE: usize = ROWS + 16;

fn main() -> ExitCode {
    let seconds = match std::env::args().nth(1).map_or(Ok(4.0), |arg| arg.parse::<f64>()) {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => seconds,
        _ => {
            eprintln!(
                "error: the only argument is a number of seconds from 0 to 3600; the default is 4"
            );
            return ExitCode::from(2);
        }
    };
    let mut weights = vec![0.0; ROWS * COLS];
    // Unit variance is kept, so that numbers stay of order one however often they are multiplied.
    fill_uniform(&mut weights, 1, 0, (3.0 / COLS as f32).sqrt());
    let matrix = Matrix::new(&weights, ROWS, COLS);
    let mut x = vec![0.0; BATCH * COLS];
    fill_uniform(&mut x, 2, 0, 1.0);
    let mut packed = Packed::new();
    packed.pack(&x, BATCH, COLS, COLS);
    let mut y = vec![0.0; BATCH * STRIDE];

    let start = Instant::now();
    let mut products = 0u32;
    let mut fastest = f64::INFINITY;
    while products == 0 || start.elapsed() < Duration::from_secs_f64(seconds) {
        let before = Instant::now();
        multiply(matrix, &packed, &mut y);
        fastest = fastest.min(before.elapsed().as_secs_f64());
        products += 1;
    }
    let elapsed = start.elapsed().as_secs_f64();

    let each = 2.0 * (ROWS * COLS * BATCH) as f64 / 1e9;
    println!(
        "{products} products with {:?}: {:.1} GFLOP/s, the fastest {:.1} GFLOP/s",
        Isa::detected(),
        f64::from(products) * each / elapsed,
        each / fastest
    );
    let root =
        (y.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / (BATCH * ROWS) as f64).sqrt();
    println!("root mean square of the results: {root:.3}, expected 0.577");
    ExitCode::SUCCESS
}

/// One product.
#[bottleneck]
fn multiply(matrix: Matrix<'_>, packed: &Packed, y: &mut [f32]) {
    matmul(matrix, packed, y, STRIDE);
}

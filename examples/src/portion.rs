//! Compute that takes a chosen time: products of small matrices that never leave the first caches.
//!
//! For programs whose bottleneck is how work is divided: their work must be real, declared, and as long on every machine.
//! Nothing here is a span; whoever computes a portion declares its work.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::kernels::{Matrix, Packed, gemm};
use crate::random::fill_uniform;

/// Weights of 12 KiB, inputs and outputs of 16 and 12 KiB.
const ROWS: usize = 48;
const COLS: usize = 64;
const BATCH: usize = 64;

/// So many products at a time are measured; with the fastest kernel they take some 50 µs.
const MEASURED: u32 = 16;
/// How long is measured. Other programs have the CPU for a part of it, so the fastest time counts.
const MEASURING: Duration = Duration::from_millis(40);
/// Measured at least so often: while others have the CPU that time may be over after the first one.
const LEAST: u32 = 100;

/// What the core needs for one product.
static SECONDS_PER_PRODUCT: OnceLock<f64> = OnceLock::new();

/// An amount of compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    products: u32,
}

impl Portion {
    /// The data of a portion, in bytes: it is read and written again and again, but crosses the memory bus once.
    pub const BYTES: usize = 4 * (ROWS * COLS + BATCH * COLS + BATCH * ROWS);

    /// What one undisturbed core computes in `time`, at least one product. The first call measures the core.
    #[must_use]
    pub fn taking(time: Duration) -> Self {
        let each = *SECONDS_PER_PRODUCT.get_or_init(measure);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let products = (time.as_secs_f64() / each).round().clamp(1.0, 1e9) as u32;
        Self { products }
    }

    /// The measure of the core, in seconds, if there is one by now.
    #[must_use]
    pub fn measure() -> Option<f64> {
        SECONDS_PER_PRODUCT.get().copied()
    }

    /// Takes over the measure of another process, so that both have portions of the same work. Does nothing if the core was
    /// measured before.
    pub fn assume(measure: f64) {
        // Refused if there is one.
        let _ = SECONDS_PER_PRODUCT.set(measure);
    }

    /// Its operations.
    #[must_use]
    pub fn flops(self) -> f64 {
        2.0 * (ROWS * COLS * BATCH) as f64 * f64::from(self.products)
    }
}

/// The matrices of one thread.
#[derive(Clone, Debug)]
pub struct Products {
    weights: Vec<f32>,
    inputs: Packed,
    outputs: Vec<f32>,
}

impl Products {
    /// Matrices with random values, whose memory is touched here.
    #[must_use]
    pub fn new() -> Self {
        let mut weights = vec![0.0; ROWS * COLS];
        fill_uniform(&mut weights, 1, 0, 1.0);
        let mut values = vec![0.0; BATCH * COLS];
        fill_uniform(&mut values, 2, 0, 1.0);
        let mut inputs = Packed::new();
        inputs.pack(&values, BATCH, COLS, COLS);
        Self { weights, inputs, outputs: vec![1.0; BATCH * ROWS] }
    }

    /// Computes one portion.
    pub fn compute(&mut self, portion: Portion) {
        self.multiply(portion.products);
    }

    fn multiply(&mut self, times: u32) {
        for _ in 0..times {
            let weights = Matrix::new(black_box(&self.weights), ROWS, COLS);
            gemm(weights, &self.inputs, &mut self.outputs, ROWS);
        }
        black_box(&self.outputs);
    }
}

impl Default for Products {
    fn default() -> Self {
        Self::new()
    }
}

/// Seconds of one product, without interruptions.
fn measure() -> f64 {
    let mut products = Products::new();
    let start = Instant::now();
    let mut fastest = f64::INFINITY;
    let mut measured = 0;
    while measured < LEAST || start.elapsed() < MEASURING {
        measured += 1;
        let before = Instant::now();
        products.multiply(MEASURED);
        fastest = fastest.min(before.elapsed().as_secs_f64());
    }
    // A clock that stands still must not make a portion endless.
    fastest.max(1e-7) / f64::from(MEASURED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_of_twice_the_time_has_twice_the_work() {
        let short = Portion::taking(Duration::from_millis(10));
        let long = Portion::taking(Duration::from_millis(20));
        assert!((long.flops() / short.flops() - 2.0).abs() < 0.01, "{short:?} {long:?}");
        assert_eq!(Portion::taking(Duration::ZERO), Portion { products: 1 });
    }

    #[test]
    fn products_are_computed_and_stay_the_same() {
        let mut products = Products::new();
        products.compute(Portion { products: 1 });
        let once = products.outputs.clone();
        assert!(once.iter().all(|value| value.is_finite()) && once != Products::new().outputs);
        products.compute(Portion { products: 3 });
        assert_eq!(products.outputs, once);
    }
}

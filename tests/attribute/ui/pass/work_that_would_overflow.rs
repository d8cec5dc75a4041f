//! Work is computed in `f64`: the user's own types would overflow.

#![deny(warnings, arithmetic_overflow, overflowing_literals)]

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

#[bottleneck(flops = 2 * m * n * k, bytes = (m * k + k * n + m * n) * 4, dtype = f32)]
fn plain(m: u8, n: u8, k: i32) -> bool {
    m > 0 && n > 0 && k > 0
}

#[bottleneck(flops = 1_000_000_000_000 * n - 1, bytes = all.len() as f64 * 1.5 / n)]
async fn later(all: Vec<u8>, n: u8) -> usize {
    all.len() + usize::from(n)
}

fn main() {
    assert!(plain(255, 255, i32::MAX));
    assert_eq!(block_on(later(vec![1], 255)), 256);
}

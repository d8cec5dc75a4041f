//! The kernels where no `asm!` was written: plain loops, which the compiler may or may not vectorize.
//!
//! The plausibility check of `ceilings` decides whether their results can be believed.

use std::hint::black_box;

use super::{CHAIN_STEP, VectorWidth, Width};

const CHAINS: usize = 12;

pub(super) fn widths() -> Vec<Width> {
    vec![Width { width: VectorWidth::Scalar, fused: false }]
}

/// `width` is one of [`widths`]; `rounds` is not 0.
pub(super) fn multiply_add(_width: Width, rounds: u64) -> u64 {
    let (multiplier, addend) = (black_box(0.999_7_f32), black_box(0.000_3_f32));
    let mut chains = [1.0_f32; CHAINS];
    for _ in 0..rounds {
        for chain in &mut chains {
            *chain = *chain * multiplier + addend;
        }
    }
    black_box(chains);
    rounds * CHAINS as u64 * 2
}

pub(super) fn read_sum(data: &[u8], passes: u64) -> u64 {
    let (words, _) = data.as_chunks::<8>();
    (0..passes).fold(0, |sum: u64, _| {
        black_box(words).iter().fold(sum, |sum, word| sum.wrapping_add(u64::from_ne_bytes(*word)))
    })
}

/// `rounds` is not 0.
pub(super) fn add_chain(rounds: u64) {
    let mut sum = rounds;
    for _ in 0..rounds * CHAIN_STEP {
        sum = black_box(sum.wrapping_add(3));
    }
    black_box(sum);
}

pub(super) fn flush(_data: &[u8]) -> bool {
    false
}

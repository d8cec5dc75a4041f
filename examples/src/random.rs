//! Seeded random numbers: fast, the same on every machine, and never for secrets.

/// The step of the Weyl sequence under [`mix`] (`SplitMix64`).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Scrambles `value` into 64 well-spread bits.
#[inline]
#[must_use]
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Fills `out` with uniform values in `[-scale, scale)`.
///
/// Number `i` depends on `seed` and `first + i` only, so a long tensor can be filled in pieces. `first` is even.
pub fn fill_uniform(out: &mut [f32], seed: u64, first: u64, scale: f32) {
    debug_assert!(first.is_multiple_of(2), "one hash gives two values");
    for (pair, index) in out.chunks_mut(2).zip(first / 2..) {
        let bits = mix(seed ^ index.wrapping_mul(STEP));
        for (value, half) in pair.iter_mut().zip([bits >> 32, bits & 0xffff_ffff]) {
            *value = unit(half) * (2.0 * scale) - scale;
        }
    }
}

/// The upper 24 of 32 random bits as a number in `[0, 1)`.
#[inline]
fn unit(bits: u64) -> f32 {
    ((bits >> 8) as f32) * (1.0 / 16_777_216.0)
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(STEP)))
    }

    /// The next 64 bits.
    pub fn next_bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// The next number in `[0, 1)`.
    pub fn next_unit(&mut self) -> f32 {
        unit(self.next_bits() >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_filled_in_pieces_is_the_same_tensor() {
        let mut whole = vec![0.0; 1001];
        fill_uniform(&mut whole, 7, 0, 0.5);
        let mut pieces = vec![0.0; 1001];
        let (head, tail) = pieces.split_at_mut(400);
        fill_uniform(head, 7, 0, 0.5);
        fill_uniform(tail, 7, 400, 0.5);
        assert_eq!(whole, pieces);
    }

    #[test]
    fn uniform_values_have_the_mean_and_spread_of_their_range() {
        let mut values = vec![0.0; 100_000];
        fill_uniform(&mut values, 1, 0, 3.0);
        assert!(values.iter().all(|v| (-3.0..3.0).contains(v)));
        let mean = values.iter().sum::<f32>() / 1e5;
        let square = values.iter().map(|v| v * v).sum::<f32>() / 1e5;
        assert!(mean.abs() < 0.05, "{mean}");
        assert!((square - 3.0).abs() < 0.05, "{square}");
    }
}

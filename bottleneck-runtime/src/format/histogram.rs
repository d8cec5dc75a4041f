//! Log-linear duration histogram: eight buckets an octave, so a bucket is 12.5 % wide.
//!
//! Durations are in ticks. Those below [`FLOOR`] share the first bucket (they are shorter than two reads of the clock),
//! those above the last octave share the last. A bucket that reads `u32::MAX` is saturated.

/// Durations below this many ticks share bucket 0.
pub const FLOOR: u64 = 1 << FLOOR_LOG2;
const FLOOR_LOG2: u32 = 5;
/// Octaves above [`FLOOR`]: up to 2^41 ticks, about a quarter of an hour.
const OCTAVES: usize = 36;
/// Buckets of a histogram.
pub const BUCKETS: usize = OCTAVES * 8;

/// The bucket of a duration.
#[inline(always)]
pub fn bucket(ticks: u64) -> usize {
    unlimited_bucket(ticks).min(BUCKETS - 1)
}

/// The same, but [`BUCKETS`] or more for a duration above the last octave.
///
/// The exponent and the first three bits of the fraction of an `f64` are the octave and its eighth: one conversion and one
/// shift.
#[inline(always)]
pub(crate) fn unlimited_bucket(ticks: u64) -> usize {
    const FIRST: u64 = (1023 + FLOOR_LOG2 as u64) << 3;
    // Below 2^53 the conversion is exact; above, everything is in the last bucket.
    let float = ticks.cast_signed() as f64;
    (float.to_bits() >> (52 - 3)).saturating_sub(FIRST) as usize
}

/// First duration of a bucket, in ticks.
#[expect(clippy::cast_possible_truncation, reason = "there are few hundred buckets")]
pub fn lower_bound(bucket: usize) -> u64 {
    let log2 = FLOOR_LOG2 + (bucket / 8) as u32;
    (1 << log2) + ((bucket % 8) as u64) * (1 << (log2 - 3))
}

/// The duration below which `share` (0 to 1) of the calls lie, in ticks, interpolated within its bucket; `None` for an
/// empty histogram.
pub fn quantile(buckets: &[u32], share: f64) -> Option<f64> {
    let n: u64 = buckets.iter().map(|&count| u64::from(count)).sum();
    if n == 0 {
        return None;
    }
    let wanted = share.clamp(0.0, 1.0) * n as f64;
    let mut below = 0.0;
    for (index, &count) in buckets.iter().enumerate() {
        let count = f64::from(count);
        if count > 0.0 && below + count >= wanted {
            let (low, high) = (lower_bound(index) as f64, lower_bound(index + 1) as f64);
            return Some(low + (high - low) * ((wanted - below) / count).clamp(0.0, 1.0));
        }
        below += count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_begins_where_the_one_before_ends() {
        for index in 0..BUCKETS {
            assert_eq!(bucket(lower_bound(index)), index);
            if index > 0 {
                assert_eq!(bucket(lower_bound(index) - 1), index - 1);
            }
        }
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_bucket_is_at_most_an_eighth_wide() {
        for index in 0..BUCKETS {
            let (low, high) = (lower_bound(index), lower_bound(index + 1));
            assert!((high - low) * 8 <= low, "bucket {index}");
        }
    }

    #[test]
    fn quantiles_of_a_known_distribution() {
        let mut buckets = [0_u32; BUCKETS];
        for ticks in 1_000..2_000 {
            buckets[bucket(ticks)] += 1;
        }
        let median = quantile(&buckets, 0.5).unwrap();
        assert!((median - 1_500.0).abs() < 100.0, "{median}");
        assert_eq!(quantile(&[0; BUCKETS], 0.5), None);
    }
}

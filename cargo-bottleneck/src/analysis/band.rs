//! Shares that were sampled, with their intervals.

use super::thresholds::Z;

/// A share with its 95 % interval; `0 <= low <= mid <= high <= 1`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Band {
    /// Lower end.
    pub low: f64,
    /// Best estimate.
    pub mid: f64,
    /// Upper end.
    pub high: f64,
}

impl Band {
    /// `hits` of `n` (Wilson's interval, which keeps its word for few samples and for shares near 0 and 1). Everything
    /// is possible for `n` = 0.
    pub fn of(hits: u64, n: u64) -> Self {
        if n == 0 {
            return Self { low: 0.0, mid: 0.5, high: 1.0 };
        }
        let (count, share) = (n as f64, hits.min(n) as f64 / n as f64);
        let spread = Z * Z / count;
        let center = (share + spread / 2.0) / (1.0 + spread);
        let half = Z / (1.0 + spread)
            * (share * (1.0 - share) / count + spread / (4.0 * count)).max(0.0).sqrt();
        Self {
            low: (center - half).clamp(0.0, share),
            mid: share,
            high: (center + half).clamp(share, 1.0),
        }
    }

    /// The share of a share.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        // Relative errors add in squares: the ends of both together would be too wide.
        let mid = self.mid * other.mid;
        let part = |end: f64, mid: f64| if mid > 0.0 { (end - mid) / mid } else { 0.0 };
        let down = part(self.low, self.mid).hypot(part(other.low, other.mid));
        let up = part(self.high, self.mid).hypot(part(other.high, other.mid));
        let high = if mid > 0.0 { mid * (1.0 + up) } else { self.high * other.high };
        Self { low: (mid * (1.0 - down)).max(0.0), mid, high: high.min(1.0) }
    }

    /// At most `limit`.
    #[must_use]
    pub fn limited(self, limit: f64) -> Self {
        Self { low: self.low.min(limit), mid: self.mid.min(limit), high: self.high.min(limit) }
    }

    /// The sum of two shares of one whole.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let mid = (self.mid + other.mid).min(1.0);
        let down = (self.mid - self.low).hypot(other.mid - other.low);
        let up = (self.high - self.mid).hypot(other.high - other.mid);
        Self { low: (mid - down).max(0.0), mid, high: (mid + up).min(1.0) }
    }

    /// 0 up to `from`, 1 from `to` on, and in between in proportion.
    pub fn ramp(self, from: f64, to: f64) -> f64 {
        ((self.mid - from) / (to - from)).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn intervals_of_known_counts() {
        let near = |a: f64, b: f64| (a - b).abs() < 0.005;
        let half = Band::of(50, 100);
        assert!(near(half.low, 0.404) && near(half.high, 0.596), "{half:?}");
        let none = Band::of(0, 24);
        assert!(near(none.low, 0.0) && near(none.high, 0.138), "{none:?}");
        assert_eq!(Band::of(0, 0), Band { low: 0.0, mid: 0.5, high: 1.0 });
    }

    proptest! {
        #[test]
        fn ends_stay_in_order(a in 0_u64..500, n in 0_u64..500, b in 0_u64..500, m in 0_u64..500) {
            let (x, y) = (Band::of(a, n), Band::of(b, m));
            for band in [x, y, x.times(y), x.plus(y), x.times(y).limited(0.3)] {
                prop_assert!(0.0 <= band.low && band.low <= band.mid + 1e-12, "{band:?}");
                prop_assert!(band.mid <= band.high + 1e-12 && band.high <= 1.0, "{band:?}");
            }
        }
    }
}

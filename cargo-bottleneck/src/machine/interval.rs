//! A measured quantity: the least, the middle and the greatest of several windows, never one number alone.

use serde::{Deserialize, Serialize};

/// The least, median and greatest of repeated measurements. Invariant: `min <= median <= max`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval<T> {
    /// The least window.
    pub min: T,
    /// The middle window; of two merged probes the mean of their middles.
    pub median: T,
    /// The greatest window.
    pub max: T,
    /// How many windows were measured.
    pub windows: u32,
}

impl<T: Copy> Interval<T> {
    /// A quantity that is known exactly, or from one window.
    pub const fn exactly(value: T) -> Self {
        Self { min: value, median: value, max: value, windows: 1 }
    }

    /// The same interval in another unit; `convert` must keep the order.
    pub fn map<U>(self, convert: impl Fn(T) -> U) -> Interval<U> {
        Interval {
            min: convert(self.min),
            median: convert(self.median),
            max: convert(self.max),
            windows: self.windows,
        }
    }
}

impl Interval<f64> {
    /// Sums up windows; `None` where no window gave a finite number.
    pub fn of(windows: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = windows.iter().copied().filter(|w| w.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (first, last) = (*sorted.first()?, *sorted.last()?);
        let half = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[half]
        } else {
            f64::midpoint(sorted[half - 1], sorted[half])
        };
        Some(Self {
            min: first,
            median,
            max: last,
            windows: u32::try_from(sorted.len()).unwrap_or(u32::MAX),
        })
    }

    /// The hull of two probes of the same thing: what held at either time is possible.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            median: f64::midpoint(self.median, other.median),
            max: self.max.max(other.max),
            windows: self.windows.saturating_add(other.windows),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middles() {
        let interval = Interval::of(&[4.0, 1.0, f64::NAN, 2.0, 10.0]);
        assert_eq!(interval, Some(Interval { min: 1.0, median: 3.0, max: 10.0, windows: 4 }));
        assert_eq!(Interval::of(&[]), None);
        assert_eq!(Interval::of(&[f64::INFINITY]), None);
    }

    #[test]
    fn the_hull_spans_both_probes() {
        // before |--m--|
        // after       |---m---|
        // hull   |-----m------|
        let before = Interval { min: 1.0, median: 2.0, max: 3.0, windows: 5 };
        let after = Interval { min: 2.5, median: 4.0, max: 6.0, windows: 7 };
        assert_eq!(before.hull(after), Interval { min: 1.0, median: 3.0, max: 6.0, windows: 12 });
    }
}

//! Quantities with their units as types, so that bytes are never divided by ticks by accident.
//!
//! Pure arithmetic and `Display`. A division by nothing is `None`, never `inf` or `NaN`; a printed number carries
//! three significant digits and its unit. In JSON every quantity is a plain number in its base unit.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// A length of time in nanoseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// Whole milliseconds; saturates.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// The time as seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The difference, or nothing where `other` is longer.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }

    /// The difference, or zero where `other` is longer.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// This time as a part of `whole`; `None` where the whole is zero.
    pub fn share_of(self, whole: Self) -> Option<Ratio> {
        (whole.0 > 0).then(|| Ratio(self.0 as f64 / whole.0 as f64))
    }
}

impl From<std::time::Duration> for Nanos {
    /// Saturates after 584 years.
    fn from(duration: std::time::Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Add for Nanos {
    type Output = Self;
    /// Saturates: a sum of times read from a damaged file must not panic.
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Nanos {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Nanos {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

/// Defines a quantity held as a finite `f64` in its base unit.
macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub f64);

        impl $name {
            /// The quantity, or `None` where the number is negative, infinite or not a number.
            pub fn new(value: f64) -> Option<Self> {
                (value.is_finite() && value >= 0.0).then_some(Self(value))
            }

            /// The number in the base unit.
            pub const fn get(self) -> f64 {
                self.0
            }

            /// This as a part of `whole`; `None` where the whole is zero.
            pub fn share_of(self, whole: Self) -> Option<Ratio> {
                quotient(self.0, whole.0).map(Ratio)
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl std::iter::Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                iter.fold(Self(0.0), Add::add)
            }
        }
    };
}

quantity! {
    /// An amount of data in bytes; exact to 2^53.
    Bytes
}
quantity! {
    /// A count of floating-point operations; a fused multiply-add is two.
    Flops
}
quantity! {
    /// A rate of data in bytes per second.
    BytesPerSec
}
quantity! {
    /// A rate of arithmetic in floating-point operations per second.
    FlopsPerSec
}
quantity! {
    /// Arithmetic intensity: floating-point operations per byte moved.
    Intensity
}
quantity! {
    /// A frequency in hertz.
    Hertz
}
quantity! {
    /// A part of a whole, or one number in relation to another; 1.0 is all of it.
    Ratio
}

impl Ratio {
    /// A ratio from percent.
    pub const fn percent(percent: f64) -> Self {
        Self(percent / 100.0)
    }
}

impl Bytes {
    /// So many binary kibibytes.
    pub const fn kib(n: u64) -> Self {
        Self((n * 1024) as f64)
    }

    /// So many binary mebibytes.
    pub const fn mib(n: u64) -> Self {
        Self::kib(n * 1024)
    }

    /// The rate at which this moved; `None` for no time.
    pub fn per(self, time: Nanos) -> Option<BytesPerSec> {
        quotient(self.0, time.as_secs_f64()).map(BytesPerSec)
    }

    /// The least time that this takes at `rate`; `None` for a rate of zero.
    pub fn time_at(self, rate: BytesPerSec) -> Option<Nanos> {
        seconds(self.0, rate.0)
    }
}

impl Flops {
    /// The rate at which this was computed; `None` for no time.
    pub fn per(self, time: Nanos) -> Option<FlopsPerSec> {
        quotient(self.0, time.as_secs_f64()).map(FlopsPerSec)
    }

    /// The operations for each byte moved; `None` for no bytes.
    pub fn per_byte(self, bytes: Bytes) -> Option<Intensity> {
        quotient(self.0, bytes.0).map(Intensity)
    }

    /// The least time that this takes at `rate`; `None` for a rate of zero.
    pub fn time_at(self, rate: FlopsPerSec) -> Option<Nanos> {
        seconds(self.0, rate.0)
    }
}

impl FlopsPerSec {
    /// The ridge point of a roofline: above this intensity arithmetic is the limit. `None` for no bandwidth.
    pub fn ridge(self, bandwidth: BytesPerSec) -> Option<Intensity> {
        quotient(self.0, bandwidth.0).map(Intensity)
    }

    /// Operations for each cycle of the clock; `None` for no clock.
    pub fn per_cycle(self, clock: Hertz) -> Option<f64> {
        quotient(self.0, clock.0)
    }
}

fn quotient(top: f64, bottom: f64) -> Option<f64> {
    let res = top / bottom;
    (bottom > 0.0 && res.is_finite()).then_some(res)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and a time is not negative"
)]
fn seconds(amount: f64, rate: f64) -> Option<Nanos> {
    quotient(amount, rate).map(|s| Nanos((s * 1e9).round() as u64))
}

/// Three significant digits, and no fraction from 100 on.
fn digits(value: f64) -> String {
    let size = value.abs();
    let places = if size >= 99.95 {
        0
    } else if size >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.places$}")
}

/// Writes `value` with the largest unit of which there is at least one. `units` is (size, name), rising.
fn scaled(f: &mut fmt::Formatter<'_>, value: f64, units: &[(f64, &str)]) -> fmt::Result {
    // 999.5 of a unit would print as 1000: it belongs to the next one.
    let (size, name) = units
        .iter()
        .rev()
        .find(|(size, _)| value.abs() >= size * 0.9995)
        .or(units.first())
        .unwrap_or(&(1.0, ""));
    f.pad(&format!("{} {name}", digits(value / size)))
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1000 {
            return f.pad(&format!("{} ns", self.0));
        }
        scaled(f, self.0 as f64, &[(1e3, "µs"), (1e6, "ms"), (1e9, "s")])
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIB: f64 = 1024.0;
        if self.0.abs() < KIB {
            return f.pad(&format!("{:.0} B", self.0));
        }
        scaled(
            f,
            self.0,
            &[
                (KIB, "KiB"),
                (KIB * KIB, "MiB"),
                (KIB * KIB * KIB, "GiB"),
                (KIB * KIB * KIB * KIB, "TiB"),
            ],
        )
    }
}

impl fmt::Display for Flops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.abs() < 1000.0 {
            return f.pad(&format!("{:.0} FLOP", self.0));
        }
        scaled(
            f,
            self.0,
            &[(1e3, "kFLOP"), (1e6, "MFLOP"), (1e9, "GFLOP"), (1e12, "TFLOP"), (1e15, "PFLOP")],
        )
    }
}

impl fmt::Display for BytesPerSec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(
            f,
            self.0,
            &[(1.0, "B/s"), (1e3, "kB/s"), (1e6, "MB/s"), (1e9, "GB/s"), (1e12, "TB/s")],
        )
    }
}

impl fmt::Display for FlopsPerSec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(
            f,
            self.0,
            &[
                (1.0, "FLOP/s"),
                (1e3, "kFLOP/s"),
                (1e6, "MFLOP/s"),
                (1e9, "GFLOP/s"),
                (1e12, "TFLOP/s"),
            ],
        )
    }
}

impl fmt::Display for Intensity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} FLOP/byte", digits(self.0)))
    }
}

impl fmt::Display for Hertz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(f, self.0, &[(1.0, "Hz"), (1e3, "kHz"), (1e6, "MHz"), (1e9, "GHz")])
    }
}

impl fmt::Display for Ratio {
    /// As percent: a share known to a tenth below ten percent, to a whole percent above.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.0 * 100.0;
        // 9.95 would print as 10.0 with one place.
        let places = usize::from(percent != 0.0 && percent.abs() < 9.95);
        f.pad(&format!("{percent:.places$} %"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn shows(quantity: impl fmt::Display, expected: &str) {
        assert_eq!(quantity.to_string(), expected);
    }

    #[test]
    fn times_are_shown_with_three_digits() {
        shows(Nanos(0), "0 ns");
        shows(Nanos(38), "38 ns");
        shows(Nanos(1_240_000), "1.24 ms");
        shows(Nanos(999_700), "1.00 ms");
        shows(Nanos(12_400_000_000), "12.4 s");
        shows(Nanos(345_600_000_000), "346 s");
    }

    #[test]
    fn sizes_are_binary_and_rates_decimal() {
        shows(Bytes(12.0), "12 B");
        shows(Bytes::kib(48), "48.0 KiB");
        shows(Bytes::mib(260), "260 MiB");
        shows(BytesPerSec(38.14e9), "38.1 GB/s");
        shows(BytesPerSec(0.0), "0.00 B/s");
        shows(Flops(12.0), "12 FLOP");
        shows(Flops(4.3e9), "4.30 GFLOP");
        shows(FlopsPerSec(232.4e9), "232 GFLOP/s");
        shows(Intensity(0.5), "0.50 FLOP/byte");
        shows(Hertz(3.656e9), "3.66 GHz");
    }

    #[test]
    fn shares_are_shown_as_percent() {
        shows(Ratio(0.0), "0 %");
        shows(Ratio(0.004), "0.4 %");
        shows(Ratio(0.0996), "10 %");
        shows(Ratio(0.421), "42 %");
        shows(Ratio(1.0), "100 %");
    }

    #[test]
    fn width_and_alignment_hold() {
        assert_eq!(format!("[{:>10}]", Nanos(38)), "[     38 ns]");
        assert_eq!(format!("[{:<8}]", Ratio(0.5)), "[50 %    ]");
    }

    #[test]
    fn division_by_nothing_is_no_number() {
        assert_eq!(Bytes(8.0).per(Nanos::ZERO), None);
        assert_eq!(Flops(8.0).per_byte(Bytes(0.0)), None);
        assert_eq!(Bytes(8.0).time_at(BytesPerSec(0.0)), None);
        assert_eq!(Nanos(3).share_of(Nanos::ZERO), None);
        assert_eq!(FlopsPerSec(1.0).ridge(BytesPerSec(f64::NAN)), None);
        assert_eq!(Bytes::new(f64::NAN), None);
        assert_eq!(Flops::new(-1.0), None);
    }

    #[test]
    fn rates_and_times_agree() {
        let moved = Bytes(2e9);
        let rate = moved.per(Nanos::from_millis(500));
        assert_eq!(rate, Some(BytesPerSec(4e9)));
        assert_eq!(moved.time_at(BytesPerSec(4e9)), Some(Nanos::from_millis(500)));
        assert_eq!(FlopsPerSec(116e9).ridge(BytesPerSec(29e9)), Some(Intensity(4.0)));
        assert_eq!(Nanos(u64::MAX) + Nanos(1), Nanos(u64::MAX));
        assert_eq!(Nanos(3).checked_sub(Nanos(4)), None);
    }

    #[test]
    fn json_is_a_plain_number() {
        assert_eq!(serde_json::to_string(&(Nanos(5), Bytes(1.5))).unwrap(), "[5,1.5]");
        assert_eq!(serde_json::from_str::<Ratio>("0.25").unwrap(), Ratio(0.25));
    }
}

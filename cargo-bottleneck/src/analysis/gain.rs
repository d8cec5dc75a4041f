//! What following the advice would be worth, end to end, and the bound that no advice can exceed.
//!
//! A finding holds the share `s` of the time in flight. Were it free, the whole would be `1 / (1 - s)` times as fast
//! (Amdahl): the *bound*, taken at the upper end of the interval of a share that was sampled. Advice leaves the part `r` of
//! the finding's time, so its *gain* is `1 / (1 - s + s r)`, never above the bound because `r >= 0`. Where `r` would be a
//! guess there is no gain, only the bound. `f` and `b` are the shares of the peak and of the DRAM bandwidth that the finding
//! reaches (medians):
//!
//! | advice | `r` | holds if |
//! |---|---|---|
//! | halve the bytes (memory, bandwidth) | `max(1/2, f)` | the bandwidth in use stays; the arithmetic is not faster than its peak |
//! | use the vector units (compute, scalar or underused) | `max(f / 0.5, b)` | half of the peak is reached, and no more than the DRAM bandwidth is needed |
//! | come closer to the peak (compute, vector) | `f / 0.9` | nine tenths of the peak are reached |
//! | halve the bytes, nothing declared (memory, bandwidth) | `1 - m/2` | the part `m` of the time waits for DRAM, for half as long |
//! | give each thread lines of its own (memory, coherence) | `1 - m` | nothing else writes the lines |
//! | keep buffers (memory, first-touch) | 0 | no page is handed out anew |
//! | keep the data in memory (I/O: disk, copy), wait for the event (timer) | 0 | the wait does not come back elsewhere |
//! | make 16 things safe at once (I/O: sync) | 1/16 | that takes no longer than one does |
//! | wait for the event (poll loop) | `1 - 1/2n` | of `n` sleeps the event comes in the middle of the last; a guess if `n < 2` |
//! | balance, feed, split the lock, do not spin, fewer threads (scheduling) | 0 | CPUs do not idle; the share is what is lost |
//!
//! The time of a finding is all that goes with its cause at its place: with a wait the kernel's work for it and the wake-up
//! after it. Fresh memory is one finding's matter everywhere: what is handed out in one place is given back in another.
//!
//! Where scheduling is to blame for moments at which some CPUs work, the share is the part of the CPUs' time that is lost: no more
//! can be won back.
//!
//! Halving the bytes of `i8` operands is not possible in general: no gain. With spans on several threads a share of thread
//! time is not one of wall time: neither gain nor bound.

use crate::profile::Dtype;

use super::roofline::Point;
use super::subkind::Subkind;

/// Gains below this are not worth a number.
const LEAST: f64 = 1.03;
/// Above this a gain is a matter of the last points of a share: no share is known so well.
const MOST: f64 = 5.0;
/// What is made safe at once, if the advice is followed.
const SYNCS_TOGETHER: f64 = 16.0;
/// A loop that sleeps less often for each event does not tell when that comes.
const LEAST_NAPS: f64 = 2.0;
/// A share above this is everything there is.
const ALL: f64 = 0.999;

/// A speed-up of the whole and its bound; each is rounded down to two digits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gain {
    /// `None` where it cannot be estimated or is below 1.03.
    pub gain: Option<f64>,
    /// `None` where the finding is everything there is, so that there is no bound.
    pub bound: Option<f64>,
}

impl Gain {
    /// The gain for a finding with this share of the time in flight.
    pub fn of(share: f64, subkind: Subkind, basis: &Basis<'_>) -> Self {
        let share = share.clamp(0.0, 1.0);
        let left = part_left(subkind, basis);
        let gain = left.map(|left| two_digits(1.0 / (1.0 - share + share * left.clamp(0.0, 1.0))));
        // Sampled shares may be larger than they look.
        let most = share + basis.margin;
        let bound = (most < ALL).then(|| two_digits(1.0 / (1.0 - most)));
        // Of everything nothing is left to take the time of: such a number would be noise.
        let is_number = |&gain: &f64| (LEAST..=MOST).contains(&gain);
        Self { gain: gain.filter(is_number), bound }
    }
}

/// What is known of a finding, beside its share.
#[derive(Clone, Copy, Debug, Default)]
pub struct Basis<'a> {
    /// Type of the operands, where work is declared.
    pub dtype: Option<Dtype>,
    /// Where the declared work lies under the roofline.
    pub point: Option<&'a Point>,
    /// The part of the finding's time that waits for DRAM, as sampled.
    pub stalled: Option<f64>,
    /// Waits of a path for each of its calls.
    pub waits_per_call: Option<f64>,
    /// By how much the share may be larger than it looks, because it is sampled.
    pub margin: f64,
}

/// The part of a finding's time that is left after the advice; `None` where it would be a guess.
fn part_left(subkind: Subkind, basis: &Basis<'_>) -> Option<f64> {
    let f = basis.point.and_then(|point| point.arithmetic).map(|f| f.median);
    let b = basis.point.and_then(|point| point.bandwidth).map(|b| b.median);
    match subkind {
        Subkind::Bandwidth if basis.dtype == Some(Dtype::I8) => None,
        Subkind::Bandwidth if basis.point.is_some() => Some(f.unwrap_or(0.0).max(0.5)),
        Subkind::Bandwidth => Some(1.0 - basis.stalled? / 2.0),
        Subkind::Coherence => Some(1.0 - basis.stalled?),
        Subkind::Scalar | Subkind::Underused => Some((f? / 0.5).max(b.unwrap_or(0.0))),
        Subkind::Vector => Some(f? / 0.9),
        Subkind::Sync => Some(1.0 / SYNCS_TOGETHER),
        // What comes within the first sleep may come at any point of it.
        Subkind::PollLoop => {
            let naps = basis.waits_per_call.filter(|&naps| naps >= LEAST_NAPS)?;
            Some(1.0 - 0.5 / naps)
        }
        Subkind::FirstTouch
        | Subkind::Copy
        | Subkind::Disk
        | Subkind::Timer
        | Subkind::Lock
        | Subkind::Imbalance
        | Subkind::StarvedQueue
        | Subkind::Spin
        | Subkind::Oversubscribed
        | Subkind::StarvedByHost
        | Subkind::StreamDependency
        | Subkind::DefaultStream
        | Subkind::SyncDrain
        | Subkind::LaunchBound
        | Subkind::ModuleLoad
        | Subkind::Throttled => Some(0.0),
        // What is left of a wait for others, or of lookups that are made otherwise, would be a guess.
        Subkind::Cache
        | Subkind::Latency
        | Subkind::Arithmetic
        | Subkind::Divide
        | Subkind::Branchy
        | Subkind::Network
        | Subkind::Pipe
        | Subkind::ChildProcess
        | Subkind::Wakeup
        | Subkind::Interference
        | Subkind::DeviceBandwidth
        | Subkind::DeviceArithmetic
        | Subkind::DeviceCopy
        | Subkind::UnseenDevice
        | Subkind::Asserted => None,
    }
}

/// Down, so that neither number promises more than was computed.
fn two_digits(value: f64) -> f64 {
    // A hair more than the number itself, so that 1.2 does not become 1.19.
    (value * 100.0 + 1e-9).floor() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::ceilings::Range;
    use proptest::prelude::*;

    fn point(f: f64, b: f64) -> Point {
        Point {
            arithmetic: Some(Range::exactly(f)),
            bandwidth: Some(Range::exactly(b)),
            ..Point::default()
        }
    }

    fn declared(share: f64, subkind: Subkind, dtype: Dtype, point: &Point) -> Gain {
        let basis = Basis {
            dtype: Some(dtype),
            point: Some(point),
            stalled: None,
            waits_per_call: None,
            margin: 0.0,
        };
        Gain::of(share, subkind, &basis)
    }

    #[test]
    fn halving_the_bytes_of_a_third_of_the_time() {
        let gain = declared(0.351, Subkind::Bandwidth, Dtype::F32, &point(0.1, 0.9));
        assert_eq!((gain.gain, gain.bound), (Some(1.21), Some(1.54)));
    }

    #[test]
    fn arithmetic_limits_what_fewer_bytes_are_worth() {
        let gain = declared(0.5, Subkind::Bandwidth, Dtype::F32, &point(0.8, 0.9));
        assert_eq!(gain.gain, Some(1.11));
    }

    #[test]
    fn what_would_be_a_guess_has_only_a_bound() {
        let gain = Gain::of(0.5, Subkind::Network, &Basis::default());
        assert_eq!((gain.gain, gain.bound), (None, Some(2.0)));
        assert_eq!(declared(0.5, Subkind::Bandwidth, Dtype::I8, &point(0.1, 0.9)).gain, None);
        assert_eq!(Gain::of(0.5, Subkind::Bandwidth, &Basis::default()).gain, None);
    }

    #[test]
    fn a_wait_that_goes_away_is_worth_its_bound() {
        let gain = Gain::of(0.5, Subkind::Timer, &Basis::default());
        assert_eq!((gain.gain, gain.bound), (Some(2.0), Some(2.0)));
        assert_eq!(Gain::of(0.999_9, Subkind::Disk, &Basis::default()), Gain::default());
    }

    #[test]
    fn the_bound_of_a_sampled_share_is_at_its_upper_end() {
        let sampled = Basis { margin: 0.1, ..Basis::default() };
        let gain = Gain::of(0.4, Subkind::Timer, &sampled);
        assert_eq!((gain.gain, gain.bound), (Some(1.66), Some(2.0)));
        assert_eq!(Gain::of(0.95, Subkind::Network, &sampled).bound, None);
    }

    #[test]
    fn a_poll_loop_that_sleeps_once_does_not_tell_when_its_event_comes() {
        let naps = |n| Basis { waits_per_call: Some(n), ..Basis::default() };
        assert_eq!(Gain::of(0.8, Subkind::PollLoop, &naps(1.0)).gain, None);
        // Of five sleeps a half of the last one.
        assert_eq!(Gain::of(0.8, Subkind::PollLoop, &naps(5.0)).gain, Some(1.08));
    }

    #[test]
    fn half_of_the_bytes_halve_what_waits_for_them() {
        let sampled = Basis { stalled: Some(0.8), ..Basis::default() };
        let gain = Gain::of(0.5, Subkind::Bandwidth, &sampled);
        assert_eq!((gain.gain, gain.bound), (Some(1.25), Some(2.0)));
    }

    #[test]
    fn a_finding_that_is_everything_has_no_bound() {
        let gain = declared(1.0, Subkind::Bandwidth, Dtype::F32, &point(0.1, 0.9));
        assert_eq!((gain.gain, gain.bound), (Some(2.0), None));
    }

    proptest! {
        #[test]
        fn no_gain_is_above_its_bound_or_below_1_03(share in -0.1_f64..1.1, f in 0.0_f64..3.0, b in 0.0_f64..3.0, which in 0..Subkind::ALL.len(), stalled in -0.1_f64..1.1) {
            let point = point(f, b);
            let basis = Basis {
                dtype: Some(Dtype::F32),
                point: (f < 2.0).then_some(&point),
                stalled: Some(stalled),
                waits_per_call: None,
                margin: 0.0,
            };
            let gain = Gain::of(share, Subkind::ALL[which], &basis);
            if let Some(value) = gain.gain {
                prop_assert!(value >= LEAST);
                prop_assert!(gain.bound.is_none_or(|bound| value <= bound));
                // Two digits.
                prop_assert!((value * 100.0 - (value * 100.0).round()).abs() < 1e-6);
            }
        }
    }
}

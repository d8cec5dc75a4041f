//! Ticks to nanoseconds, and how long the run lasted, from anchors of which some may be torn or damaged.
//!
//! An anchor is a pair of ticks and `CLOCK_MONOTONIC`. The rate is the median slope between neighbors; anchors that
//! contradict it are ignored, so one damaged number never moves the clock.

use bottleneck_runtime::format::HeaderData;
use bottleneck_runtime::format::header::CLOCK_MONOTONIC;

use super::warning::{Damage, Damages};

/// No run is longer, in ns: ten years.
const LONGEST_RUN_NS: u64 = 10 * 366 * 24 * 3_600 * 1_000_000_000;
/// Anchors come every 100 ms; a busy machine may delay one by so much, in ns.
const LATEST_NEXT_ANCHOR_NS: u64 = 1_000_000_000;
/// An orderly end may come so long after the last anchor, in ns: the recorder's thread may have been stopped before.
const LATEST_END_NS: u64 = 60_000_000_000;
/// What an anchor may lie off the line, in ns: the thread can be preempted between its two stores.
const SLACK_NS: u64 = 1_000_000;
/// Nanoseconds a tick of any counter: 50 GHz to 1 MHz.
const RATES: std::ops::RangeInclusive<f64> = 0.02..=1_000.0;

/// A pair of ticks and `CLOCK_MONOTONIC` in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) ticks: u64,
    pub(super) ns: u64,
}

/// Converts ticks, and knows the life of the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Anchor,
    ns_per_tick: f64,
    life_ns: u64,
    /// The run did not end by itself.
    pub(super) is_cut: bool,
    /// There was no anchor: a tick counts as a nanosecond.
    pub(super) is_uncalibrated: bool,
    /// The end is the last anchor: the process lived on for an unknown time.
    is_end_open: bool,
}

impl Clock {
    /// A clock from the header and the anchors in the order of the file. `death_ns` is `CLOCK_MONOTONIC` when the process
    /// was seen to be gone; it counts only for a run that was cut.
    pub(super) fn new(
        header: &HeaderData,
        anchors: &[Anchor],
        death_ns: Option<u64>,
        damages: &mut Damages,
    ) -> Self {
        let header_start = Anchor { ticks: header.start_ticks, ns: header.start_ns };
        let mut points = vec![header_start];
        points.extend(anchors.iter().filter(|anchor| anchor.ticks != 0 || anchor.ns != 0));
        if header.last_ticks != 0 || header.last_ns != 0 {
            points.push(Anchor { ticks: header.last_ticks, ns: header.last_ns });
        }
        let rate = if header.clock == CLOCK_MONOTONIC { Some(1.0) } else { median_slope(&points) };
        let Some(rate) = rate else {
            damages.note(Damage::NoAnchor);
            return Self::without_anchors(header, death_ns, damages);
        };
        let start = anchor_with_most_company(&points, rate);
        if start != header_start {
            damages.note(Damage::Start);
        }
        let mut last = start;
        for &point in &points[1..] {
            if !agree(start, point, rate) || point.ns.saturating_sub(start.ns) > LONGEST_RUN_NS {
                damages.note(Damage::Anchor);
            } else if point.ns > last.ns {
                last = point;
            }
        }
        let (ticks, ns) = (last.ticks.saturating_sub(start.ticks), last.ns - start.ns);
        let is_precise = header.clock != CLOCK_MONOTONIC && ns >= SLACK_NS && ticks > 0;
        let ns_per_tick = if is_precise { ns as f64 / ticks as f64 } else { rate };
        let mut clock = Self {
            start,
            ns_per_tick,
            life_ns: ns,
            is_cut: true,
            is_uncalibrated: false,
            is_end_open: true,
        };
        clock.finish(header, death_ns, damages);
        clock
    }

    fn without_anchors(header: &HeaderData, death_ns: Option<u64>, damages: &mut Damages) -> Self {
        let start = Anchor { ticks: header.start_ticks, ns: header.start_ns };
        let mut clock = Self {
            start,
            ns_per_tick: 1.0,
            life_ns: 0,
            is_cut: true,
            is_uncalibrated: true,
            is_end_open: true,
        };
        clock.finish(header, death_ns, damages);
        clock
    }

    /// Moves the end from the last anchor to the end that the header or the caller knows.
    fn finish(&mut self, header: &HeaderData, death_ns: Option<u64>, damages: &mut Damages) {
        let last_ns = self.start.ns.saturating_add(self.life_ns);
        let latest = if self.life_ns == 0 { LONGEST_RUN_NS } else { LATEST_END_NS };
        if header.end_ns != 0 {
            self.is_cut = false;
            if header.end_ns.saturating_add(SLACK_NS) >= last_ns
                && header.end_ns <= last_ns.saturating_add(latest)
            {
                self.is_end_open = false;
                self.life_ns = header.end_ns.max(last_ns) - self.start.ns;
            } else {
                damages.note(Damage::End);
            }
        } else if let Some(death_ns) = death_ns
            && death_ns > last_ns
            && death_ns - self.start.ns <= LONGEST_RUN_NS
        {
            self.is_end_open = false;
            self.life_ns = death_ns - self.start.ns;
        }
    }

    /// The file knows of something at `instant_ns` after the start: a run whose end is only its last anchor lived at
    /// least until then. What lies further behind that anchor than the next one would have is not believed.
    pub(super) fn lived_until(&mut self, instant_ns: u64) {
        if self.is_end_open && instant_ns <= self.life_ns.saturating_add(LATEST_NEXT_ANCHOR_NS) {
            self.life_ns = self.life_ns.max(instant_ns);
        }
    }

    /// From start to end, in ns.
    pub(super) fn life_ns(&self) -> u64 {
        self.life_ns
    }

    /// `CLOCK_MONOTONIC` of the start, in ns.
    pub(super) fn start_ns(&self) -> u64 {
        self.start.ns
    }

    /// A length of time; saturates.
    pub(super) fn duration_ns(&self, ticks: u64) -> u64 {
        scaled(ticks, self.ns_per_tick)
    }

    /// The instant of `ticks` after the start; `None` for one before it.
    pub(super) fn instant_ns(&self, ticks: u64) -> Option<u64> {
        ticks.checked_sub(self.start.ticks).map(|ticks| self.duration_ns(ticks))
    }

    /// The instant of a `CLOCK_MONOTONIC` time after the start; `None` for one before it or behind the end.
    pub(super) fn monotonic(&self, ns: u64) -> Option<u64> {
        ns.checked_sub(self.start.ns).filter(|&instant| instant <= self.life_ns)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and both are positive"
)]
fn scaled(ticks: u64, ns_per_tick: f64) -> u64 {
    // Exact for a clock that counts nanoseconds, also beyond 2^53.
    if ns_per_tick.to_bits() == 1.0_f64.to_bits() {
        ticks
    } else {
        (ticks as f64 * ns_per_tick) as u64
    }
}

/// The median of the slopes between neighbors, of those at least [`SLACK_NS`] apart where there are any.
fn median_slope(points: &[Anchor]) -> Option<f64> {
    let slopes = |apart_ns: u64| -> Vec<f64> {
        let pairs = points.windows(2).filter_map(|pair| {
            let ticks = pair[1].ticks.checked_sub(pair[0].ticks).filter(|&ticks| ticks > 0)?;
            let ns = pair[1].ns.checked_sub(pair[0].ns).filter(|&ns| ns >= apart_ns)?;
            let slope = ns as f64 / ticks as f64;
            RATES.contains(&slope).then_some(slope)
        });
        pairs.collect()
    };
    let mut slopes =
        Some(slopes(SLACK_NS)).filter(|far| !far.is_empty()).unwrap_or_else(|| slopes(1));
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied()
}

/// The first of `points` with which the most others agree.
fn anchor_with_most_company(points: &[Anchor], rate: f64) -> Anchor {
    // The start is damaged only if none of the first few anchors agrees with it; a handful of candidates is enough.
    let company =
        |candidate: Anchor| points.iter().filter(|&&point| agree(candidate, point, rate)).count();
    let mut best = (points[0], company(points[0]));
    for &candidate in points.iter().skip(1).take(8) {
        let found = company(candidate);
        if found > best.1 {
            best = (candidate, found);
        }
    }
    best.0
}

/// Whether both lie on one line of this slope, within a thousandth and [`SLACK_NS`].
fn agree(from: Anchor, to: Anchor, rate: f64) -> bool {
    let (Some(ticks), Some(ns)) = (to.ticks.checked_sub(from.ticks), to.ns.checked_sub(from.ns))
    else {
        return false;
    };
    scaled(ticks, rate).abs_diff(ns) <= SLACK_NS.saturating_add(ns / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn header(last: Anchor, end_ns: u64) -> HeaderData {
        HeaderData {
            clock: bottleneck_runtime::format::header::CLOCK_TSC,
            start_ticks: 1_000,
            start_ns: 5_000,
            last_ticks: last.ticks,
            last_ns: last.ns,
            end_ns,
            ..HeaderData::default()
        }
    }

    /// The anchor `ms` after the start of [`header`] on a counter of 3 GHz.
    fn at(ms: u64) -> Anchor {
        Anchor { ticks: 1_000 + ms * MS * 3, ns: 5_000 + ms * MS }
    }

    #[track_caller]
    fn check(
        header: &HeaderData,
        anchors: &[Anchor],
        death_ns: Option<u64>,
        life_ms: u64,
        expected: &[Damage],
    ) -> Clock {
        let mut damages = Damages::default();
        let clock = Clock::new(header, anchors, death_ns, &mut damages);
        let met: Vec<Damage> =
            damages.into_warnings().iter().map(|warning| warning.damage).collect();
        assert_eq!(clock.life_ns(), life_ms * MS);
        assert_eq!(met, expected);
        clock
    }

    #[test]
    fn ticks_become_nanoseconds_and_an_orderly_end_ends_the_life() {
        let clock =
            check(&header(at(300), at(350).ns), &[at(100), at(200)], Some(at(999).ns), 350, &[]);
        assert_eq!(clock.duration_ns(3_000), 1_000);
        assert_eq!(clock.instant_ns(1_000 + 3 * MS), Some(MS));
        assert_eq!(clock.instant_ns(999), None);
        assert!(!clock.is_cut);
    }

    #[test]
    fn a_run_that_was_cut_ends_with_its_last_anchor_or_its_death() {
        assert!(check(&header(at(300), 0), &[at(100), at(200)], None, 300, &[]).is_cut);
        assert!(check(&header(at(300), 0), &[at(100), at(200)], Some(at(340).ns), 340, &[]).is_cut);
        assert!(check(&header(at(300), 0), &[at(100), at(200)], Some(at(20).ns), 300, &[]).is_cut);
    }

    #[test]
    fn an_anchor_torn_between_its_two_stores_is_ignored() {
        let torn = Anchor { ticks: at(300).ticks, ns: at(200).ns };
        check(&header(torn, 0), &[at(100), at(200)], None, 200, &[Damage::Anchor]);
    }

    #[test]
    fn an_absurd_anchor_or_start_or_end_moves_nothing() {
        let absurd = Anchor { ticks: u64::MAX, ns: u64::MAX };
        check(&header(at(300), 0), &[at(100), absurd, at(200)], None, 300, &[Damage::Anchor]);
        check(&header(absurd, 0), &[at(100), at(200)], None, 200, &[Damage::Anchor]);
        check(&header(at(300), u64::MAX), &[at(100), at(200)], None, 300, &[Damage::End]);
        let mut damaged = header(at(300), 0);
        damaged.start_ns ^= 1 << 62;
        let clock = check(&damaged, &[at(100), at(200)], None, 200, &[Damage::Start]);
        assert_eq!(clock.start_ns(), at(100).ns);
    }

    #[test]
    fn without_an_anchor_a_tick_counts_as_a_nanosecond() {
        let none = Anchor { ticks: 0, ns: 0 };
        let clock = check(&header(none, 0), &[], Some(at(50).ns), 50, &[Damage::NoAnchor]);
        assert!(clock.is_uncalibrated);
        assert_eq!(clock.duration_ns(7), 7);
    }

    #[test]
    fn what_the_file_knows_of_later_extends_a_cut_run_by_less_than_an_anchors_delay() {
        let mut clock = check(&header(at(300), 0), &[at(100), at(200)], None, 300, &[]);
        clock.lived_until(350 * MS);
        assert_eq!(clock.life_ns(), 350 * MS);
        clock.lived_until(90_000 * MS);
        assert_eq!(clock.life_ns(), 350 * MS);
    }
}

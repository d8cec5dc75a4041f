//! The levels of the caches, found by how long loads take from data of rising size.
//!
//! Pure: a curve in, levels out. What the processor says of its caches is not asked: in virtual machines it is what the
//! hypervisor likes, and of a cache that is shared a program has what its neighbors leave.

use crate::machine::interval::Interval;

/// How long a load takes when the data are so large.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// Size of the data.
    pub(super) bytes: usize,
    /// Time of a load in ns.
    pub(super) ns: Interval<f64>,
}

/// A cache as it behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    /// 1 is next to the core.
    pub(super) number: u8,
    /// The median of its part of the curve.
    pub(super) typical: Point,
    /// The largest data whose loads still take about its time.
    pub(super) holds: usize,
    /// The curve ends before it does: it may hold more.
    pub(super) may_hold_more: bool,
}

/// Within a level the time rises at most so much from its least size to its greatest: outer levels fill up slowly.
const WITHIN: f64 = 1.5;
/// A step of the stairs has at least so many points: fewer are the rise between two.
const LEAST_POINTS: usize = 3;
/// Neighbors that are nearer than this are one level: real ones differ by two and more.
const APART: f64 = 1.8;
/// What takes more than this part of a load from memory is on the way there.
const BELOW_MEMORY: f64 = 0.6;

/// Finds the levels of a curve with rising sizes. `memory_ns` is a load from memory.
///
/// ```text
/// ns                       ____ memory
///                   ______/          may be slanted: what is shared fills up slowly
///        __________/                 L3
///  _____/                            L2
/// /                                  L1
/// ```
pub(super) fn find(curve: &[Point], memory_ns: f64) -> Vec<Level> {
    let times = without_peaks(curve);
    let mut steps = steps(&times, memory_ns * BELOW_MEMORY);
    merge_near(&mut steps, &times);
    let mut levels = Vec::new();
    for (index, &(first, last)) in steps.iter().enumerate() {
        let next = steps.get(index + 1).map_or(memory_ns, |&(first, _)| times[first]);
        let limit = (time_of(&times, first, last) * next).sqrt();
        let holds = times.iter().rposition(|&ns| ns <= limit).unwrap_or(last).max(last);
        levels.push(Level {
            number: u8::try_from(index + 1).unwrap_or(u8::MAX),
            typical: middle(&curve[first..=last]),
            holds: curve[holds].bytes,
            may_hold_more: holds + 1 == curve.len(),
        });
    }
    levels
}

/// The point with the median time; there is one.
fn middle(part: &[Point]) -> Point {
    let mut sorted = part.to_vec();
    sorted.sort_by(|a, b| a.ns.median.total_cmp(&b.ns.median));
    sorted[(sorted.len() - 1) / 2]
}

/// The curve as it must be, which rises only: a disturbed size is not slower than a larger one.
fn without_peaks(curve: &[Point]) -> Vec<f64> {
    let mut times: Vec<f64> = curve.iter().map(|point| point.ns.median).collect();
    for at in (1..times.len()).rev() {
        times[at - 1] = times[at - 1].min(times[at]);
    }
    times
}

/// The flat parts below `limit`: first and last point of each.
fn steps(times: &[f64], limit: f64) -> Vec<(usize, usize)> {
    let mut res = Vec::new();
    let mut first = 0;
    while first < times.len() && times[first] < limit {
        let beyond = |ns: &f64| *ns > times[first] * WITHIN || *ns >= limit;
        let len = times[first..].iter().position(beyond).unwrap_or(times.len() - first);
        if len >= LEAST_POINTS {
            res.push((first, first + len - 1));
        }
        first += if len >= LEAST_POINTS { len } else { 1 };
    }
    res
}

fn merge_near(steps: &mut Vec<(usize, usize)>, times: &[f64]) {
    let mut at = 1;
    while at < steps.len() {
        let ((first, last), (next_first, next_last)) = (steps[at - 1], steps[at]);
        if time_of(times, next_first, next_last) < APART * time_of(times, first, last) {
            steps[at - 1] = (first, next_last);
            steps.remove(at);
        } else {
            at += 1;
        }
    }
}

fn time_of(times: &[f64], first: usize, last: usize) -> f64 {
    times[usize::midpoint(first, last)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes from 4 KiB on, each 1.41 times the one before.
    fn curve(times: &[f64]) -> Vec<Point> {
        let size = |step: usize| if step.is_multiple_of(2) { 4096 } else { 5792 } << (step / 2);
        let points = times.iter().enumerate();
        points.map(|(at, &ns)| Point { bytes: size(at), ns: Interval::exactly(ns) }).collect()
    }

    #[track_caller]
    fn check(times: &[f64], memory_ns: f64, expected: &[(f64, usize, bool)]) {
        let found = find(&curve(times), memory_ns);
        let found: Vec<_> = found
            .iter()
            .map(|level| (level.typical.ns.median, level.holds >> 10, level.may_hold_more))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn stairs_are_levels() {
        //        4K  6   8   11  16  23  32   45   64   91   128  181  256  362  512   724   1M    1.4M  2M
        check(
            &[
                1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 20.0, 20.0,
                20.0, 20.0, 100.0, 100.0, 100.0,
            ],
            100.0,
            &[(1.0, 32, false), (4.0, 362, false), (20.0, 1448, false)],
        );
    }

    #[test]
    fn a_shared_cache_that_fills_up_slowly_is_one_level() {
        // Measured on a virtual machine with 48 KiB, 2 MiB and a part of 260 MiB.
        check(
            &[
                1.70, 1.70, 1.70, 1.70, 1.71, 1.71, 1.99, 4.63, 5.31, 5.43, 5.46, 5.52, 5.75, 6.14,
                6.54, 7.07, 8.78, 24.3, 29.04, 34.1, 33.22, 37.35, 38.93, 43.59, 44.39, 46.2, 47.8,
                49.3, 52.2, 63.0, 78.9, 114.5, 144.5,
            ],
            135.0,
            &[(1.70, 32, false), (5.46, 1024, false), (38.93, 92672, false)],
        );
    }

    #[test]
    fn a_disturbed_size_is_no_level() {
        check(
            &[1.0, 1.0, 9.0, 9.0, 9.0, 1.0, 1.0, 4.0, 4.0, 4.0, 4.0, 50.0, 50.0, 50.0],
            60.0,
            &[(1.0, 32, false), (4.0, 128, false)],
        );
    }

    #[test]
    fn a_curve_that_ends_early_says_so() {
        check(&[1.0, 1.0, 1.0, 4.0, 4.0, 4.0], 90.0, &[(1.0, 8, false), (4.0, 22, true)]);
    }

    #[test]
    fn without_stairs_there_are_no_levels() {
        check(&[10.0, 20.0, 40.0, 80.0, 160.0], 160.0, &[]);
        check(&[90.0, 90.0, 90.0, 90.0], 90.0, &[]);
        check(&[], 90.0, &[]);
    }
}

//! Lines between the times of levels, and whether they separate them well enough to conclude anything.
//!
//! Pure. The method that rests on them is switched off here, with the reason, rather than trusted where it guesses.

use crate::machine::load_times::{LoadTimes, Skid, Threshold};
use crate::units::Ratio;

/// Another cut is taken only where it mistakes so much less than the formula: a formula holds on a busier day too.
const BETTER: f64 = 0.02;
/// Memory and the last cache must differ by so many steps of the counter.
const LEAST_STEPS: u32 = 3;
/// A line that so many of either side are beyond separates nothing.
const MOST_MISTAKEN: f64 = 0.25;
/// So many of the samples must be at one distance from the load, or they name wrong instructions.
const LEAST_SHARE: f64 = 0.80;
/// With fewer samples that share is chance.
const LEAST_SAMPLES: u32 = 30;

/// Ticks of timed loads, by level; each is sorted and not empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sorted {
    /// Caches from the innermost on.
    pub(super) caches: Vec<Vec<u32>>,
    pub(super) memory: Vec<u32>,
}

/// The value that `share` of the sorted values do not exceed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index into the values"
)]
pub(super) fn quantile(sorted: &[u32], share: f64) -> u32 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(0)
}

/// The greatest difference that divides all differences of the values: what the counter can show.
pub(super) fn step(sorted: &Sorted) -> u32 {
    let all = sorted.caches.iter().flatten().chain(&sorted.memory);
    let gcd = |mut a: u32, mut b: u32| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let first = sorted.memory.first().copied().unwrap_or(0);
    all.fold(0, |step, ticks| gcd(step, ticks.abs_diff(first))).max(1)
}

/// Between the caches of the core and the shared one, and between that and memory. With fewer than three caches there is
/// nothing in between, and both lines are the same. `None` without any cache.
///
/// The times over a hot load are compared, because the fences cost the same at every level: by their mean between caches,
/// which overlap by equal amounts, and by their geometric mean before memory, whose times spread with their size.
pub(super) fn lines(sorted: &Sorted) -> Option<(Threshold, Threshold)> {
    let median = |ticks: &[u32]| f64::from(quantile(ticks, 0.5));
    let (last, inner) = sorted.caches.split_last()?;
    let hot = median(sorted.caches.first()?);
    let over = |ticks: &[u32]| (median(ticks) - hot).max(0.0);
    let far = hot + (over(last).max(1.0) * over(&sorted.memory)).sqrt();
    let far = between(last, &sorted.memory, far);
    let near = match inner {
        [_, .., own] => between(own, last, hot + f64::midpoint(over(own), over(last))),
        [] | [_] => far,
    };
    Some((near, far))
}

/// The line at `proposed` ticks, or where far fewer of both sides are on the wrong side of it.
fn between(inner: &[u32], outer: &[u32], proposed: f64) -> Threshold {
    let at = |ticks: u32| {
        let part = |n: usize, of: &[u32]| Ratio(n as f64 / of.len().max(1) as f64);
        Threshold {
            ticks,
            inner_mistaken: part(inner.len() - inner.partition_point(|&t| t < ticks), inner),
            outer_mistaken: part(outer.partition_point(|&t| t < ticks), outer),
        }
    };
    let cost = |line: &Threshold| line.inner_mistaken.get() + line.outer_mistaken.get();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and times are not negative"
    )]
    let formula = at(proposed.ceil() as u32);
    let best = outer.iter().map(|&ticks| at(ticks)).min_by(|a, b| cost(a).total_cmp(&cost(b)));
    best.filter(|best| cost(best) + BETTER < cost(&formula)).unwrap_or(formula)
}

/// Why nothing may be concluded from these times, as a sentence fragment; `None` where they are good.
pub(super) fn why_off(times: &LoadTimes) -> Option<String> {
    let memory = times.of(None)?.median;
    let last = times.levels.iter().rfind(|level| level.level.is_some())?;
    if memory.saturating_sub(last.median) < LEAST_STEPS * times.step {
        return Some(format!(
            "a load from memory takes {memory} ticks and one from the last cache {}, in steps of {}: they cannot be told apart",
            last.median, times.step
        ));
    }
    let line = times.far;
    let worst = line.inner_mistaken.get().max(line.outer_mistaken.get());
    if worst > MOST_MISTAKEN {
        return Some(format!(
            "{:.0}% of the loads are on the wrong side of any line between memory and the last cache",
            worst * 100.0
        ));
    }
    match times.skid {
        None => Some("where a thread waits could not be seen: no timer interrupted it".to_owned()),
        Some(Skid { samples, .. }) if samples < LEAST_SAMPLES => {
            Some(format!("only {samples} samples of a thread that waits for loads were taken"))
        }
        Some(Skid { share, .. }) if share.get() < LEAST_SHARE => Some(format!(
            "only {:.0}% of the samples of a thread that waits for loads are at the same instruction",
            share.get() * 100.0
        )),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::ceilings::Measurement;
    use crate::machine::load_times::LevelTime;
    use crate::units::{Bytes, Hertz, Nanos};

    fn spread(middle: u32, by: u32) -> Vec<u32> {
        (0..101).map(|at| middle - by + at * 2 * by / 100 / 2 * 2).collect()
    }

    fn times(caches: &[(u32, u32)], memory: (u32, u32), skid: Option<Skid>) -> LoadTimes {
        let sorted = Sorted {
            caches: caches.iter().map(|&(middle, by)| spread(middle, by)).collect(),
            memory: spread(memory.0, memory.1),
        };
        let (near, far) = lines(&sorted).unwrap();
        let level = |level, ticks: &[u32]| LevelTime {
            level,
            data: Bytes::kib(1),
            p10: quantile(ticks, 0.1),
            median: quantile(ticks, 0.5),
            p90: quantile(ticks, 0.9),
        };
        let caches = (1..).zip(&sorted.caches).map(|(at, ticks)| level(Some(at), ticks));
        let mut res = LoadTimes {
            tick_rate: Hertz(2.3e9),
            step: step(&sorted),
            levels: caches.chain([level(None, &sorted.memory)]).collect(),
            near,
            far,
            skid,
            off: None,
            measurement: Measurement::now(String::new(), Nanos(1)),
        };
        res.off = why_off(&res);
        res
    }

    const SKID: Skid = Skid { instructions: 1, share: Ratio(0.98), samples: 200 };

    #[test]
    fn levels_that_are_far_apart_are_told_apart() {
        let found = times(&[(48, 2), (56, 4), (120, 20), (300, 30)][..3], (300, 30), Some(SKID));
        // 48 + (8 + 72) / 2, and 48 + sqrt(72 * 252).
        assert_eq!((found.near.ticks, found.far.ticks), (88, 183));
        assert_eq!(found.off, None);
        assert_eq!(found.step, 2);
        assert_eq!((found.near.inner_mistaken, found.far.outer_mistaken), (Ratio(0.0), Ratio(0.0)));
        let memory = found.of(None).unwrap();
        assert!((272..=278).contains(&memory.p10) && memory.median == 300, "{memory:?}");
    }

    #[test]
    fn without_a_shared_cache_there_is_one_line() {
        let found = times(&[(48, 2), (56, 4)], (300, 30), Some(SKID));
        assert_eq!(found.near, found.far);
        assert_eq!(lines(&Sorted::default()), None);
    }

    #[test]
    fn the_line_moves_where_the_formula_mistakes_much() {
        // Memory is spread so widely that the geometric mean lies within it.
        let found = times(&[(48, 2), (56, 4), (100, 10)], (300, 180), Some(SKID));
        assert!((111..=122).contains(&found.far.ticks), "{:?}", found.far);
        assert!(found.far.outer_mistaken.get() < 0.02, "{:?}", found.far);
    }

    #[test]
    fn what_cannot_be_told_apart_is_off() {
        let why = |times: LoadTimes| times.off.unwrap_or_default();
        let near = times(&[(48, 2), (56, 4), (296, 2)], (300, 2), Some(SKID));
        assert!(why(near).contains("cannot be told apart"));
        let mixed = times(&[(48, 2), (56, 4), (250, 200)], (300, 200), Some(SKID));
        assert!(why(mixed).contains("wrong side"));
        let good = |skid| times(&[(48, 2), (56, 4), (120, 20)], (300, 30), skid);
        assert!(why(good(None)).contains("no timer"));
        let blurred = Skid { share: Ratio(0.5), ..SKID };
        assert!(why(good(Some(blurred))).contains("50% of the samples"));
        assert!(why(good(Some(Skid { samples: 3, ..SKID }))).contains("only 3 samples"));
    }

    #[test]
    fn the_step_of_a_coarse_counter_is_seen() {
        let sorted = Sorted { caches: vec![vec![26, 52, 52]], memory: vec![130, 156, 208] };
        assert_eq!(step(&sorted), 26);
        assert_eq!(step(&Sorted::default()), 1);
    }
}

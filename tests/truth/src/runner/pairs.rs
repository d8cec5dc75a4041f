//! What-if: the speed-up that a report foresees, against the one that the change really brings.
//!
//! The program with its bottleneck runs under the command; then it and the version without run alone, in turns.

use std::path::Path;

use serde_json::Value;

use super::cost::Interval;
use super::run::{MOST_FOR_OTHERS, Outcome, Plan, Row};
use crate::table::Program;

/// By how much a bound may be below the real speed-up: clocks are no better.
const SLACK: f64 = 0.1;

/// What a report says that a change would bring.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Advice {
    /// How many times as fast.
    pub gain: Option<f64>,
    /// What no change can exceed.
    pub bound: Option<f64>,
}

impl Advice {
    fn of(place: &Value) -> Self {
        Self { gain: place["gain"].as_f64(), bound: place["bound"].as_f64() }
    }

    fn is_above_its_bound(self) -> bool {
        matches!((self.gain, self.bound), (Some(gain), Some(bound)) if bound < gain)
    }
}

/// What one report says.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// By its verdict.
    pub verdict: Advice,
    /// By the finding that names the planted cause.
    pub planted: Advice,
    /// The advice of the verdict.
    pub next: String,
}

impl Estimate {
    /// Reads a summary.
    #[must_use]
    pub fn of(program: &Program, summary: &Value) -> Self {
        let findings = || summary["findings"].as_array().into_iter().flatten();
        let of_kind = |it: &&Value| it["kind"] == program.expected.kind;
        let of_subkind = |it: &&Value| {
            it["subkind"].as_str().is_some_and(|it| program.expected.subkinds.contains(&it))
        };
        let exact = findings().find(|it| of_kind(it) && of_subkind(it));
        let planted = exact.or_else(|| findings().find(of_kind));
        Self {
            verdict: Advice::of(&summary["verdict"]),
            planted: planted.map(Advice::of).unwrap_or_default(),
            next: summary["verdict"]["next"].as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// All that was measured of a program and its version without the bottleneck.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Which program.
    pub program: &'static Program,
    /// One for each report that counts.
    pub estimates: Vec<Estimate>,
    /// Why other reports do not.
    pub not_counted: Vec<String>,
    /// Real speed-ups, one for each round.
    pub real: Vec<f64>,
}

impl Pair {
    /// Nothing measured yet.
    #[must_use]
    pub fn new(program: &'static Program) -> Self {
        Self { program, estimates: Vec::new(), not_counted: Vec::new(), real: Vec::new() }
    }

    /// Takes what a run with the bottleneck says.
    pub fn add(&mut self, row: &Row) {
        match (&row.outcome, &row.summary) {
            (Outcome::Judged(..), Some(summary)) => {
                self.estimates.push(Estimate::of(self.program, summary));
            }
            (Outcome::Denied(why) | Outcome::Skipped(why) | Outcome::Failed(why), _) => {
                self.not_counted.push(why.clone());
            }
            _ => self.not_counted.push("others had the CPUs".to_owned()),
        }
    }

    /// Runs both versions alone: before, after, after, before, so that a drift of the machine hits both. A round beside
    /// busy programs of others is made once more, and does not count if that is no better.
    pub fn time(&mut self, plan: Plan, program: &Path) {
        let found = round(plan, program).or_else(|| round(plan, program));
        self.real.extend(found);
    }

    /// The real speed-up.
    #[must_use]
    pub fn speed_up(&self) -> Option<Interval> {
        Interval::of(self.real.clone())
    }

    /// The median of what the reports say in one place, and of its bound there.
    #[must_use]
    pub fn advice(&self, place: fn(&Estimate) -> Advice) -> Advice {
        let median = |value: fn(&Advice) -> Option<f64>| {
            let all = self.estimates.iter().filter_map(|it| value(&place(it))).collect();
            Interval::of(all).map(|it| it.median)
        };
        Advice { gain: median(|it| it.gain), bound: median(|it| it.bound) }
    }

    /// How far an estimate is from the real speed-up, as a share of that.
    #[must_use]
    pub fn error(&self, gain: Option<f64>) -> Option<f64> {
        Some((gain? / self.speed_up()?.median - 1.0).abs())
    }

    /// Whether any report has an estimate above its own bound.
    #[must_use]
    pub fn is_above_its_bound(&self) -> bool {
        let is_above =
            |it: &Estimate| it.verdict.is_above_its_bound() || it.planted.is_above_its_bound();
        self.estimates.iter().any(is_above)
    }

    /// Whether a bound is clearly below what the change really brought.
    #[must_use]
    pub fn is_bound_exceeded(&self, bound: Option<f64>) -> bool {
        let real = self.speed_up().map(|it| it.median);
        matches!((bound, real), (Some(bound), Some(real)) if bound < real * (1.0 - SLACK))
    }
}

fn round(plan: Plan, program: &Path) -> Option<f64> {
    let seconds = |is_after| {
        let row = Plan { oracle: false, is_after, ..plan }.run_alone(program);
        (row.others <= MOST_FOR_OTHERS).then_some(())?;
        Some(1.0 / row.rate()?)
    };
    let before = seconds(false)?;
    let after = seconds(true)? + seconds(true)?;
    Some((before + seconds(false)?) / after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::find;
    use serde_json::json;

    fn pair(gain: f64, bound: f64) -> Pair {
        let mut res = Pair::new(find("lock_convoy").unwrap());
        let summary = json!({
            "verdict": {"gain": null, "bound": 1.2, "next": "shorten it"},
            "findings": [
                {"kind": "compute", "gain": 3.0, "bound": 3.0},
                {"kind": "scheduling", "subkind": "timer", "gain": 1.1, "bound": 1.2},
                {"kind": "scheduling", "subkind": "lock", "gain": gain, "bound": bound},
            ],
        });
        res.estimates.push(Estimate::of(res.program, &summary));
        res.real = vec![2.0, 1.9, 2.1];
        res
    }

    #[test]
    fn the_planted_cause_is_found_by_kind_and_sub_kind() {
        let found = pair(1.8, 2.5);
        let (verdict, planted) = (found.advice(|it| it.verdict), found.advice(|it| it.planted));
        assert_eq!((verdict.gain, planted.gain, planted.bound), (None, Some(1.8), Some(2.5)));
        assert!((found.error(planted.gain).unwrap() - 0.1).abs() < 1e-9);
        assert_eq!(found.error(verdict.gain), None);
    }

    #[test]
    fn bounds_are_held_by_estimates_and_by_what_is_real() {
        assert!(!pair(1.8, 2.5).is_above_its_bound() && pair(2.6, 2.5).is_above_its_bound());
        let found = pair(1.8, 1.9);
        assert!(!found.is_bound_exceeded(Some(1.9)) && !found.is_bound_exceeded(None));
        assert!(found.is_bound_exceeded(Some(1.2)));
    }
}

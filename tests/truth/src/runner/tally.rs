//! Counts over many runs: the confusion matrix, abstentions, errors of shares. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::achieved::{Achieved, NEAR};
use super::cost::Interval;
use super::judge::{Judgement, Seen};
use super::run::{Outcome, Row};
use super::tier::Tier;
use crate::table::{Program, Set};

/// One program of the series of rising arithmetic: medians over its runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// The share of memory stalls, by its oracle.
    pub truth: f64,
    /// The share that the report estimates.
    pub stalled: f64,
    /// The share of time that the report gives to memory.
    pub share: f64,
}

/// The runs of one tier.
#[derive(Clone, Debug)]
pub struct Tally<'a> {
    rows: Vec<&'a Row>,
}

impl<'a> Tally<'a> {
    /// Those of a tier.
    pub fn of(rows: &'a [Row], tier: Tier) -> Self {
        Self { rows: rows.iter().filter(|row| row.plan.tier == tier).collect() }
    }

    /// Verdicts that count.
    pub fn judged(&self) -> impl Iterator<Item = (&'a Row, Judgement, &'a Seen)> {
        self.rows.iter().filter_map(|row| match &row.outcome {
            Outcome::Judged(judgement, seen) => Some((*row, *judgement, &**seen)),
            Outcome::Denied(_)
            | Outcome::Skipped(_)
            | Outcome::Failed(_)
            | Outcome::Disturbed(..) => None,
        })
    }

    /// How many verdicts are of this worth.
    #[must_use]
    pub fn count(&self, wanted: Judgement) -> usize {
        self.judged().filter(|(_, judgement, _)| *judgement == wanted).count()
    }

    /// Expected kinds against seen ones, as a table.
    #[must_use]
    pub fn matrix(&self) -> String {
        let mut cells: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let not_mixed = |row: &&Row| !matches!(row.plan.program.set, Set::Sweep);
        for (row, _, seen) in self.judged().filter(|(row, ..)| not_mixed(row)) {
            *cells.entry((row.plan.program.expected.kind, seen.kind.as_str())).or_default() += 1;
        }
        let columns: BTreeSet<&str> = cells.keys().map(|(_, seen)| *seen).collect();
        let expected: BTreeSet<&str> = cells.keys().map(|(expected, _)| *expected).collect();
        let mut res = "| expected \\ seen |".to_owned();
        for name in &columns {
            _ = write!(res, " {name} |");
        }
        res.push_str("\n|---|");
        res.push_str(&"---:|".repeat(columns.len()));
        for row in expected {
            _ = write!(res, "\n| {row} |");
            for column in &columns {
                let count = cells.get(&(row, *column)).copied().unwrap_or(0);
                _ = if count == 0 { write!(res, " |") } else { write!(res, " {count} |") };
            }
        }
        res.push('\n');
        res
    }

    /// One line: how many of what.
    #[must_use]
    pub fn totals(&self) -> String {
        let all = self.judged().count();
        let share = |part: usize| 100.0 * part as f64 / all.max(1) as f64;
        let [right, wrong, abstained, external] =
            [Judgement::Right, Judgement::Wrong, Judgement::Abstained, Judgement::External]
                .map(|it| self.count(it));
        let not_judged = self.rows.len() - all;
        let disturbed = |row: &&&Row| matches!(row.outcome, Outcome::Disturbed(..));
        let disturbed = self.rows.iter().filter(disturbed).count();
        let subkinds: Vec<bool> = self
            .judged()
            .filter_map(|(row, _, seen)| seen.has_right_subkind(row.plan.program))
            .collect();
        let of_subkinds = subkinds.iter().filter(|it| **it).count();
        format!(
            "{all} runs count: {right} right, {wrong} wrong ({:.1} %), {abstained} abstained ({:.1} %), {external} external; \
             sub-kind right in {of_subkinds} of {}; {not_judged} do not count, {disturbed} of \
             them because others had the CPUs",
            share(wrong),
            share(abstained),
            subkinds.len()
        )
    }

    /// Mean error of the estimated share of memory stalls where an oracle knows it, in points, and how many runs that is.
    #[must_use]
    pub fn memory_error(&self) -> Option<(f64, usize)> {
        let errors: Vec<f64> = self
            .judged()
            .filter_map(|(row, _, seen)| Some((seen.stalled? - row.truth.memory?).abs()))
            .collect();
        let mean = 100.0 * errors.iter().sum::<f64>() / errors.len() as f64;
        (!errors.is_empty()).then_some((mean, errors.len()))
    }

    /// True and estimated shares of memory stalls over the series, by the true ones.
    #[must_use]
    pub fn sweep(&self) -> Vec<Step> {
        let mut by_name: BTreeMap<&'static str, Vec<(f64, f64, f64)>> = BTreeMap::new();
        for (row, _, seen) in self.judged() {
            let program = row.plan.program;
            if let (Set::Sweep, Some(truth), Some(stalled)) =
                (program.set, row.truth.memory, seen.stalled)
            {
                let runs = by_name.entry(program.name).or_default();
                runs.push((truth, stalled, seen.share("memory")));
            }
        }
        let step = |(name, runs): (&'static str, Vec<(f64, f64, f64)>)| Step {
            name,
            truth: median(runs.iter().map(|it| it.0)),
            stalled: median(runs.iter().map(|it| it.1)),
            share: median(runs.iter().map(|it| it.2)),
        };
        let mut res: Vec<_> = by_name.into_iter().map(step).collect();
        res.sort_by(|a, b| a.truth.total_cmp(&b.truth));
        res
    }

    /// Medians over the runs of each mix that told its parts.
    #[must_use]
    pub fn mixes(&self) -> Vec<Mix> {
        let mut by_name: BTreeMap<&'static str, Vec<(&Program, Achieved, &Seen)>> = BTreeMap::new();
        for (row, _, seen) in self.judged() {
            if let (Set::Mix, Some(achieved)) = (row.plan.program.set, row.truth.achieved) {
                let runs = by_name.entry(row.plan.program.name).or_default();
                runs.push((row.plan.program, achieved, seen));
            }
        }
        by_name.into_iter().map(|(name, runs)| Mix::of(name, &runs)).collect()
    }
}

/// Medians over the runs of a mix; of its first part, and of its second one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// Its name.
    pub name: &'static str,
    /// How many runs.
    pub runs: usize,
    /// What surely is of the kind of the part, and what may be.
    pub kinds: [(f64, f64); 2],
    /// What the reports say.
    pub seen: [f64; 2],
    /// How far that is outside of the truth of its own run, in points.
    pub deltas: [f64; 2],
}

impl Mix {
    fn of(name: &'static str, runs: &[(&Program, Achieved, &Seen)]) -> Self {
        let each = |value: &dyn Fn(&Program, Achieved, &Seen) -> f64| {
            median(runs.iter().map(|(program, achieved, seen)| value(program, *achieved, seen)))
        };
        let both = [0, 1];
        let share = |part: usize, program: &Program, seen: &Seen| {
            program.shares.get(part).map_or(0.0, |(kind, _)| seen.share(kind))
        };
        Self {
            name,
            runs: runs.len(),
            kinds: both.map(|part| {
                (each(&|_, it, _| it.range(part).0), each(&|_, it, _| it.range(part).1))
            }),
            seen: both.map(|part| each(&|program, _, seen| share(part, program, seen))),
            deltas: both
                .map(|part| each(&|program, it, seen| it.delta(part, share(part, program, seen)))),
        }
    }

    /// Whether both parts are near enough.
    #[must_use]
    pub fn is_near(&self) -> bool {
        self.deltas.iter().all(|it| it.abs() <= NEAR)
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    Interval::of(values.collect()).map_or(0.0, |it| it.median)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::find;
    use serde_json::json;

    #[test]
    fn a_mix_is_near_by_the_median_of_its_runs() {
        let program = find("mix_gemv_gemm_50").unwrap();
        let seen = |memory: f64| {
            Seen::of(&json!({"kinds": {
                "memory": {"share": memory}, "compute": {"share": 1.0 - memory}
            }}))
        };
        let achieved = Achieved { parts: [0.5, 0.5], kinds: [0.5, 0.5] };
        let [near, far, too_far] = [seen(0.55), seen(0.6), seen(0.9)];
        let mix = Mix::of(
            "mix",
            &[(program, achieved, &near), (program, achieved, &far), (program, achieved, &too_far)],
        );
        assert!((mix.deltas[0] - 10.0).abs() < 1e-6 && (mix.deltas[1] + 10.0).abs() < 1e-6);
        assert!(mix.is_near(), "{mix:?}");
    }
}

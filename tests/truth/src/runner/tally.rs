//! Counts over many runs: the confusion matrix, abstentions, errors of shares. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::cost::Interval;
use super::judge::{Judgement, Seen};
use super::run::{Outcome, Row};
use super::tier::Tier;
use crate::table::Set;

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

    /// Mean error of the share of memory where an oracle knows it, in points, and how many runs that is.
    #[must_use]
    pub fn memory_error(&self) -> Option<(f64, usize)> {
        let errors: Vec<f64> = self
            .judged()
            .filter_map(|(row, _, seen)| Some((seen.share("memory") - row.truth_share?).abs()))
            .collect();
        let mean = 100.0 * errors.iter().sum::<f64>() / errors.len() as f64;
        (!errors.is_empty()).then_some((mean, errors.len()))
    }

    /// True and seen shares of memory over the series, by the true ones.
    #[must_use]
    pub fn sweep(&self) -> Vec<(&'static str, f64, f64)> {
        let mut by_name: BTreeMap<&'static str, Vec<(f64, f64)>> = BTreeMap::new();
        for (row, _, seen) in self.judged() {
            if let (Set::Sweep, Some(truth)) = (row.plan.program.set, row.truth_share) {
                by_name
                    .entry(row.plan.program.name)
                    .or_default()
                    .push((truth, seen.share("memory")));
            }
        }
        let median = |values: Vec<f64>| Interval::of(values).map_or(0.0, |it| it.median);
        let mut res: Vec<_> = by_name
            .into_iter()
            .map(|(name, pairs)| {
                let truth = median(pairs.iter().map(|it| it.0).collect());
                (name, truth, median(pairs.iter().map(|it| it.1).collect()))
            })
            .collect();
        res.sort_by(|a, b| a.1.total_cmp(&b.1));
        res
    }
}

//! What recording costs: the same work with and without it, in turns.

use std::path::Path;

use serde_json::Value;

use super::run::Plan;

/// An estimate with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The median.
    pub median: f64,
    /// Its interval at a level of at least 0.9 where there are enough values, else the range of all.
    pub low: f64,
    /// See [`low`](Self::low).
    pub high: f64,
}

impl Interval {
    /// Of values in any order; `None` of none. Order statistics assume nothing about their distribution.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let count = values.len();
        let at = |quantile: usize| values.get(quantile).copied();
        let cut = cut(count);
        let median = f64::midpoint(at(count.saturating_sub(1) / 2)?, at(count / 2)?);
        Some(Self { median, low: at(cut)?, high: at(count - 1 - cut)? })
    }
}

/// How many values may lie outside on each side, so that the median lies within at a level of 0.9.
fn cut(count: usize) -> usize {
    let mut below = 0.0;
    let mut ways = 1.0;
    for outside in 0..count / 2 {
        below += ways / 2f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
        if below > 0.05 {
            return outside.saturating_sub(1);
        }
        ways *= (count - outside) as f64 / (outside + 1) as f64;
    }
    (count / 2).saturating_sub(1)
}

/// What recording one run costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// How much longer a pass takes, as a share of a pass without recording.
    pub longer: f64,
    /// What the report itself says: its share of the time from start to end.
    pub own: Option<f64>,
}

/// Runs a program with and without recording. Which comes first changes with the seed.
#[must_use]
pub fn measure(plan: Plan, program: &Path) -> Option<Cost> {
    let (with, without) = if plan.seed.is_multiple_of(2) {
        let with = plan.run();
        let without = Plan { measure: with.measure, ..plan }.run_alone(program);
        (with, without)
    } else {
        let without = plan.run_alone(program);
        (Plan { measure: without.measure, ..plan }.run(), without)
    };
    let own = with.summary.as_ref().and_then(of_report);
    Some(Cost { longer: without.rate()? / with.rate()? - 1.0, own })
}

/// What a report says of its own cost, as a share of the time from start to end: spans, handlers of samples, and the
/// recorder's thread. That of delivering signals is in none of them.
#[must_use]
pub fn of_report(summary: &Value) -> Option<f64> {
    let overhead = &summary["overhead"];
    let calls = summary["spans"].as_array()?.iter().filter_map(|span| span["calls"].as_f64());
    let spans_ns = overhead["span_ns"].as_f64().unwrap_or(0.0) * calls.sum::<f64>();
    let others_ns = overhead["recorder_ns"].as_f64()? + overhead["sampling_ns"].as_f64()?;
    let wall_ns = summary["wall_ns"].as_f64().filter(|&ns| 0.0 < ns)?;
    Some((spans_ns + others_ns) / wall_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_accounts_for_spans_handlers_and_its_thread() {
        let summary = json!({
            "wall_ns": 1_000_000,
            "spans": [{"calls": 30}, {"calls": 10}],
            "overhead": {"span_ns": 50.0, "recorder_ns": 3000, "sampling_ns": 1000, "share": 1.0},
        });
        assert_eq!(of_report(&summary), Some(0.006));
        assert_eq!(of_report(&json!({})), None);
    }

    #[test]
    fn the_interval_leaves_out_what_may_lie_outside() {
        let values: Vec<f64> = (0..11).rev().map(f64::from).collect();
        assert_eq!(Interval::of(values), Some(Interval { median: 5.0, low: 2.0, high: 8.0 }));
        assert_eq!(
            Interval::of(vec![1.0, 3.0]),
            Some(Interval { median: 2.0, low: 1.0, high: 3.0 })
        );
        assert_eq!(Interval::of(Vec::new()), None);
    }
}

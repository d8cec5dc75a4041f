//! Right, wrong, or abstained: one verdict against the truth of its program. Pure.

use serde_json::Value;

use super::achieved::{Achieved, NEAR};
use super::cost::of_report;
use crate::table::{Expected, Program, Set};

/// What the command says of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// `memory`, `compute`, `io`, `scheduling`, `mixed`, `none` or `inconclusive`.
    pub kind: String,
    /// What it says below that.
    pub subkind: Option<String>,
    /// How sure it is.
    pub confidence: String,
    /// Shares of the time in flight by kind, from 0 to 1.
    pub shares: Vec<(String, f64)>,
    /// The part of the time that waits for DRAM, by its estimate, from 0 to 1.
    pub stalled: Option<f64>,
    /// Its own account of what recording costs: a share of the time from start to end.
    pub overhead: Option<f64>,
    /// The verdict in one line.
    pub headline: String,
    /// What would tell more, where it does not tell; else what to do.
    pub next: String,
    /// What could not be seen, and why.
    pub not_seen: Vec<String>,
}

/// What a run found out about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Truth {
    /// Share of the time that stalls on memory take, by the program's oracle.
    pub memory: Option<f64>,
    /// Of a mix.
    pub achieved: Option<Achieved>,
}

/// What a verdict is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Judgement {
    /// The kind is right.
    Right,
    /// It names another kind.
    Wrong,
    /// It does not say, where there is something to say.
    Abstained,
    /// It says that other programs disturbed the run.
    External,
}

impl Judgement {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "WRONG",
            Self::Abstained => "abstained",
            Self::External => "external",
        }
    }
}

/// What a report estimates of the time that waits for DRAM: in the evidence of its verdict, or of its largest finding that has
/// it, as a part of the time of that place.
fn stalled(summary: &Value) -> Option<f64> {
    let places = std::iter::once(&summary["verdict"]).chain(summary["findings"].as_array()?);
    let evidence = places.filter_map(|it| it["evidence"].as_array()).flatten();
    let is_it = |it: &&Value| {
        it["what"].as_str().is_some_and(|what| what.starts_with("time that waits for DRAM"))
    };
    Some(evidence.filter(is_it).find_map(|it| it["value"].as_f64())? / 100.0)
}

impl Seen {
    /// Reads a summary.
    #[must_use]
    pub fn of(summary: &Value) -> Self {
        let verdict = &summary["verdict"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let kinds = summary["kinds"].as_object().into_iter().flatten();
        let share = |(kind, it): (&String, &Value)| Some((kind.clone(), it["share"].as_f64()?));
        Self {
            kind: text(&verdict["kind"]).unwrap_or_default(),
            subkind: text(&verdict["subkind"]),
            confidence: text(&verdict["confidence"]).unwrap_or_default(),
            shares: kinds.filter_map(share).collect(),
            stalled: stalled(summary),
            overhead: of_report(summary),
            headline: text(&verdict["headline"]).unwrap_or_default(),
            next: text(&verdict["next"]).unwrap_or_default(),
            not_seen: verdict["not_seen"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(text)
                .collect(),
        }
    }

    /// The share of a kind, 0 where it is not told.
    #[must_use]
    pub fn share(&self, kind: &str) -> f64 {
        self.shares.iter().find(|(name, _)| name == kind).map_or(0.0, |(_, share)| *share)
    }

    /// Judges it. The truth of a [`Set::Sweep`] is the share that its oracle found, that of a [`Set::Mix`] what its parts
    /// really were.
    #[must_use]
    pub fn judge(&self, program: &Program, truth: Truth) -> Judgement {
        let Expected { kind, also, .. } = program.expected;
        let is_right = match (program.set, truth) {
            // A series passes through every kind: only a kind that is far from its truth is wrong. Between a fifth and a half
            // of stalls both limit: less of either would be faster.
            (Set::Sweep, Truth { memory: Some(share), .. }) => match self.kind.as_str() {
                "memory" => share > 0.2,
                "compute" => share < 0.5,
                kind => also.contains(&kind),
            },
            (Set::Mix, Truth { achieved: Some(achieved), .. }) => {
                self.is_right_of(program, achieved)
            }
            _ => self.kind == kind || also.contains(&self.kind.as_str()),
        };
        if is_right {
            return Judgement::Right;
        }
        match (self.kind.as_str(), self.subkind.as_deref()) {
            (_, Some("interference")) => Judgement::External,
            ("inconclusive" | "mixed" | "none" | "other", _) => Judgement::Abstained,
            _ => Judgement::Wrong,
        }
    }

    /// Whether what it says below the kind is right; `None` where there is nothing to be right about.
    #[must_use]
    pub fn has_right_subkind(&self, program: &Program) -> Option<bool> {
        let Expected { kind, subkinds, .. } = program.expected;
        if subkinds.is_empty() || self.kind != kind {
            return None;
        }
        Some(self.subkind.as_deref().is_some_and(|found| subkinds.contains(&found)))
    }

    /// The larger part is right. `mixed` is right where the parts are alike, else only beside shares that are.
    fn is_right_of(&self, program: &Program, achieved: Achieved) -> bool {
        let larger = program.shares.iter().enumerate();
        let mut larger = larger.filter(|(part, _)| achieved.may_be_larger(*part));
        let is_even = program.shares.iter().all(|(_, share)| (share - 0.5).abs() < 0.2);
        match self.kind.as_str() {
            "mixed" if !is_even => self.deltas(program, achieved).iter().all(|it| it.abs() < NEAR),
            // Of two that are alike, neither is wrong.
            kind if is_even && program.shares.iter().any(|(name, _)| *name == kind) => true,
            kind if is_even && program.expected.also.contains(&kind) => true,
            kind => larger.any(|(_, (name, _))| *name == kind),
        }
    }

    /// How far the shares of a mix are from what they really were, in points, part by part.
    #[must_use]
    pub fn deltas(&self, program: &Program, achieved: Achieved) -> Vec<f64> {
        let parts = program.shares.iter().enumerate();
        parts.map(|(part, (kind, _))| achieved.delta(part, self.share(kind))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::find;
    use serde_json::json;

    fn memory(share: f64) -> Truth {
        Truth { memory: Some(share), achieved: None }
    }

    fn seen(kind: &str, subkind: Option<&str>) -> Seen {
        Seen::of(&json!({
            "verdict": {"kind": kind, "subkind": subkind, "confidence": "likely"},
            "kinds": {"memory": {"share": 0.7}, "compute": {"share": 0.3}},
        }))
    }

    #[test]
    fn stalls_are_those_of_the_verdict_or_of_a_finding() {
        let evidence = json!([{"what": "time that waits for DRAM, about", "value": 40.0}]);
        let of = |verdict: &Value, finding: &Value| {
            let finding = json!({ "evidence": finding });
            stalled(&json!({"verdict": {"evidence": verdict}, "findings": [finding]}))
        };
        assert_eq!(of(&evidence, &json!([])), Some(0.4));
        assert_eq!(of(&json!([]), &evidence), Some(0.4));
        assert_eq!(of(&json!([]), &json!([])), None);
    }

    #[test]
    fn a_verdict_is_right_wrong_or_none() {
        let gemv = find("gemv").unwrap();
        assert_eq!(seen("memory", None).judge(gemv, Truth::default()), Judgement::Right);
        assert_eq!(seen("compute", None).judge(gemv, Truth::default()), Judgement::Wrong);
        assert_eq!(seen("inconclusive", None).judge(gemv, Truth::default()), Judgement::Abstained);
        assert_eq!(
            seen("scheduling", Some("interference")).judge(gemv, Truth::default()),
            Judgement::External
        );
        assert_eq!(
            seen("mixed", None).judge(find("gemv_int8").unwrap(), Truth::default()),
            Judgement::Right
        );
        assert_eq!(seen("memory", Some("bandwidth")).has_right_subkind(gemv), Some(true));
        assert_eq!(seen("compute", Some("bandwidth")).has_right_subkind(gemv), None);
    }

    #[test]
    fn a_series_is_judged_by_its_own_oracle() {
        let sweep = find("sweep_8").unwrap();
        assert_eq!(seen("memory", None).judge(sweep, memory(0.8)), Judgement::Right);
        assert_eq!(seen("memory", None).judge(sweep, memory(0.1)), Judgement::Wrong);
        assert_eq!(seen("compute", None).judge(sweep, memory(0.9)), Judgement::Wrong);
    }

    #[test]
    fn a_mix_is_judged_by_what_its_parts_were() {
        let of = |first: f64| {
            let parts = [first, 1.0 - first];
            Truth { achieved: Some(Achieved { parts, kinds: parts }), memory: None }
        };
        let mix = find("mix_gemv_gemm_75").unwrap();
        assert_eq!(seen("memory", None).judge(mix, of(0.75)), Judgement::Right);
        assert_eq!(seen("compute", None).judge(mix, of(0.75)), Judgement::Wrong);
        // The report says 0.7 and 0.3.
        assert_eq!(seen("mixed", None).judge(mix, of(0.75)), Judgement::Right);
        assert_eq!(seen("mixed", None).judge(mix, of(0.9)), Judgement::Abstained);
        let even = find("mix_gemv_gemm_50").unwrap();
        assert_eq!(seen("mixed", None).judge(even, of(0.5)), Judgement::Right);
        assert_eq!(seen("compute", None).judge(even, of(0.5)), Judgement::Right);
        assert_eq!(seen("io", None).judge(even, of(0.5)), Judgement::Wrong);
    }
}

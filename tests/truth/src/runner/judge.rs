//! Right, wrong, or abstained: one verdict against the truth of its program. Pure.

use serde_json::Value;

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
    /// Its own estimate of what recording costs, from 0 to 1.
    pub overhead: Option<f64>,
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
            overhead: summary["overhead"]["share"].as_f64(),
        }
    }

    /// The share of a kind, 0 where it is not told.
    #[must_use]
    pub fn share(&self, kind: &str) -> f64 {
        self.shares.iter().find(|(name, _)| name == kind).map_or(0.0, |(_, share)| *share)
    }

    /// Judges it. The truth of a [`Set::Sweep`] is the share that its oracle found.
    #[must_use]
    pub fn judge(&self, program: &Program, truth_share: Option<f64>) -> Judgement {
        let Expected { kind, also, .. } = program.expected;
        let is_right = match (program.set, truth_share) {
            // A series passes through every kind: only a kind that is far from its truth is wrong.
            (Set::Sweep, Some(share)) => match self.kind.as_str() {
                "memory" => share > 0.35,
                "compute" => share < 0.65,
                kind => also.contains(&kind),
            },
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

    /// The largest error of the shares of a mix, in points.
    #[must_use]
    pub fn mix_error(&self, program: &Program) -> Option<f64> {
        let errors = program.shares.iter().map(|(kind, share)| (self.share(kind) - share).abs());
        errors.map(|error| 100.0 * error).max_by(f64::total_cmp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::find;
    use serde_json::json;

    fn seen(kind: &str, subkind: Option<&str>) -> Seen {
        Seen::of(&json!({
            "verdict": {"kind": kind, "subkind": subkind, "confidence": "likely"},
            "kinds": {"memory": {"share": 0.7}, "compute": {"share": 0.3}},
            "overhead": {"share": 0.01},
        }))
    }

    #[test]
    fn a_verdict_is_right_wrong_or_none() {
        let gemv = find("gemv").unwrap();
        assert_eq!(seen("memory", None).judge(gemv, None), Judgement::Right);
        assert_eq!(seen("compute", None).judge(gemv, None), Judgement::Wrong);
        assert_eq!(seen("inconclusive", None).judge(gemv, None), Judgement::Abstained);
        assert_eq!(seen("scheduling", Some("interference")).judge(gemv, None), Judgement::External);
        assert_eq!(seen("mixed", None).judge(find("gemv_int8").unwrap(), None), Judgement::Right);
        assert_eq!(seen("memory", Some("bandwidth")).has_right_subkind(gemv), Some(true));
        assert_eq!(seen("compute", Some("bandwidth")).has_right_subkind(gemv), None);
    }

    #[test]
    fn a_series_is_judged_by_its_own_oracle() {
        let sweep = find("sweep_8").unwrap();
        assert_eq!(seen("memory", None).judge(sweep, Some(0.8)), Judgement::Right);
        assert_eq!(seen("memory", None).judge(sweep, Some(0.1)), Judgement::Wrong);
        assert_eq!(seen("compute", None).judge(sweep, Some(0.9)), Judgement::Wrong);
    }

    #[test]
    fn the_error_of_a_mix_is_the_largest_of_its_shares() {
        let mix = find("gemv").unwrap().made_of(&[("memory", 0.5), ("compute", 0.5)]);
        assert!((seen("mixed", None).mix_error(&mix).unwrap() - 20.0).abs() < 1e-6);
        assert_eq!(seen("memory", None).mix_error(find("gemv").unwrap()), None);
    }
}

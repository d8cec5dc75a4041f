//! Time of one kind, gathered by the place that it is spent at: what a reader acts on.
//!
//! Paths that end at the same site are one finding, since they are one place in the source; its measurements are those of
//! the path where most of the time is.

use std::collections::BTreeMap;

use crate::kind::Kind;
use crate::number::time;
use crate::profile::{Profile, SiteIdx, SpanIdx};
use crate::report::model::{self, Confidence, Evidence, Source};

use super::classify::{Classification, Reason};
use super::gain::Gain;
use super::identity::{Label, path_names};
use super::kinds::ratio;
use super::roofline::Subkind;
use super::{Column, SelfTime, wording};

/// Everything about the paths that findings are made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) profile: &'a Profile,
    /// Other programs are what kept threads from running.
    pub(super) disturbed: bool,
    pub(super) times: &'a Column<SpanIdx, SelfTime>,
    pub(super) classes: &'a Classification,
    pub(super) labels: &'a Column<SpanIdx, Label>,
    /// Why declared work cannot be judged, where there are no ceilings.
    pub(super) no_ceilings: Option<&'a str>,
    /// Spans are on one thread, so that thread time is wall time.
    pub(super) is_exact: bool,
    /// Sites are marked as requests.
    pub(super) has_requests: bool,
}

/// What the time of a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    OnCpu,
    Waits,
    Preempted,
}

/// Time of one kind at one site.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    pub(super) subkind: Option<Subkind>,
    pub(super) part: Part,
    /// The path where most of it is.
    pub(super) lead: SpanIdx,
    pub(super) ns: u64,
    /// Of the time in its scope.
    pub(super) share: f64,
    lead_ns: u64,
}

/// The findings of a scope, the largest first; ties in the order of the paths.
pub(super) fn find(facts: &Facts<'_>, scope: &[SpanIdx]) -> Vec<Finding> {
    type Group = (Kind, Option<Subkind>, Part, SiteIdx);
    let mut groups: BTreeMap<Group, BTreeMap<SpanIdx, u64>> = BTreeMap::new();
    let mut whole = 0;
    for &span in scope {
        let (time, class) = (facts.times[span], facts.classes.spans[span]);
        whole += time.wall_ns;
        // Waits whose cause is not known are a matter of the path itself, asserted ones of whoever asserts them.
        let waits_at = if class.waits == Kind::Other { span } else { class.owner };
        let waits = (class.waits, (class.waits != Kind::Other).then_some(class.subkind).flatten());
        let by = if facts.disturbed { Subkind::Interference } else { Subkind::Oversubscribed };
        let preempted = (Kind::Scheduling, Some(by));
        for (ns, (kind, subkind), part, at) in [
            (time.on_cpu_ns, (class.on_cpu, class.subkind), Part::OnCpu, class.owner),
            (
                time.blocked_ns,
                waits,
                if waits.0 == Kind::Other { Part::Waits } else { Part::OnCpu },
                waits_at,
            ),
            (time.preempted_ns, preempted, Part::Preempted, span),
        ] {
            if ns > 0 {
                let site = facts.profile.spans[at].site;
                *groups.entry((kind, subkind, part, site)).or_default().entry(at).or_default() +=
                    ns;
            }
        }
    }
    let mut res: Vec<Finding> = groups
        .into_iter()
        .filter_map(|((kind, subkind, part, _), paths)| {
            let ns = paths.values().sum();
            let (&lead, &lead_ns) =
                paths.iter().max_by_key(|&(&span, &ns)| (ns, std::cmp::Reverse(span)))?;
            Some(Finding { kind, subkind, part, lead, ns, share: ratio(ns, whole), lead_ns })
        })
        .collect();
    res.sort_by_key(|finding| (std::cmp::Reverse(finding.ns), finding.lead, finding.part));
    res
}

impl Finding {
    pub(super) fn confidence(&self, facts: &Facts<'_>) -> Confidence {
        match self.part {
            Part::OnCpu => facts.classes.spans[self.lead].confidence,
            Part::Waits => Confidence::Weak,
            // The kernel said so, or the difference of two clocks.
            Part::Preempted => {
                match facts.profile.threads[facts.profile.spans[self.lead].thread].source {
                    crate::profile::OffCpuSource::Switches => Confidence::Strong,
                    _ => Confidence::Moderate,
                }
            }
        }
    }

    pub(super) fn evidence(&self, facts: &Facts<'_>) -> Vec<Evidence> {
        let mut res = Vec::new();
        let class = facts.classes.spans[self.lead];
        let seconds = |ns: u64| ns as f64 / 1e9;
        match self.part {
            Part::OnCpu => {
                if class.reason == Reason::Asserted {
                    res.push(Evidence {
                        what: format!("asserted as {}", class.on_cpu.word()),
                        value: seconds(self.lead_ns),
                        unit: "s".to_owned(),
                        of: None,
                        source: Source::Declared,
                    });
                }
                res.extend(
                    facts.classes.regions[class.owner].iter().flat_map(wording::region_evidence),
                );
            }
            Part::Waits | Part::Preempted => {
                let what =
                    if self.part == Part::Waits { "waiting" } else { "able to run without a CPU" };
                res.push(Evidence {
                    what: what.to_owned(),
                    value: seconds(self.lead_ns),
                    unit: "s".to_owned(),
                    of: Some(seconds(facts.profile.spans[self.lead].total_ns)),
                    source: Source::Measured,
                });
            }
        }
        res
    }

    pub(super) fn not_seen(&self, facts: &Facts<'_>) -> Vec<String> {
        let class = facts.classes.spans[self.lead];
        let region = facts.classes.regions[class.owner].as_ref();
        match self.part {
            Part::OnCpu => {
                let mut res: Vec<String> = region.map(wording::region_caveats).unwrap_or_default();
                if let Some(why) = facts.no_ceilings.filter(|_| region.is_some()) {
                    res.push(format!("how close it is to the machine's ceilings ({why})"));
                }
                res
            }
            Part::Waits => {
                vec!["what it waits for: waits are recorded in amount, not in cause".to_owned()]
            }
            Part::Preempted => vec!["who had the CPU meanwhile".to_owned()],
        }
    }

    pub(super) fn next(&self, facts: &Facts<'_>) -> String {
        let class = facts.classes.spans[self.lead];
        match (self.kind, self.part) {
            (Kind::Other, Part::Waits) => wording::settle_waits(&facts.labels[self.lead].name),
            (Kind::Other, _) => wording::settle_on_cpu(&facts.labels[self.lead].name, class.reason),
            (kind, _) => {
                let dtype = facts.classes.regions[class.owner].map(|region| region.work.dtype);
                wording::next_step(kind, self.subkind, dtype)
            }
        }
    }

    pub(super) fn gain(&self, facts: &Facts<'_>) -> Gain {
        let Some(subkind) = self.subkind.filter(|_| facts.is_exact) else { return Gain::default() };
        let region = match self.part {
            Part::OnCpu => facts.classes.regions[facts.classes.spans[self.lead].owner].as_ref(),
            Part::Waits | Part::Preempted => None,
        };
        let point = region.and_then(|region| region.point.as_ref());
        Gain::of(self.share, subkind, region.map(|region| region.work.dtype), point)
    }

    pub(super) fn to_model(&self, facts: &Facts<'_>) -> model::Finding {
        let gain = self.gain(facts);
        let label = &facts.labels[self.lead];
        model::Finding {
            kind: self.kind,
            subkind: self.subkind.map(|subkind| subkind.word().to_owned()),
            confidence: self.confidence(facts),
            span: label.id.clone(),
            path: path_names(facts.profile, facts.labels, self.lead),
            site: label.site.clone(),
            ns: self.ns,
            share: self.share,
            evidence: self.evidence(facts),
            not_seen: self.not_seen(facts),
            next: self.next(facts),
            gain: gain.gain,
            bound: gain.bound,
        }
    }

    /// For sentences: the time, and the name in backticks.
    pub(super) fn in_words(&self, facts: &Facts<'_>) -> String {
        format!("{} in `{}`", time(self.ns), facts.labels[self.lead].name)
    }
}

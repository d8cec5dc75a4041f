//! Time of one kind, gathered by the place that it is spent at: what a reader acts on.
//!
//! Paths that end at the same site are one finding, since they are one place in the source; its measurements are those of
//! the path where most of the time is.

use std::collections::BTreeMap;

use crate::kind::Kind;
use crate::number::{count, time};
use crate::profile::{OffCpuSource, SiteIdx, SpanIdx, TaskIdx};
use crate::report::model::{self, Confidence, Evidence, Source};

use super::blame::Part;
use super::cause::Cause;
use super::classify::Reason;
use super::device::kernels::Region;
use super::device::rules::Found;
use super::device::{settle, unseen};
use super::facts::Facts;
use super::gain::{self, Gain};
use super::identity::path_names;
use super::kinds::ratio;
use super::ledger::{Basis, Row};
use super::subkind::Subkind;
use super::testimony::{Testimony, Whose};
use super::wording;

/// Time of one kind at one site.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    pub(super) subkind: Option<Subkind>,
    pub(super) part: Part,
    /// What most of it was waited for.
    pub(super) cause: Option<Cause>,
    /// The threads without spans that did most of it.
    pub(super) helper: Option<TaskIdx>,
    /// The path where most of it is.
    pub(super) lead: SpanIdx,
    pub(super) ns: u64,
    /// Of the time in its scope.
    pub(super) share: f64,
    /// The share that would be saved if nothing idled, where scheduling is to blame.
    pub(super) lost: f64,
    /// The share of what goes with it elsewhere, itself included.
    with_likes: f64,
    lead_ns: u64,
    /// Without what goes with it.
    own_ns: u64,
    /// What goes with it at its place: the kernel's work for a wait, and the wake-up after it.
    beside: Vec<(Part, u64)>,
}

/// The time of one place.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    ns: u64,
    lost_ns: u64,
    /// The largest row: its cause and helper are those of the place.
    most_ns: u64,
    cause: Option<Cause>,
    helper: Option<TaskIdx>,
}

/// The findings of a scope, the largest first; ties in the order of the paths.
pub(super) fn find<'r>(facts: &Facts<'_>, scope: impl Iterator<Item = &'r Row>) -> Vec<Finding> {
    type Group = (Kind, Option<Subkind>, Part, SiteIdx);
    let mut groups: BTreeMap<Group, BTreeMap<SpanIdx, Sum>> = BTreeMap::new();
    let mut whole = 0;
    for row in scope {
        let blamed = row.blamed;
        whole += row.ns;
        let class = facts.classes.spans[blamed.span];
        // Work is a matter of whoever declares or asserts it, a wait of the path itself.
        let (part, at) = match blamed.part {
            Part::OnCpu | Part::Helpers if blamed.subkind == Some(Subkind::Spin) => {
                (Part::OnCpu, blamed.span)
            }
            // The kernel's work for what a path waits for.
            Part::OnCpu if blamed.kind == Kind::Io && class.reason == Reason::Sampled => {
                (Part::OnCpu, blamed.span)
            }
            Part::OnCpu | Part::Helpers => (Part::OnCpu, class.owner),
            Part::Waits if blamed.subkind == Some(Subkind::Asserted) => (Part::OnCpu, class.owner),
            // Copies, and kernels that keep others waiting, are not a matter of what kernels do.
            Part::Device if !matches!(blamed.kind, Kind::Io | Kind::Scheduling) => {
                let region = facts.devices.and_then(|it| it.region(blamed.span));
                (Part::Device, region.map_or(blamed.span, |(owner, _)| owner))
            }
            part => (part, blamed.span),
        };
        let site = facts.profile.spans[at].site;
        let group = groups.entry((blamed.kind, blamed.subkind, part, site)).or_default();
        let sum = group.entry(at).or_default();
        sum.ns += row.ns;
        sum.lost_ns += row.lost_ns;
        if row.ns > sum.most_ns {
            (sum.most_ns, sum.cause, sum.helper) = (row.ns, blamed.cause, blamed.helper);
        }
    }
    let mut res: Vec<Finding> = groups
        .into_iter()
        .filter_map(|((kind, subkind, part, _), paths)| {
            let ns = paths.values().map(|sum| sum.ns).sum();
            let lost_ns = paths.values().map(|sum| sum.lost_ns).sum();
            let (&lead, sum) =
                paths.iter().max_by_key(|&(&span, sum)| (sum.ns, std::cmp::Reverse(span)))?;
            Some(Finding {
                kind,
                subkind,
                part,
                cause: sum.cause,
                helper: sum.helper,
                lead,
                ns,
                share: ratio(ns, whole),
                lost: ratio(lost_ns, whole),
                with_likes: 0.0,
                lead_ns: sum.ns,
                own_ns: ns,
                beside: Vec::new(),
            })
        })
        .collect();
    let order = |finding: &Finding| (std::cmp::Reverse(finding.ns), finding.lead, finding.part);
    res.sort_by_key(order);
    let mut res = put_together(facts, res);
    let first_touch: f64 =
        res.iter().filter(|it| it.subkind == Some(Subkind::FirstTouch)).map(|it| it.share).sum();
    for finding in &mut res {
        let is_first_touch = finding.subkind == Some(Subkind::FirstTouch);
        finding.with_likes = if is_first_touch { first_touch } else { finding.share };
    }
    res.sort_by_key(order);
    res
}

/// Adds to each what goes with it: it goes away together.
fn put_together(facts: &Facts<'_>, all: Vec<Finding>) -> Vec<Finding> {
    let site = |finding: &Finding| facts.profile.spans[finding.lead].site;
    let mut res: Vec<Finding> = Vec::new();
    let mut wakeups = Vec::new();
    for finding in all {
        // The largest is first.
        let same = |it: &&mut Finding| it.kind == finding.kind && site(it) == site(&finding);
        match (finding.kind, finding.subkind) {
            (Kind::Io, subkind) if subkind != Some(Subkind::Asserted) => {
                let is_one = |it: &&mut Finding| same(it) && it.subkind != Some(Subkind::Asserted);
                match res.iter_mut().find(is_one) {
                    Some(largest) => largest.take_in(&finding),
                    None => res.push(finding),
                }
            }
            (_, Some(Subkind::Wakeup)) => wakeups.push(finding),
            _ => res.push(finding),
        }
    }
    for wakeup in wakeups {
        let is_its = |it: &&mut Finding| {
            let waits = it.part == Part::Waits && it.subkind != Some(Subkind::Asserted);
            waits && it.kind == Kind::Scheduling && site(it) == site(&wakeup) && it.ns >= wakeup.ns
        };
        match res.iter_mut().find(is_its) {
            Some(wait) => wait.take_in(&wakeup),
            None => res.push(wakeup),
        }
    }
    res
}

impl Finding {
    fn take_in(&mut self, other: &Self) {
        self.ns += other.ns;
        self.share += other.share;
        self.lost += other.lost;
        self.beside.push((other.part, other.ns));
    }

    pub(super) fn confidence(&self, facts: &Facts<'_>) -> Confidence {
        let source = facts.profile.threads[facts.profile.spans[self.lead].thread].source;
        let by_records = source == OffCpuSource::Switches;
        match (self.part, self.kind) {
            (_, Kind::Other) => Confidence::Weak,
            (Part::Device, Kind::Memory | Kind::Compute) => {
                self.region(facts).map_or(Confidence::Moderate, |region| region.confidence)
            }
            // That one waits for the other is recorded, but not whether it needs its result.
            (Part::Device, Kind::Scheduling) => Confidence::Moderate,
            // The driver's own records say when, and which call was late.
            (Part::Device | Part::DeviceIdle, _) => Confidence::Strong,
            // Both what runs and that it only waits are sampled.
            (Part::OnCpu, Kind::Scheduling) if self.subkind == Some(Subkind::Spin) => {
                Confidence::Moderate
            }
            (Part::OnCpu | Part::Helpers, _) => facts.classes.spans[self.lead].confidence,
            // `epoll` does not say for what.
            (Part::Waits, _) if self.cause == Some(Cause::Events) => Confidence::Weak,
            // The kernel said so: the amount is exact, and the call unmistakable.
            (Part::Waits | Part::Preempted, _) if by_records => Confidence::Strong,
            // The difference of two clocks; and who holds up whom is inferred.
            (Part::Waits | Part::Preempted | Part::HeldUp, _) => Confidence::Moderate,
        }
    }

    pub(super) fn evidence(&self, facts: &Facts<'_>) -> Vec<Evidence> {
        let mut res = Vec::new();
        let class = facts.classes.spans[self.lead];
        let seconds = |ns: u64| ns as f64 / 1e9;
        let mut add = |what: String, value: f64, unit: &str, of: Option<f64>, source: Source| {
            res.push(Evidence { what, value, unit: unit.to_owned(), of, source });
        };
        let source = match facts.ledger.basis {
            Basis::Sampled => Source::Inferred,
            Basis::Exact | Basis::ThreadTime => Source::Measured,
        };
        match self.part {
            Part::OnCpu | Part::Helpers if self.subkind == Some(Subkind::Spin) => {
                let samples = facts.profile.samples.as_ref().map(|samples| samples[self.lead]);
                if let Some(samples) = samples {
                    let of = Some(samples.n as f64);
                    let what = "sampled instructions beside a spin-wait hint".to_owned();
                    add(what, samples.spinning as f64, "samples", of, Source::Measured);
                }
            }
            Part::OnCpu | Part::Helpers => {
                if class.reason == Reason::Asserted {
                    let what = format!("asserted as {}", class.on_cpu.word());
                    add(what, seconds(self.lead_ns), "s", None, Source::Declared);
                }
                if let Some(helper) = self.helper {
                    let name = wording::pool_name(facts.profile, helper);
                    let what = format!("done by threads without spans ({name})");
                    add(what, seconds(self.lead_ns), "s", None, source);
                }
                let region = facts.classes.regions[class.owner].iter();
                res.extend(region.flat_map(wording::region_evidence));
                let heard = self.testimony(facts).into_iter();
                res.extend(heard.flat_map(|it| it.evidence.iter().cloned()));
            }
            Part::Device | Part::DeviceIdle => {
                let what = match self.part {
                    Part::Device => "a device runs what this submits",
                    _ => "a device has nothing to run",
                };
                let of = Some(seconds(facts.ledger.in_flight_ns));
                add(what.to_owned(), seconds(self.own_ns), "s", of, Source::Measured);
                let of_region = self.region(facts).into_iter().flat_map(Region::evidence);
                let is_known = self.part == Part::Device
                    && !matches!(self.kind, Kind::Io | Kind::Scheduling)
                    && facts.records_are_whole();
                res.extend(of_region.filter(|_| is_known));
                res.extend(self.rules(facts).flat_map(|rule| rule.evidence.iter().cloned()));
            }
            Part::Waits | Part::Preempted | Part::HeldUp => {
                let what = match (self.part, self.cause) {
                    (Part::Waits, Some(cause)) => format!("waiting for {}", cause.words()),
                    (Part::Waits, None) => "waiting".to_owned(),
                    (Part::HeldUp, _) => "working while others wait for it".to_owned(),
                    _ => "able to run without a CPU".to_owned(),
                };
                let of = Some(seconds(facts.ledger.in_flight_ns));
                add(what, seconds(self.own_ns), "s", of, source);
                for (part, ns) in self.beside_by_part() {
                    let what = match part {
                        Part::OnCpu | Part::Helpers => "on the CPU for it, inside the kernel",
                        _ => "waiting for its turn afterwards",
                    };
                    add(what.to_owned(), seconds(ns), "s", of, Source::Inferred);
                }
                if self.part == Part::Waits {
                    let path = &facts.profile.spans[self.lead];
                    if path.waits > 0 {
                        let mean = path.blocked_ns as f64 / path.waits as f64 / 1e6;
                        let what = format!("mean of {} waits of any cause", count(path.waits));
                        add(what, mean, "ms", None, Source::Measured);
                    }
                }
                if self.lost > 0.0 && self.kind == Kind::Scheduling {
                    let what = "CPU time that idles or is wasted meanwhile".to_owned();
                    let of = Some(seconds(facts.ledger.in_flight_ns));
                    let value = self.lost * seconds(facts.ledger.in_flight_ns);
                    add(what, value, "s", of, Source::Inferred);
                }
            }
        }
        res
    }

    fn beside_by_part(&self) -> BTreeMap<Part, u64> {
        let mut res = BTreeMap::new();
        for &(part, ns) in &self.beside {
            *res.entry(part).or_default() += ns;
        }
        res
    }

    /// What samples say of the time on the CPU that this is about.
    fn testimony<'f>(&self, facts: &Facts<'f>) -> Option<&'f Testimony> {
        let witness = facts.witness?;
        let (first, second) = match self.helper {
            Some(_) => (Whose::Helpers, Whose::Own),
            None => (Whose::Own, Whose::Helpers),
        };
        witness.testify(self.lead, first).or_else(|| witness.testify(self.lead, second))
    }

    pub(super) fn not_seen(&self, facts: &Facts<'_>) -> Vec<String> {
        let class = facts.classes.spans[self.lead];
        let region = facts.classes.regions[class.owner].as_ref();
        if self.subkind == Some(Subkind::UnseenDevice) {
            return vec![settle::not_seen(unseen::reason(facts.profile).as_deref())];
        }
        match (self.part, self.cause) {
            (Part::OnCpu | Part::Helpers, _) if self.subkind == Some(Subkind::Spin) => Vec::new(),
            (Part::OnCpu | Part::Helpers, _) => {
                let mut res: Vec<String> = region.map(wording::region_caveats).unwrap_or_default();
                if let Some(why) = facts.no_ceilings.filter(|_| region.is_some()) {
                    res.push(format!("how close it is to the machine's ceilings ({why})"));
                }
                if let Some(kind) = class.contradicted {
                    let word = kind.word();
                    res.push(format!(
                        "why samples say {word} and declared work does not: check what is declared"
                    ));
                }
                let heard = self.testimony(facts).into_iter();
                res.extend(heard.flat_map(|it| it.not_seen.iter().cloned()));
                res
            }
            (Part::Waits, Some(Cause::Lock | Cause::Thread)) => {
                vec!["which thread it waits for: the kernel does not say who wakes whom".to_owned()]
            }
            (Part::Waits, Some(Cause::Events)) => {
                vec!["which of its events it waits for".to_owned()]
            }
            (Part::Waits, None | Some(Cause::Unknown)) => {
                vec!["what it waits for: no snapshot saw it".to_owned()]
            }
            (Part::Device, _) if self.kind == Kind::Other => {
                settle::left_open(facts.devices, self.region(facts))
            }
            (Part::Device, _)
                if matches!(self.kind, Kind::Memory | Kind::Compute)
                    && self.region(facts).is_some_and(|region| {
                        region.counted.is_some() && region.confidence == Confidence::Weak
                    }) =>
            {
                vec![
                    "whether others used the device meanwhile: its counters tell of all".to_owned(),
                ]
            }
            (Part::Waits | Part::HeldUp | Part::Device | Part::DeviceIdle, _) => Vec::new(),
            (Part::Preempted, _) => vec!["who had the CPU meanwhile".to_owned()],
        }
    }

    pub(super) fn next(&self, facts: &Facts<'_>) -> String {
        let class = facts.classes.spans[self.lead];
        let name = &facts.labels[self.lead].name;
        if let Some(rule) = self.rules(facts).next() {
            return rule.next.to_owned();
        }
        if self.subkind == Some(Subkind::UnseenDevice) {
            return settle::unseen(unseen::reason(facts.profile).is_some());
        }
        match (self.kind, self.part) {
            (Kind::Other, Part::Device) => settle::device(facts.devices, self.region(facts), name),
            (Kind::Other, Part::Waits) => wording::settle_waits(name, self.cause),
            (Kind::Other, _) => {
                let whose = if self.helper.is_some() { Whose::Helpers } else { Whose::Own };
                let lacks = facts.witness.and_then(|it| it.lacks(self.lead, whose));
                match lacks.filter(|_| class.reason == Reason::Undeclared) {
                    Some(lacks) => wording::settle_samples(name, &lacks),
                    None => wording::settle_on_cpu(name, class.reason),
                }
            }
            (kind, _) => {
                let dtype = facts.classes.regions[class.owner].map(|region| region.work.dtype);
                wording::next_step(kind, self.subkind, dtype)
            }
        }
    }

    pub(super) fn gain(&self, facts: &Facts<'_>) -> Gain {
        let is_wall_time = facts.ledger.basis != Basis::ThreadTime;
        let Some(subkind) = self.subkind.filter(|_| is_wall_time) else { return Gain::default() };
        // The interval is that of the largest share; small ones are known better.
        let margin = |share: f64| facts.ledger.interval * (2.0 * share).min(1.0);
        if self.kind == Kind::Scheduling && self.lost > 0.0 {
            // The whole moment is to blame on scheduling, but a part of its CPUs works.
            let path = &facts.profile.spans[self.lead];
            let basis = gain::Basis {
                waits_per_call: Some(path.waits as f64 / path.calls.max(1) as f64),
                margin: margin(self.lost),
                ..gain::Basis::default()
            };
            return Gain::of(self.lost, subkind, &basis);
        }
        let region = match self.part {
            Part::OnCpu | Part::Helpers => {
                facts.classes.regions[facts.classes.spans[self.lead].owner].as_ref()
            }
            Part::Waits | Part::Preempted | Part::HeldUp | Part::Device | Part::DeviceIdle => None,
        };
        // What stalls is a part of what is memory's.
        let stalled = self.testimony(facts).and_then(|heard| {
            Some((heard.dram_stall? / heard.mixture.part(Kind::Memory).max(0.01)).min(1.0))
        });
        let basis = gain::Basis {
            dtype: region.map(|region| region.work.dtype),
            point: region.and_then(|region| region.point.as_ref()),
            stalled: stalled.filter(|_| matches!(self.part, Part::OnCpu | Part::Helpers)),
            waits_per_call: None,
            margin: margin(self.with_likes),
        };
        Gain::of(self.with_likes, subkind, &basis)
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
            leaves: self.leaves(facts),
            next: self.next(facts),
            gain: gain.gain,
            bound: gain.bound,
        }
    }

    /// The functions inside the paths that it is about: those of whoever declares or asserts the work, else the path's own.
    fn leaves(&self, facts: &Facts<'_>) -> Vec<model::Leaf> {
        let spans = || {
            facts.profile.spans.indices().filter(|&span| {
                let class = facts.classes.spans[span];
                let is_spin = self.subkind == Some(Subkind::Spin);
                let at = if is_spin { span } else { class.owner };
                facts.profile.spans[at].site == facts.profile.spans[self.lead].site
            })
        };
        match self.part {
            Part::OnCpu | Part::Helpers => {
                let on_cpu_ns = spans().map(|span| facts.times[span].on_cpu_ns);
                let on_cpu_ns = on_cpu_ns.fold(0, u64::saturating_add);
                facts.leaves.to_model(spans(), on_cpu_ns)
            }
            Part::Waits | Part::Preempted | Part::HeldUp | Part::Device | Part::DeviceIdle => {
                Vec::new()
            }
        }
    }

    /// The declared work of its kernels.
    fn region<'f>(&self, facts: &Facts<'f>) -> Option<&'f Region> {
        facts.devices?.region(self.lead).map(|(_, region)| region)
    }

    /// What is known to be wrong with how devices are used that this finding is about.
    fn rules<'f>(&self, facts: &Facts<'f>) -> impl Iterator<Item = &'f Found> {
        let is_of_device = matches!(self.part, Part::Device | Part::DeviceIdle);
        let subkind = self.subkind.filter(|_| is_of_device);
        let of_span = |span: SpanIdx| {
            let owner = facts.devices.and_then(|it| it.region(span)).map(|(owner, _)| owner);
            facts.profile.spans[owner.unwrap_or(span)].site
        };
        // Idling is blamed on the host, and a rule about it tells of the work that ends it.
        let is_here = move |rule: &Found| {
            self.part != Part::Device
                || rule.span.is_none_or(|span| of_span(span) == facts.profile.spans[self.lead].site)
        };
        let rules = facts.devices.into_iter().flat_map(|it| &it.rules);
        rules.filter(move |rule| Some(rule.subkind) == subkind && is_here(rule))
    }

    /// For sentences: the time, and the name in backticks.
    pub(super) fn in_words(&self, facts: &Facts<'_>) -> String {
        format!("{} in `{}`", time(self.ns), facts.labels[self.lead].name)
    }
}

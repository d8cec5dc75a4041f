//! What devices did, judged: what limited them at each moment, and what programs that use devices often do wrong.
//!
//! Pure. [`idle`] (why a device had nothing to run), [`timeline`] (one state at each moment), [`order`] and `serial`
//! (streams one after the other), [`kernels`] (declared work against the device's ceilings) and [`counted`] (its counters), [`copies`] and [`calls`] (amounts), [`rules`] (what to
//! do). `before_hosts` is what [`super::ledger`] asks: while a device works or waits, the host's own time is not
//! to blame.

pub(super) mod before_hosts;
pub mod calls;
mod ceilings;
mod conditions;
pub mod copies;
mod copy_rules;
pub mod counted;
mod facts;
#[cfg(test)]
pub(crate) mod fixture;
pub(super) mod graph;
pub mod idle;
mod kernel_name;
pub mod kernels;
pub mod order;
mod replays;
pub mod rules;
mod serial;
pub(super) mod settle;
mod stretches;
pub mod timeline;
mod to_model;
pub(super) mod unseen;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::kind::Kind;
use crate::machine::gpu::Gpus;
use crate::profile::device::{Deed, Devices, Direction, Work, WorkIdx};
use crate::profile::{Profile, SpanIdx};
use crate::report::model::gpu::Counters;

use super::blame::{Blamed, Part};
use super::roofline::Says;
use super::subkind::Subkind;
use counted::Counted;
use idle::{Cause, Gaps};
use kernels::Region;
use order::Order;
use timeline::{State, Timeline};

pub(super) use before_hosts::Host;
pub(super) use to_model::section;

/// What devices did.
#[derive(Clone, Debug)]
pub struct DeviceView {
    /// As the recording has it.
    pub devices: Arc<Devices>,
    /// One for each device that did something.
    pub timelines: Vec<Timeline>,
    /// What is known of kernels, by the span that declares their work, or that stands for their phase.
    pub regions: BTreeMap<SpanIdx, Region>,
    /// What is wrong, the most time at stake first.
    pub rules: Vec<rules::Found>,
    /// Time from the first work of a device to its last, of all together, in ns.
    pub in_use_ns: u64,
    /// Why no verdict rests on the records; empty if one can.
    pub problems: Vec<String>,
    /// Somebody else computed on a device that the program used.
    pub is_shared: bool,
    /// By device: why its kernels cannot be held against what it reaches.
    pub held_back: BTreeMap<u32, String>,
    /// By device: what was counted while it was in use, or why nothing was.
    pub counters: BTreeMap<u32, Result<Counters, String>>,
    owners: BTreeMap<SpanIdx, SpanIdx>,
}

impl DeviceView {
    /// Judges what devices did, by what is known of the `machine`; `None` if there were none.
    pub fn of(profile: &Profile, machine: &Gpus) -> Option<Self> {
        let shared = profile.devices.as_ref()?;
        let devices = shared.as_ref();
        let measured = &machine.devices;
        let gaps = Gaps::of(devices);
        let multiprocessors = |number| {
            let facts = devices.known.iter().find(|it| it.number == number)?;
            ceilings::multiprocessors(facts)
        };
        let timelines: Vec<Timeline> = devices
            .numbers()
            .into_iter()
            .map(|number| Timeline::of(devices, &gaps, number, multiprocessors(number)))
            .collect();
        let in_use_ns = timelines.iter().map(|it| it.ns_of(|_| true)).sum();
        let mut problems = problems(devices);
        let mut held_back = BTreeMap::new();
        let mut is_shared = false;
        let mut counters = BTreeMap::new();
        // Others may be somebody else's.
        let used = devices.numbers();
        for facts in devices.known.iter().filter(|it| used.contains(&it.number)) {
            let Some(seen) = conditions::of(facts, &machine.conditions) else { continue };
            is_shared |= !seen.others.is_empty();
            if let Some(timeline) = timelines.iter().find(|it| it.device == facts.number) {
                let counted = conditions::counters(seen, timeline, profile.start_ns);
                counters.extend(counted.map(|it| (facts.number, it)));
            }
            problems.extend(conditions::others(facts.number, seen));
            held_back
                .extend(conditions::held_back(facts.number, seen).map(|why| (facts.number, why)));
        }
        let facts =
            facts::Facts { devices, timelines: &timelines, gaps: &gaps, in_use_ns, measured };
        let rules = if problems.is_empty() { rules::find(&facts) } else { Vec::new() };
        let (regions, owners) = regions(profile, devices, machine);
        Some(Self {
            devices: Arc::clone(shared),
            timelines,
            regions,
            rules,
            in_use_ns,
            problems,
            is_shared,
            held_back,
            counters,
            owners,
        })
    }

    /// The region of the kernels of a span.
    pub fn region(&self, span: SpanIdx) -> Option<(SpanIdx, &Region)> {
        let owner = *self.owners.get(&span)?;
        Some((owner, self.regions.get(&owner)?))
    }

    /// Who is to blame for a state of a device; `None` if that is a matter of the host alone.
    fn blamed(&self, state: State, host: Option<SpanIdx>) -> Option<Blamed> {
        let blamed = |span, part, kind, subkind| {
            Some(Blamed { span, part, kind, subkind, cause: None, helper: None, via: None })
        };
        match state {
            // What looks idle may be work whose record is missing, and what runs may not be all.
            State::Runs(work) | State::Serial(work, _) | State::Idles(_, work)
                if !self.problems.is_empty() =>
            {
                blamed(self.work(work)?.span.or(host)?, Part::Device, Kind::Other, None)
            }
            State::Runs(work) => {
                let work = self.work(work)?;
                let span = work.span.or(host)?;
                let (kind, subkind) = self.kind(work);
                blamed(span, Part::Device, kind, subkind)
            }
            State::Serial(work, order) => {
                let span = self.work(work)?.span.or(host)?;
                blamed(span, Part::Device, Kind::Scheduling, Some(subkind_of(order)))
            }
            // A host that itself waits has a reason of its own.
            State::Idles(Cause::HostStarved, _) => {
                blamed(host?, Part::DeviceIdle, Kind::Io, Some(Subkind::StarvedByHost))
            }
            State::Idles(cause, next) => {
                let next = self.work(next)?;
                let (kind, subkind) = kind_of_idling(cause, next);
                // Who launches a graph is late, not who captured it.
                let span = self.devices.launching(next).or(host)?;
                blamed(span, Part::DeviceIdle, kind, Some(subkind))
            }
        }
    }

    fn work(&self, index: WorkIdx) -> Option<&Work> {
        self.devices.works.get(index.0)
    }

    /// What limits a work while it runs.
    fn kind(&self, work: &Work) -> (Kind, Option<Subkind>) {
        match &work.deed {
            Deed::Copy { direction: Direction::DeviceToDevice, .. } | Deed::Set { .. } => {
                (Kind::Memory, Some(Subkind::DeviceBandwidth))
            }
            Deed::Copy { .. } => (Kind::Io, Some(Subkind::DeviceCopy)),
            Deed::Kernel { .. } | Deed::Graph { .. } => {
                let is_held_back = self.held_back.contains_key(&work.stream.device);
                let region = work.span.and_then(|span| self.region(span)).map(|(_, region)| region);
                // Nobody declares what a graph does that is not divided.
                let is_divided = matches!(work.deed, Deed::Kernel { .. });
                let known = region
                    .filter(|region| is_divided || region.counted.is_some())
                    // What is near a ceiling at a lower clock is near it at its own.
                    .filter(|region| !is_held_back || region.is_near_a_ceiling());
                known.map_or((Kind::Other, None), Region::kind)
            }
        }
    }
}

/// What limits kernels, by the span that answers for them; and that span, by the one that launched them.
fn regions(
    profile: &Profile,
    devices: &Devices,
    machine: &Gpus,
) -> (BTreeMap<SpanIdx, Region>, BTreeMap<SpanIdx, SpanIdx>) {
    let mut owners = kernels::declaring_spans(profile, devices);
    let mut regions = kernels::regions(profile, devices, &machine.devices, &owners);
    let windows = devices.known.iter().filter_map(|facts| {
        let seen = conditions::of(facts, &machine.conditions)?;
        Some((facts.number, seen.windows.as_slice()))
    });
    let phases = counted::Phases::of(profile, devices, windows);
    let is_known = |says: Says| matches!(says, Says::Bound(..));
    // Declared work comes first; where it does not decide, counters that do.
    let phase = |device: u32, span: SpanIdx| {
        let (owner, counted) = phases.of_span(profile, device, span)?;
        let own = owners.get(&span).and_then(|owner| regions.get(owner));
        let is_asked = own.is_none_or(|own| !is_known(own.says) && is_known(counted.says));
        let is_taken = regions.get(&owner).is_some_and(|its| is_known(its.says));
        (is_asked && !is_taken).then_some((owner, counted))
    };
    let computes = |work: &&Work| matches!(work.deed, Deed::Kernel { .. } | Deed::Graph { .. });
    let launching: BTreeSet<(SpanIdx, u32)> = devices
        .works
        .iter()
        .filter(computes)
        .filter_map(|work| Some((work.span?, work.stream.device)))
        .collect();
    // A span that uses several devices is known if all of them say the same.
    let mut by_phase: BTreeMap<SpanIdx, Option<(SpanIdx, &Counted)>> = BTreeMap::new();
    for (span, device) in launching {
        let found = phase(device, span);
        let said = by_phase.entry(span).or_insert(found);
        let is_same = said.zip(found).is_some_and(|(a, b)| (a.0, a.1.says) == (b.0, b.1.says));
        if !is_same {
            *said = None;
        }
    }
    let by_phase: BTreeMap<SpanIdx, (SpanIdx, &Counted)> =
        by_phase.into_iter().filter_map(|(span, found)| Some((span, found?))).collect();
    let is_alone = |device: u32| {
        let facts = devices.known.iter().find(|it| it.number == device);
        facts
            .and_then(|facts| conditions::of(facts, &machine.conditions))
            .is_some_and(|it| it.is_alone)
    };
    for (owner, of_phase) in kernels::counted_regions(devices, &by_phase, is_alone) {
        let declared = regions.remove(&owner).and_then(|region| region.point);
        regions.insert(owner, Region { point: declared, ..of_phase });
        // What the phase does not speak for is not told by what it declares either, which does not decide.
        owners.retain(|span, its| *its != owner || by_phase.contains_key(span));
    }
    owners.extend(by_phase.into_iter().map(|(span, (owner, _))| (span, owner)));
    (regions, owners)
}

fn subkind_of(order: Order) -> Subkind {
    match order {
        Order::Event => Subkind::StreamDependency,
        Order::DefaultStream => Subkind::DefaultStream,
    }
}

fn kind_of_idling(cause: Cause, next: &Work) -> (Kind, Subkind) {
    let is_copy = matches!(next.deed, Deed::Copy { .. });
    match cause {
        Cause::Loading => (Kind::Scheduling, Subkind::ModuleLoad),
        Cause::Dependency => (Kind::Scheduling, subkind_of(Order::Event)),
        Cause::DefaultStream => (Kind::Scheduling, subkind_of(Order::DefaultStream)),
        Cause::SyncDrain => (Kind::Scheduling, Subkind::SyncDrain),
        Cause::HostStarved => (Kind::Io, Subkind::StarvedByHost),
        // Copies that are submitted one by one are a matter of copies.
        Cause::LaunchBound | Cause::Other if is_copy => (Kind::Io, Subkind::DeviceCopy),
        Cause::LaunchBound | Cause::Other => (Kind::Scheduling, Subkind::LaunchBound),
    }
}

/// Why records of devices cannot be trusted.
fn problems(devices: &Devices) -> Vec<String> {
    let mut res = Vec::new();
    if devices.lost > 0 {
        res.push(format!(
            "{} records of what devices did were lost: idle time may be missing work",
            devices.lost
        ));
    }
    let empty_graphs = calls::empty_graphs(devices);
    if empty_graphs > 0 {
        res.push(format!(
            "of {empty_graphs} launches of CUDA graphs no record says what they ran: time that looks idle may be theirs"
        ));
    }
    if devices.untimed > 0 {
        res.push(format!("{} records of what devices did have no times", devices.untimed));
    }
    res
}

//! A [`DeviceView`] as reports hold it.

use std::collections::BTreeMap;

use crate::analysis::Column;
use crate::analysis::identity::Label;
use crate::analysis::kinds::ratio;
use crate::kind::Kind;
use crate::profile::device::{Deed, Devices, WaitSort};
use crate::profile::{Profile, SpanIdx};
use crate::report::model::{Share, gpu};

use super::idle::Cause;
use super::kernels::Region;
use super::timeline::{State, Timeline};
use super::{DeviceView, calls, copies, graph, kernel_name};

/// What the recorder says of how much it could see; `None` if it was built without support of devices.
fn level(profile: &Profile) -> Option<(&'static str, Option<String>)> {
    let of = |name: &str| profile.capabilities.iter().find(|it| it.name == name);
    let activity = of("gpu_activity")?;
    let reason = (!activity.reason.is_empty()).then(|| activity.reason.clone());
    let level = match (activity.is_available, of("gpu_events").is_some_and(|it| it.is_available)) {
        (true, _) => "activity",
        (false, true) => "events",
        (false, false) => "none",
    };
    Some((level, reason))
}

/// The section of the report; `None` for a program without support of devices.
pub(in crate::analysis) fn section(
    profile: &Profile,
    view: Option<&DeviceView>,
    labels: &Column<SpanIdx, Label>,
) -> Option<gpu::Gpu> {
    let level = level(profile);
    if level.is_none() && view.is_none() {
        return None;
    }
    let (level, reason) = level.unwrap_or(("activity", None));
    let empty = gpu::Gpu { level: level.to_owned(), reason, ..gpu::Gpu::default() };
    let Some(view) = view else { return Some(empty) };
    let is_counted = view.counters.values().any(Result::is_ok);
    Some(gpu::Gpu {
        level: if is_counted && level == "activity" { "counters" } else { level }.to_owned(),
        devices: view.timelines.iter().map(|timeline| device(view, timeline)).collect(),
        kernels: kernel_rows(view, labels),
        copies: copies::by_sort(&view.devices, &view.timelines)
            .into_iter()
            .map(|(sort, it)| gpu::Copies {
                direction: copies::direction_word(sort.direction).to_owned(),
                memory: copies::memory_word(sort.memory).to_owned(),
                size: sort.size().to_owned(),
                count: it.count,
                bytes: it.bytes,
                ns: it.ns,
                exposed_ns: it.exposed_ns,
                bytes_per_s: it.bytes_per_s(),
            })
            .collect(),
        waits: waits(&view.devices),
        spans: view
            .devices
            .elapsed
            .iter()
            .map(|(&span, it)| gpu::Elapsed {
                span: labels[span].id.clone(),
                name: labels[span].name.clone(),
                calls: it.calls,
                stream_elapsed_ns: it.ns,
            })
            .collect(),
        launches: calls::launches(&view.devices),
        rules: view
            .rules
            .iter()
            .map(|found| gpu::Rule {
                rule: found.rule.to_owned(),
                kind: found.kind,
                subkind: found.subkind.word().to_owned(),
                what: found.what.to_owned(),
                ns: found.ns,
                share: ratio(found.ns, view.in_use_ns),
                span: found.span.map(|span| labels[span].id.clone()),
                evidence: found.evidence.clone(),
                next: found.next.to_owned(),
            })
            .collect(),
        until_ns: view.devices.until_ns,
        lost: view.devices.lost,
        frames: graph::frames(view, labels),
        problems: view.problems.clone(),
        held_back: view.held_back.values().cloned().collect(),
        ..empty
    })
}

/// The host's waits by what they are for.
fn waits(devices: &Devices) -> Vec<gpu::Waits> {
    let mut res: BTreeMap<&str, gpu::Waits> = BTreeMap::new();
    for wait in calls::waits(devices) {
        let of = wait_word(wait.sort);
        let sum = res.entry(of).or_insert_with(|| gpu::Waits {
            of: of.to_owned(),
            count: 0,
            ns: 0,
            redundant: 0,
        });
        sum.count += 1;
        sum.ns += wait.ns;
        sum.redundant += u64::from(wait.is_redundant);
    }
    res.into_values().collect()
}

fn wait_word(sort: WaitSort) -> &'static str {
    match sort {
        WaitSort::Event | WaitSort::StreamForEvent => "an event",
        WaitSort::Stream => "a stream",
        WaitSort::Context => "a context",
    }
}

fn device(view: &DeviceView, timeline: &Timeline) -> gpu::Device {
    let in_use_ns = timeline.ns_of(|_| true);
    let runs = |is: fn(&Deed) -> bool| {
        timeline.ns_of(|state| match state {
            State::Runs(work) | State::Serial(work, _) => is(&view.devices.works[work.0].deed),
            State::Idles(..) => false,
        })
    };
    let mut idle: Vec<(Cause, u64)> = Cause::ALL
        .into_iter()
        .map(|cause| {
            (cause, timeline.ns_of(|state| matches!(state, State::Idles(its, _) if its == cause)))
        })
        .filter(|(_, ns)| *ns > 0)
        .collect();
    idle.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
    let known = view.devices.known.iter().find(|it| it.number == timeline.device);
    let counted = view.counters.get(&timeline.device);
    gpu::Device {
        number: timeline.device,
        name: known.map_or_else(String::new, |it| it.name.clone()),
        in_use_ns,
        kernels_ns: runs(|deed| matches!(deed, Deed::Kernel { .. } | Deed::Graph { .. })),
        exposed_copies_ns: runs(|deed| matches!(deed, Deed::Copy { .. })),
        copy_overlap: copies::overlap(&view.devices, timeline.device),
        sets_ns: runs(|deed| matches!(deed, Deed::Set { .. })),
        idle_ns: idle.iter().map(|(_, ns)| ns).sum(),
        idle: idle
            .into_iter()
            .map(|(cause, ns)| gpu::Idle {
                cause: cause.words().to_owned(),
                share: Share { ns, share: ratio(ns, in_use_ns) },
            })
            .collect(),
        counters: counted.and_then(|it| it.as_ref().ok()).cloned(),
        not_counted: counted.and_then(|it| it.as_ref().err()).cloned(),
    }
}

/// Kernels of one name that one span has launched.
#[derive(Clone, Debug)]
struct Launched {
    kind: Kind,
    ns: Vec<u64>,
}

fn kernel_rows(view: &DeviceView, labels: &Column<SpanIdx, Label>) -> Vec<gpu::Kernel> {
    let mut times: BTreeMap<(&str, Option<SpanIdx>), Launched> = BTreeMap::new();
    for work in &view.devices.works {
        let name = match &work.deed {
            Deed::Kernel { name, .. } => name.as_ref(),
            Deed::Graph { .. } => "CUDA graph, undivided",
            Deed::Copy { .. } | Deed::Set { .. } => continue,
        };
        let launched = times
            .entry((name, work.span))
            .or_insert_with(|| Launched { kind: view.kind(work).0, ns: Vec::new() });
        launched.ns.push(work.when.ns());
    }
    let row = |((name, span), launched): ((&str, Option<SpanIdx>), Launched)| {
        let Launched { kind, ns: mut all } = launched;
        all.sort_unstable();
        let region = span.and_then(|span| view.region(span)).map(|(_, region)| region);
        gpu::Kernel {
            name: kernel_name::shown(name),
            span: span.map(|span| labels[span].id.clone()),
            count: all.len() as u64,
            ns: all.iter().sum(),
            median_ns: all[all.len() / 2],
            kind,
            evidence: region.map(Region::evidence).unwrap_or_default(),
        }
    };
    let mut res: Vec<gpu::Kernel> = times.into_iter().map(row).collect();
    res.sort_by_key(|kernel| std::cmp::Reverse(kernel.ns));
    res.truncate(gpu::MOST_KERNELS);
    res
}

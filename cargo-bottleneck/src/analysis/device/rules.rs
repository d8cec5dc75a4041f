//! What is often wrong with programs that use a device: one row each, with what it rests on and what to do.
//!
//! A rule says how much time is at stake; those below `LEAST_SHARE` of the time that the device is in use are not listed.
//! Thresholds are in the rows, each with its reason.

use crate::analysis::subkind::Subkind;
use crate::kind::Kind;
use crate::profile::SpanIdx;
use crate::profile::device::{Deed, Direction, MemoryKind, Work, WorkIdx};
use crate::report::model::{Evidence, Source};

use super::calls;
use super::copies::SMALL;
use super::facts::{Facts, seconds};
use super::idle::Cause;
use super::timeline::State;

/// What a rule found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its name in reports, which stays.
    pub rule: &'static str,
    /// What kind of bottleneck it is.
    pub kind: Kind,
    /// What of the kind.
    pub subkind: Subkind,
    /// What happens, in a few words.
    pub what: &'static str,
    /// The time at stake, in ns of the device or, where the device waits for nothing, of the host.
    pub ns: u64,
    /// The span that it happens in most.
    pub span: Option<SpanIdx>,
    /// The measurements it rests on.
    pub evidence: Vec<Evidence>,
    /// What to do.
    pub next: &'static str,
}

/// Less than this share of the time that devices are in use is not worth a rule.
const LEAST_SHARE: f64 = 0.02;
/// So many small copies one after the other, or more, could be one.
const SEVERAL: usize = 3;
/// Copies with less between them, on the same stream, are one after the other.
const NEXT_COPY_NS: u64 = 20_000;
/// Below this size a copy can hold no data but shapes and strides.
const TINY: u64 = 512;
/// So many events or waits for each kernel are more than a program asks for by itself.
const TRACKING: f64 = 2.0;
/// Kernels that are shorter than this are bound by their launches whatever the host does.
const SHORT_KERNEL_NS: u64 = 10_000;

type Rule = fn(&Facts<'_>) -> Option<Found>;

static RULES: &[Rule] = &[
    host_starved,
    pageable_copies,
    small_copies,
    hidden_uploads,
    synchronous_copies,
    sync_drain,
    redundant_waits,
    event_wait_chains,
    launch_bound,
    module_loading,
    event_tracking,
];

/// What the rules find, the most time at stake first.
pub(super) fn find(facts: &Facts<'_>) -> Vec<Found> {
    let mut res: Vec<Found> = RULES.iter().filter_map(|rule| rule(facts)).collect();
    res.retain(|found| found.ns as f64 >= LEAST_SHARE * facts.in_use_ns as f64);
    res.sort_by_key(|found| std::cmp::Reverse(found.ns));
    res
}

fn evidence(what: &str, value: f64, unit: &str, of: Option<f64>) -> Evidence {
    let source = Source::Measured;
    Evidence { what: what.to_owned(), value, unit: unit.to_owned(), of, source }
}

fn is_upload(work: &Work, memory: MemoryKind) -> bool {
    matches!(work.deed, Deed::Copy { direction: Direction::HostToDevice, from, .. } if from == memory)
}

fn is_pageable(work: &Work) -> bool {
    matches!(
        work.deed,
        Deed::Copy { direction: Direction::HostToDevice, from: MemoryKind::Pageable, .. }
            | Deed::Copy { direction: Direction::DeviceToHost, to: MemoryKind::Pageable, .. }
    )
}

fn bytes_of(work: &Work) -> u64 {
    if let Deed::Copy { bytes, .. } = work.deed { bytes } else { 0 }
}

fn host_starved(facts: &Facts<'_>) -> Option<Found> {
    let (ns, span) = facts.idle(Cause::HostStarved, |_| true);
    (ns > 0).then(|| Found {
        rule: "host-starved",
        kind: Kind::Io,
        subkind: Subkind::StarvedByHost,
        what: "the device has nothing to do while the host is busy with something else",
        ns,
        span,
        evidence: vec![evidence("device without work", seconds(ns), "s", Some(facts.in_use()))],
        next: "submit the next step before the host turns to anything else, or let another thread prepare it meanwhile",
    })
}

fn pageable_copies(facts: &Facts<'_>) -> Option<Found> {
    // Small ones have their own rule: their memory makes no difference.
    let is = |work: &Work| is_pageable(work) && bytes_of(work) >= SMALL;
    let (ns, span) = facts.exposed(is);
    let own: Vec<&Work> = facts.devices.works.iter().filter(|it| is(it)).collect();
    let rate = |works: &[&Work]| {
        let (bytes, ns) =
            works.iter().fold((0, 0), |(bytes, ns), it| (bytes + bytes_of(it), ns + it.when.ns()));
        (ns > 0).then(|| bytes as f64 / ns as f64)
    };
    let pinned: Vec<&Work> = facts
        .devices
        .works
        .iter()
        .filter(|it| is_upload(it, MemoryKind::Pinned) && bytes_of(it) >= SMALL)
        .collect();
    let mut all = vec![
        evidence("from or to pageable memory", own.len() as f64, "copies", None),
        evidence("in which no kernel runs", seconds(ns), "s", Some(facts.in_use())),
    ];
    if let Some(own) = rate(&own) {
        let measured = facts.measured.first().map(|it| it.h2d_pinned.median.get() / 1e9);
        let (what, of) = match measured {
            Some(_) => (
                "their rate, against copies from pinned memory as they were measured here",
                measured,
            ),
            None => ("their rate, against pinned copies of this run", rate(&pinned)),
        };
        all.push(evidence(what, own, "GB/s", of));
    }
    if ns == 0 {
        return None;
    }
    Some(Found {
        rule: "pageable-copies",
        kind: Kind::Io,
        subkind: Subkind::DeviceCopy,
        what: "data are copied from or to memory that is not pinned, which the driver does in pieces and the host waits for",
        ns,
        span,
        evidence: all,
        next: "allocate the host buffer once as pinned memory (`CudaContext::alloc_pinned`) and copy from there, so that kernels run meanwhile",
    })
}

/// Works that copy less than [`SMALL`] and follow one another on their stream, with the time from the first to the last.
fn runs_of_small_copies(facts: &Facts<'_>) -> (u64, u64, Option<SpanIdx>) {
    let mut by_stream: std::collections::BTreeMap<_, Vec<(WorkIdx, &Work)>> =
        std::collections::BTreeMap::new();
    for (index, work) in facts.devices.indexed_works() {
        by_stream.entry(work.stream).or_default().push((index, work));
    }
    let mut found = Vec::new();
    let is_small = |work: &Work| {
        matches!(
            work.deed,
            Deed::Copy { direction: Direction::HostToDevice | Direction::DeviceToHost, .. }
        ) && bytes_of(work) < SMALL
    };
    for works in by_stream.values() {
        let follows = |a: &(WorkIdx, &Work), b: &(WorkIdx, &Work)| {
            is_small(a.1)
                && is_small(b.1)
                && b.1.when.start_ns.saturating_sub(a.1.when.end_ns) <= NEXT_COPY_NS
        };
        for run in works.chunk_by(follows).filter(|run| run.len() >= SEVERAL && is_small(run[0].1))
        {
            found.push((
                run[0].0,
                run[0].1.when.start_ns,
                run[run.len() - 1].1.when.end_ns,
                run.len(),
            ));
        }
    }
    let count: usize = found.iter().map(|it| it.3).sum();
    // Of the time from the first to the last only that in which no kernel runs.
    let runs_kernel = |state: State| match state {
        State::Runs(work) | State::Serial(work) => {
            matches!(facts.devices.works[work.0].deed, Deed::Kernel { .. } | Deed::Graph { .. })
        }
        State::Idles(..) => false,
    };
    let exposed = |from, to| -> u64 {
        let device = facts.timelines.iter().flat_map(|it| it.within(from, to));
        device.filter(|(state, _)| !runs_kernel(*state)).map(|(_, ns)| ns).sum()
    };
    let (ns, span) = facts.sum(found.iter().map(|&(work, from, to, _)| (work, exposed(from, to))));
    (count as u64, ns, span)
}

fn small_copies(facts: &Facts<'_>) -> Option<Found> {
    let (count, ns, span) = runs_of_small_copies(facts);
    (count > 0).then(|| Found {
        rule: "small-copies",
        kind: Kind::Io,
        subkind: Subkind::DeviceCopy,
        what: "data are copied in many small pieces, each with the latency of a copy",
        ns,
        span,
        evidence: vec![
            evidence("below 64 KiB, three or more in a row", count as f64, "copies", None),
            evidence("in which no kernel runs", seconds(ns), "s", Some(facts.in_use())),
        ],
        next: "put the pieces into one buffer on the host and copy them at once, or keep them on the device",
    })
}

fn hidden_uploads(facts: &Facts<'_>) -> Option<Found> {
    let is_tiny = |work: &Work| is_upload(work, MemoryKind::Pageable) && bytes_of(work) <= TINY;
    let (copies_ns, span) = facts.exposed(is_tiny);
    let (idle_ns, _) = facts.idle(Cause::LaunchBound, is_tiny);
    let count = facts.devices.works.iter().filter(|it| is_tiny(it)).count();
    let is_kernel = |it: &&Work| matches!(it.deed, Deed::Kernel { .. });
    let kernels = facts.devices.works.iter().filter(is_kernel).count();
    // One for every tenth kernel, or more, is a habit of the library and not of the program.
    (count > 0 && 10 * count >= kernels).then(|| Found {
        rule: "hidden-uploads",
        kind: Kind::Io,
        subkind: Subkind::DeviceCopy,
        what: "a few bytes (shapes and strides) are copied for operation after operation",
        ns: copies_ns + idle_ns,
        span,
        evidence: vec![
            evidence("of at most 512 bytes from pageable memory", count as f64, "copies", None),
            evidence("in the same time", kernels as f64, "kernels", None),
        ],
        next: "make tensors contiguous once before they are used (`.contiguous()`): an operation on strided ones uploads their shape each time",
    })
}

fn synchronous_copies(facts: &Facts<'_>) -> Option<Found> {
    let blocks = |work: &Work| {
        let is_async = matches!(work.deed, Deed::Copy { is_async: true, .. });
        matches!(work.deed, Deed::Copy { .. })
            && !is_async
            && bytes_of(work) >= SMALL
            && !is_pageable(work)
    };
    let (ns, span) = facts.exposed(blocks);
    let count = facts.devices.works.iter().filter(|it| blocks(it)).count();
    (ns > 0).then(|| Found {
        rule: "synchronous-copies",
        kind: Kind::Io,
        subkind: Subkind::DeviceCopy,
        what: "copies are made by calls that wait until they are done",
        ns,
        span,
        evidence: vec![
            evidence("by calls that wait", count as f64, "copies", None),
            evidence("in which no kernel runs", seconds(ns), "s", Some(facts.in_use())),
        ],
        next: "copy on a stream (`memcpy_htod`, `memcpy_dtoh` with pinned memory) and wait for the result where it is needed",
    })
}

fn sync_drain(facts: &Facts<'_>) -> Option<Found> {
    let (ns, span) = facts.idle(Cause::SyncDrain, |_| true);
    let waits: u64 = calls::waits(facts.devices).values().map(|it| it.count).sum();
    (ns > 0).then(|| Found {
        rule: "sync-drain",
        kind: Kind::Scheduling,
        subkind: Subkind::SyncDrain,
        what: "the host waits for the device, and the device for what comes after",
        ns,
        span,
        evidence: vec![
            evidence("device without work right after such a wait", seconds(ns), "s", Some(facts.in_use())),
            evidence("of the host", waits as f64, "waits", None),
        ],
        next: "submit the next work before waiting for the last one (one step ahead), and wait only for what the host reads",
    })
}

fn redundant_waits(facts: &Facts<'_>) -> Option<Found> {
    let waits = calls::waits(facts.devices);
    let (redundant, all, ns) = waits.values().fold((0, 0, 0), |(redundant, all, ns), it| {
        (redundant + it.redundant, all + it.count, ns + it.ns)
    });
    let span = facts.devices.waits.iter().find_map(|it| it.span);
    (redundant > 0).then(|| Found {
        rule: "redundant-synchronize",
        kind: Kind::Scheduling,
        subkind: Subkind::SyncDrain,
        what: "the host waits again although nothing was submitted since it waited",
        ns: ns * redundant / all.max(1),
        span,
        evidence: vec![evidence(
            "with nothing to wait for",
            redundant as f64,
            "waits",
            Some(all as f64),
        )],
        next: "wait once, where the result is read",
    })
}

fn event_wait_chains(facts: &Facts<'_>) -> Option<Found> {
    let serial = facts.segments().filter_map(|(state, ns)| match state {
        State::Serial(work) => Some((work, ns)),
        _ => None,
    });
    let (serial_ns, span) = facts.sum(serial);
    let (idle_ns, _) = facts.idle(Cause::Dependency, |_| true);
    (serial_ns + idle_ns > 0).then(|| Found {
        rule: "event-wait-chains",
        kind: Kind::Scheduling,
        subkind: Subkind::StreamDependency,
        what: "streams wait for one another: a kernel that fills a part of the device runs alone",
        ns: serial_ns + idle_ns,
        span,
        evidence: vec![
            evidence("a small kernel runs while another stream waits for it", seconds(serial_ns), "s", Some(facts.in_use())),
            evidence("device without work until an event comes", seconds(idle_ns), "s", Some(facts.in_use())),
        ],
        next: "wait for events only where a result of the other stream is used, so that both streams run at once",
    })
}

fn launch_bound(facts: &Facts<'_>) -> Option<Found> {
    let is_kernel = |work: &Work| matches!(work.deed, Deed::Kernel { .. } | Deed::Graph { .. });
    let (ns, span) = facts.idle(Cause::LaunchBound, is_kernel);
    let launches = calls::launches(facts.devices);
    (ns > 0 && launches.kernel_ns <= SHORT_KERNEL_NS.max(2 * launches.call_ns)).then(|| Found {
        rule: "launch-bound",
        kind: Kind::Scheduling,
        subkind: Subkind::LaunchBound,
        what: "kernels are over before the next one is launched",
        ns,
        span,
        evidence: vec![
            evidence("device without work between launches", seconds(ns), "s", Some(facts.in_use())),
            evidence("median kernel", seconds(launches.kernel_ns), "s", None),
            evidence("median launch", seconds(launches.call_ns), "s", None),
            evidence("works in the queue on average", launches.queued, "works", None),
        ],
        next: "capture the step into a CUDA graph and launch it as one, or fuse kernels, or batch requests so that kernels are longer",
    })
}

fn module_loading(facts: &Facts<'_>) -> Option<Found> {
    let (ns, span) = facts.idle(Cause::Loading, |_| true);
    (ns > 0).then(|| Found {
        rule: "module-loading",
        kind: Kind::Scheduling,
        subkind: Subkind::ModuleLoad,
        what: "modules are loaded or compiled while the device waits",
        ns,
        span,
        evidence: vec![evidence("device without work meanwhile", seconds(ns), "s", Some(facts.in_use()))],
        next: "load modules and run each kernel once before the first request (CUDA_MODULE_LOADING=EAGER loads them at the start)",
    })
}

fn event_tracking(facts: &Facts<'_>) -> Option<Found> {
    let (count, ns) = calls::tracking_calls(facts.devices);
    let launches = calls::launches(facts.devices).count;
    (launches > 0 && count as f64 >= TRACKING * launches as f64).then(|| Found {
        rule: "event-tracking",
        kind: Kind::Scheduling,
        subkind: Subkind::LaunchBound,
        what: "events are recorded and waited for around every operation",
        ns,
        span: None,
        evidence: vec![
            evidence("events recorded, and waits of streams for them", count as f64, "calls", None),
            evidence("for each kernel", count as f64 / launches as f64, "calls", None),
            evidence("time of these calls", seconds(ns), "s", Some(facts.in_use())),
        ],
        next: "switch off cudarc's event tracking (`CudaContext::disable_event_tracking`) if one stream is used, or streams are ordered by hand",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::device::fixture::Drawing;
    use crate::analysis::device::idle::Gaps;
    use crate::analysis::device::timeline::Timeline;

    const US: u64 = 1_000;

    fn found(drawing: &Drawing) -> Vec<(&'static str, u64)> {
        let devices = drawing.devices();
        let timelines = [Timeline::of(&devices, &Gaps::of(&devices), 0, Some(132))];
        let in_use_ns = timelines[0].ns_of(|_| true);
        let facts = Facts { devices: &devices, timelines: &timelines, in_use_ns, measured: &[] };
        find(&facts).into_iter().map(|it| (it.rule, it.ns / US)).collect()
    }

    #[test]
    fn a_device_that_is_fed_breaks_no_rule() {
        // host    [a][copy][b]
        // device     |-----a-----|-----b-----|
        // copies       |copy|                   pinned, beside a kernel
        let drawing = Drawing::new()
            .launch(1, 0..2 * US, "a", 7, 3 * US..100 * US)
            .upload(1, 2 * US..4 * US, (1 << 20, MemoryKind::Pinned), 8, 5 * US..45 * US)
            .launch(1, 4 * US..6 * US, "b", 7, 101 * US..200 * US);
        assert_eq!(found(&drawing), []);
    }

    #[test]
    fn pageable_copies_are_at_stake_where_they_are_exposed() {
        let drawing = Drawing::new()
            .launch(1, 0..2 * US, "a", 7, 3 * US..103 * US)
            .upload(1, 2 * US..204 * US, (1 << 20, MemoryKind::Pageable), 8, 53 * US..203 * US)
            .launch(1, 205 * US..206 * US, "b", 7, 207 * US..307 * US);
        assert_eq!(found(&drawing)[0], ("pageable-copies", 100));
    }

    #[test]
    fn small_copies_in_a_row_are_one_thing_with_their_gaps() {
        let small = (4096, MemoryKind::Pinned);
        let mut drawing = Drawing::new().launch(1, 0..2 * US, "a", 7, 3 * US..103 * US);
        for at in [110, 120, 130, 140] {
            drawing = drawing.upload(1, (at - 8) * US..at * US, small, 8, at * US..(at + 2) * US);
        }
        drawing = drawing.launch(1, 141 * US..142 * US, "b", 7, 144 * US..244 * US);
        let rows = found(&drawing);
        assert!(rows.contains(&("small-copies", 32)), "{rows:?}");
        assert!(!rows.iter().any(|it| it.0 == "pageable-copies"), "{rows:?}");
    }

    #[test]
    fn short_kernels_launched_one_by_one_are_bound_by_that() {
        let mut drawing = Drawing::new();
        for n in 0..10 {
            let at = 10 * n * US;
            drawing = drawing.launch(1, at..at + 9 * US, "k", 7, at + 9 * US..at + 11 * US);
        }
        let rows = found(&drawing);
        assert_eq!(rows[0], ("launch-bound", 72), "{rows:?}");
    }

    #[test]
    fn events_around_every_kernel_are_named() {
        let mut drawing = Drawing::new();
        for n in 0..10 {
            let at = 100 * n * US;
            drawing = drawing
                .record(1, at..at + 3 * US, n, 7)
                .stream_wait(1, at + 3 * US..at + 6 * US, n, 7)
                .launch(1, at + 6 * US..at + 9 * US, "k", 7, at + 10 * US..at + 108 * US);
        }
        let rows = found(&drawing);
        assert!(rows.contains(&("event-tracking", 60)), "{rows:?}");
    }
}

//! The rules about copies; see [`super::rules`].

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::subkind::Subkind;
use crate::kind::Kind;
use crate::profile::SpanIdx;
use crate::profile::device::{Deed, Direction, MemoryKind, Work, WorkIdx};

use super::copies::SMALL;
use super::facts::{Facts, seconds};
use super::idle::Cause;
use super::order::Order;
use super::rules::{Found, evidence};
use super::timeline::State;

/// So many small copies one after the other, or more, could be one.
const SEVERAL: usize = 3;
/// Copies with less between them, on the same stream, are one after the other.
const NEXT_COPY_NS: u64 = 20_000;
/// Below this size a copy can hold no data but shapes and strides.
const TINY: u64 = 512;

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

/// What a rule about copies says, whatever it rests on.
struct Says {
    rule: &'static str,
    what: &'static str,
    next: &'static str,
}

impl Says {
    /// Of so many copies, `sort` in words, which take `at_stake` while no kernel runs; nothing if they take no time.
    fn of(
        self,
        facts: &Facts<'_>,
        count: usize,
        sort: &str,
        at_stake: (u64, Option<SpanIdx>),
    ) -> Option<Found> {
        let (ns, span) = at_stake;
        (ns > 0).then(|| Found {
            rule: self.rule,
            kind: Kind::Io,
            subkind: Subkind::DeviceCopy,
            what: self.what,
            ns,
            span,
            evidence: vec![
                evidence(sort, count as f64, "copies", None),
                evidence("in which no kernel runs", seconds(ns), "s", Some(facts.in_use())),
            ],
            next: self.next,
        })
    }
}

/// Works that fit.
fn count(facts: &Facts<'_>, is: impl Fn(&Work) -> bool) -> usize {
    facts.devices.works.iter().filter(|it| is(it)).count()
}

/// Bytes per ns of the works that fit, all of them together.
fn rate(facts: &Facts<'_>, is: impl Fn(&Work) -> bool) -> Option<f64> {
    let own = facts.devices.works.iter().filter(|it| is(it));
    let (bytes, ns) = own.fold((0, 0), |(bytes, ns), it| (bytes + bytes_of(it), ns + it.when.ns()));
    (ns > 0).then(|| bytes as f64 / ns as f64)
}

pub(super) fn pageable_copies(facts: &Facts<'_>) -> Option<Found> {
    // Small ones have their own rule: their memory makes no difference.
    let is = |work: &Work| is_pageable(work) && bytes_of(work) >= SMALL;
    let says = Says {
        rule: "pageable-copies",
        what: "data are copied from or to memory that is not pinned, which the driver does in pieces and the host waits for",
        next: "allocate the host buffer once as pinned memory (`CudaContext::alloc_pinned`) and copy from there, so that kernels run meanwhile",
    };
    let sort = "from or to pageable memory";
    let mut found = says.of(facts, count(facts, is), sort, facts.exposed(is))?;
    if let Some(own) = rate(facts, is) {
        let measured = facts.measured.first().map(|it| it.h2d_pinned.median.get() / 1e9);
        let is_pinned =
            |work: &Work| is_upload(work, MemoryKind::Pinned) && bytes_of(work) >= SMALL;
        let (what, of) = match measured {
            Some(_) => (
                "their rate, against copies from pinned memory as they were measured here",
                measured,
            ),
            None => ("their rate, against pinned copies of this run", rate(facts, is_pinned)),
        };
        found.evidence.push(evidence(what, own, "GB/s", of));
    }
    Some(found)
}

/// Works that copy less than [`SMALL`] and follow one another on their stream: how many, and the time from the first to the
/// last in which no kernel runs.
fn runs_of_small_copies(facts: &Facts<'_>) -> (usize, (u64, Option<SpanIdx>)) {
    let mut by_stream: BTreeMap<_, Vec<(WorkIdx, &Work)>> = BTreeMap::new();
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
        State::Runs(work) | State::Serial(work, _) => {
            matches!(facts.devices.works[work.0].deed, Deed::Kernel { .. } | Deed::Graph { .. })
        }
        State::Idles(..) => false,
    };
    let exposed = |from, to| -> u64 {
        let device = facts.timelines.iter().flat_map(|it| it.within(from, to));
        device.filter(|(state, _)| !runs_kernel(*state)).map(|(_, ns)| ns).sum()
    };
    (count, facts.sum(found.iter().map(|&(work, from, to, _)| (work, exposed(from, to)))))
}

pub(super) fn small_copies(facts: &Facts<'_>) -> Option<Found> {
    let (count, at_stake) = runs_of_small_copies(facts);
    let says = Says {
        rule: "small-copies",
        what: "data are copied in many small pieces, each with the latency of a copy",
        next: "put the pieces into one buffer on the host and copy them at once, or keep them on the device",
    };
    says.of(facts, count, "below 64 KiB, three or more in a row", at_stake)
}

pub(super) fn hidden_uploads(facts: &Facts<'_>) -> Option<Found> {
    let is_tiny = |work: &Work| is_upload(work, MemoryKind::Pageable) && bytes_of(work) <= TINY;
    let (copies_ns, span) = facts.exposed(is_tiny);
    let (idle_ns, _) = facts.idle(Cause::LaunchBound, is_tiny);
    let count = count(facts, is_tiny);
    let kernels = self::count(facts, |it| matches!(it.deed, Deed::Kernel { .. }));
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

pub(super) fn synchronous_copies(facts: &Facts<'_>) -> Option<Found> {
    let blocks = |work: &Work| {
        let is_async = matches!(work.deed, Deed::Copy { is_async: true, .. });
        matches!(work.deed, Deed::Copy { .. })
            && !is_async
            && bytes_of(work) >= SMALL
            && !is_pageable(work)
    };
    let says = Says {
        rule: "synchronous-copies",
        what: "copies are made by calls that wait until they are done",
        next: "copy on a stream (`memcpy_htod`, `memcpy_dtoh` with pinned memory) and wait for the result where it is needed",
    };
    says.of(facts, count(facts, blocks), "by calls that wait", facts.exposed(blocks))
}

/// Pageable ones and those whose calls wait have rules of their own.
fn could_overlap(work: &Work) -> bool {
    let is_between = matches!(
        work.deed,
        Deed::Copy {
            is_async: true,
            direction: Direction::HostToDevice | Direction::DeviceToHost,
            ..
        }
    );
    is_between && !is_pageable(work) && bytes_of(work) >= SMALL
}

/// Time of copies in which no kernel runs, because one of them was given to the default stream; and the span of most of it.
pub(super) fn beside_default_stream(facts: &Facts<'_>) -> (u64, Option<SpanIdx>) {
    let works = &facts.devices.works;
    let is_held =
        |at| facts.gaps.held_by(at).is_some_and(|held| held.order == Order::DefaultStream);
    let submitted = |work: &Work| Some(facts.devices.calls.get(work.call?.0)?.when.end_ns);
    // A kernel is queued behind it.
    let could_hide = |at: WorkIdx| {
        let later = works[at.0..].iter().find(|it| matches!(it.deed, Deed::Kernel { .. }));
        later.and_then(submitted).is_some_and(|when| when <= works[at.0].when.start_ns)
    };
    facts.sum(facts.segments().filter_map(|(state, ns)| match state {
        State::Runs(at) if could_overlap(&works[at.0]) && is_held(at) && could_hide(at) => {
            Some((at, ns))
        }
        _ => None,
    }))
}

pub(super) fn one_stream(facts: &Facts<'_>) -> Option<Found> {
    let is_kernel = |work: &Work| matches!(work.deed, Deed::Kernel { .. } | Deed::Graph { .. });
    let of_kernels: BTreeSet<_> =
        facts.devices.works.iter().filter(|it| is_kernel(it)).map(|it| it.stream).collect();
    let shares_it = |work: &Work| could_overlap(work) && of_kernels.contains(&work.stream);
    if of_kernels.len() != 1
        || count(facts, |it| could_overlap(it) && !of_kernels.contains(&it.stream)) > 0
    {
        return None;
    }
    let says = Says {
        rule: "one-stream",
        what: "copies and kernels are given to one stream (the default one, perhaps), which does one after the other",
        next: "copy on a second stream (`CudaContext::new_stream`), and let the kernels that need the data wait for an event of it",
    };
    let sort = "from or to pinned memory, on the stream of the kernels";
    says.of(facts, count(facts, shares_it), sort, facts.exposed(shares_it))
}

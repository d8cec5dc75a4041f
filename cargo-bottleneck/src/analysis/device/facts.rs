//! What the rules look at: sums over what devices did.

use std::collections::BTreeMap;

use crate::machine::gpu::GpuCeilings;
use crate::profile::SpanIdx;
use crate::profile::device::{Devices, Work, WorkIdx};

use super::idle::{Cause, Gaps};
use super::timeline::{State, Timeline};

/// What the rules look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) devices: &'a Devices,
    pub(super) timelines: &'a [Timeline],
    pub(super) gaps: &'a Gaps<'a>,
    /// Time that devices are in use, in ns.
    pub(super) in_use_ns: u64,
    /// What devices reach, where that was measured.
    pub(super) measured: &'a [GpuCeilings],
}

impl Facts<'_> {
    /// Time in which devices idle for a cause, and the span of the work that most of it ends with.
    pub(super) fn idle(
        &self,
        cause: Cause,
        before: impl Fn(&Work) -> bool,
    ) -> (u64, Option<SpanIdx>) {
        let own = self.segments().filter_map(|(state, ns)| match state {
            State::Idles(its, next) if its == cause && before(&self.devices.works[next.0]) => {
                Some((self.devices.launching(&self.devices.works[next.0]), ns))
            }
            _ => None,
        });
        most(own)
    }

    /// Time of such works that counts, and the span of most of it.
    pub(super) fn exposed(&self, is: impl Fn(&Work) -> bool) -> (u64, Option<SpanIdx>) {
        let own = self.segments().filter_map(|(state, ns)| match state {
            State::Runs(work) if is(&self.devices.works[work.0]) => Some((work, ns)),
            _ => None,
        });
        self.sum(own)
    }

    /// Every segment's state and time.
    pub(super) fn segments(&self) -> impl Iterator<Item = (State, u64)> {
        let timelines = self.timelines.iter();
        timelines.flat_map(|it| &it.segments).map(|segment| (segment.state, segment.ns()))
    }

    /// The sum, and the span with most of it.
    pub(super) fn sum(&self, all: impl Iterator<Item = (WorkIdx, u64)>) -> (u64, Option<SpanIdx>) {
        most(all.map(|(work, ns)| (self.devices.works[work.0].span, ns)))
    }

    /// `in_use_ns` in seconds.
    pub(super) fn in_use(&self) -> f64 {
        seconds(self.in_use_ns)
    }
}

pub(super) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// The sum of times, and the span that has most of it.
pub(super) fn most(times: impl Iterator<Item = (Option<SpanIdx>, u64)>) -> (u64, Option<SpanIdx>) {
    let mut by_span = BTreeMap::new();
    let mut whole = 0;
    for (span, ns) in times {
        whole += ns;
        *by_span.entry(span).or_insert(0) += ns;
    }
    let of_spans = by_span.into_iter().filter_map(|(span, ns)| Some((ns, span?)));
    let most = of_spans.max_by_key(|&(ns, span)| (ns, std::cmp::Reverse(span)));
    (whole, most.map(|(_, span)| span))
}

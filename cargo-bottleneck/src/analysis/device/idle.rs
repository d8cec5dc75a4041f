//! Why a device had nothing to run: each gap between its works has one cause, the first row of its table that holds.
//!
//! A gap ends with the next work. If that was submitted before the gap began, the device itself held it up: it waited for an
//! event, or was slow to begin. If it was submitted later, the host came late, and what it did before tells why.

use std::collections::HashMap;

use crate::profile::device::{CallIdx, Deed, Devices, WaitSort, When, Work, WorkIdx};

use super::order::{Held, Order, Orders};
use super::stretches::Stretches;

/// Why a device idles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A module or a function was loaded or compiled.
    Loading,
    /// Its stream waited for an event of another one.
    Dependency,
    /// Its stream and the default stream wait for each other.
    DefaultStream,
    /// The host waited for the device to be done before it submitted more.
    SyncDrain,
    /// The host was busy with submitting: one call after the other.
    LaunchBound,
    /// The host did something else.
    HostStarved,
    /// What was submitted did not begin at once.
    Other,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 7] = [
        Self::Loading,
        Self::Dependency,
        Self::DefaultStream,
        Self::SyncDrain,
        Self::LaunchBound,
        Self::HostStarved,
        Self::Other,
    ];

    /// In a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Loading => "modules were loaded",
            Self::Dependency => "a stream waited for another one",
            Self::DefaultStream => "a stream and the default stream waited for each other",
            Self::SyncDrain => "the host waited for the device before it submitted more",
            Self::LaunchBound => "the host was busy with submitting",
            Self::HostStarved => "the host was busy with something else",
            Self::Other => "submitted work did not begin at once",
        }
    }
}

/// A gap, from the end of what ran to the beginning of the next work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap<'a> {
    /// Its beginning.
    pub(super) start_ns: u64,
    /// Its end.
    pub(super) end_ns: u64,
    /// What ends it.
    pub(super) next: WorkIdx,
    /// The same.
    pub(super) work: &'a Work,
}

impl Gap<'_> {
    fn ns(&self) -> u64 {
        self.end_ns - self.start_ns
    }
}

/// Two calls with less between them are one after the other.
const NEXT_CALL_NS: u64 = 3_000;
/// A gap is a matter of what fills at least this part of it.
const MOST: f64 = 0.5;
/// CUPTI's numbers: a compiler, modules, and functions that are loaded when they are used first.
const LOADING: [u32; 3] = [1, 4 << 16, 5 << 16];

/// One row of the table.
struct Rule {
    when: fn(&Gap<'_>, &Gaps<'_>) -> bool,
    cause: Cause,
}

static RULES: &[Rule] = &[
    Rule { when: |gap, at| gap.is_mostly(&at.loading), cause: Cause::Loading },
    Rule { when: |gap, at| at.is_held(gap, Order::Event), cause: Cause::Dependency },
    Rule { when: |gap, at| at.is_held(gap, Order::DefaultStream), cause: Cause::DefaultStream },
    Rule { when: |gap, at| at.was_submitted(gap), cause: Cause::Other },
    Rule {
        when: |gap, at| {
            at.host_before(gap).is_some_and(|it| it.has_waited && it.is_with_driver(gap))
        },
        cause: Cause::SyncDrain,
    },
    Rule {
        when: |gap, at| at.host_before(gap).is_some_and(|it| it.is_with_driver(gap)),
        cause: Cause::LaunchBound,
    },
    Rule { when: |_, _| true, cause: Cause::HostStarved },
];

/// What is needed to find the causes of gaps, each in constant time.
#[derive(Debug)]
pub(super) struct Gaps<'a> {
    devices: &'a Devices,
    loading: Stretches,
    /// By call: the one before it on its thread.
    before: Vec<Option<CallIdx>>,
    /// By call: until when the host waited in it for a device.
    waited: HashMap<CallIdx, u64>,
    orders: Orders,
}

impl<'a> Gaps<'a> {
    /// Linear in what devices and hosts did, but for sorting.
    pub(super) fn of(devices: &'a Devices) -> Self {
        let loads = devices.overheads.iter().filter(|(what, _)| LOADING.contains(what));
        let mut last: HashMap<u32, CallIdx> = HashMap::new();
        let indexed = devices.calls.iter().enumerate();
        let before = indexed.map(|(at, call)| last.insert(call.tid, CallIdx(at))).collect();
        Self {
            devices,
            loading: Stretches::of(loads.map(|(_, when)| (when.start_ns, when.end_ns))),
            before,
            waited: waited(devices),
            orders: Orders::of(devices),
        }
    }

    /// The cause of a gap.
    pub(super) fn cause(&self, gap: &Gap<'_>) -> Cause {
        RULES.iter().find(|rule| (rule.when)(gap, self)).map_or(Cause::Other, |rule| rule.cause)
    }

    /// The other stream that a work had to wait for; the last one if there were several.
    pub(super) fn held_by(&self, work: WorkIdx) -> Option<Held> {
        self.orders.held_by(work)
    }

    fn is_held(&self, gap: &Gap<'_>, by: Order) -> bool {
        self.was_submitted(gap) && self.held_by(gap.next).is_some_and(|held| held.order == by)
    }

    fn call(&self, at: CallIdx) -> Option<When> {
        self.devices.calls.get(at.0).map(|call| call.when)
    }

    /// Before the gap began. Of what has no call nothing is said of the host.
    fn was_submitted(&self, gap: &Gap<'_>) -> bool {
        let call = gap.work.call.and_then(|at| self.call(at));
        call.is_none_or(|call| call.end_ns <= gap.start_ns)
    }

    /// What the thread that ends a gap did in it before. Linear in its calls in there.
    fn host_before(&self, gap: &Gap<'_>) -> Option<Host> {
        let mut index = gap.work.call?;
        let mut later = self.call(index)?;
        let mut res = Host::default();
        loop {
            if later.start_ns <= gap.start_ns {
                return Some(res);
            }
            let before = self.before.get(index.0).copied().flatten();
            let Some((at, call)) = before.and_then(|at| Some((at, self.call(at)?))) else {
                res.elsewhere_ns += later.start_ns - gap.start_ns;
                return Some(res);
            };
            let pause_ns = later.start_ns.saturating_sub(call.end_ns.max(gap.start_ns));
            if NEXT_CALL_NS < later.start_ns.saturating_sub(call.end_ns) {
                res.elsewhere_ns += pause_ns;
            }
            if call.end_ns < gap.start_ns {
                return Some(res);
            }
            if self.waited.get(&at).is_some_and(|&until| gap.start_ns <= until) {
                return Some(Host { has_waited: true, ..res });
            }
            (index, later) = (at, call);
        }
    }
}

/// What a thread did from the beginning of a gap, or from the end of its wait in there, to the end of the call that ends it.
#[derive(Clone, Copy, Debug, Default)]
struct Host {
    /// It began with the end of a wait for the device.
    has_waited: bool,
    /// Time that is neither in calls of the driver nor between two of them that follow one another.
    elsewhere_ns: u64,
}

impl Host {
    /// For most of the gap it had little to do but to call the driver, or to wait for it.
    fn is_with_driver(self, gap: &Gap<'_>) -> bool {
        (self.elsewhere_ns as f64) < MOST * gap.ns() as f64
    }
}

impl Gap<'_> {
    fn is_mostly(&self, what: &Stretches) -> bool {
        let inside = what.around(self.start_ns, self.end_ns);
        inside.ns() as f64 >= MOST * self.ns() as f64 && inside.ns() > 0
    }
}

/// Calls in which the host waited: those of waits, and copies that were over when their call was.
fn waited(devices: &Devices) -> HashMap<CallIdx, u64> {
    let mut res = HashMap::new();
    for wait in devices.waits.iter().filter(|it| it.sort != WaitSort::StreamForEvent) {
        if let Some(call) = wait.call {
            res.insert(call, wait.when.end_ns);
        }
    }
    for work in devices.works.iter().filter(|it| matches!(it.deed, Deed::Copy { .. })) {
        let call = work.call.and_then(|at| Some((at, devices.calls.get(at.0)?.when)));
        if let Some((at, call)) = call.filter(|(_, call)| work.when.end_ns <= call.end_ns) {
            res.insert(at, call.end_ns);
        }
    }
    res
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::device::fixture::Drawing;

    #[track_caller]
    fn check(drawing: &Drawing, expected: Cause) {
        let devices = drawing.devices();
        let gaps = Gaps::of(&devices);
        let (index, work) = devices.indexed_works().last().unwrap();
        let start_ns = devices.works[..index.0].iter().map(|it| it.when.end_ns).max().unwrap();
        let gap = Gap { start_ns, end_ns: work.when.start_ns, next: index, work };
        assert_eq!(gaps.cause(&gap), expected);
    }

    const US: u64 = 1_000;

    #[test]
    fn the_host_that_computes_between_calls_starves_the_device() {
        // host    [L]                [L]
        // device     |--a--|            |--b--|
        let drawing = Drawing::new().launch(1, 0..2 * US, "a", 7, 5 * US..50 * US).launch(
            1,
            200 * US..202 * US,
            "b",
            7,
            205 * US..250 * US,
        );
        check(&drawing, Cause::HostStarved);
    }

    #[test]
    fn calls_one_after_the_other_are_launches_that_bound() {
        // host    [L][L]
        // device    |a|  |b|
        let drawing = Drawing::new().launch(1, 0..6 * US, "a", 7, 6 * US..8 * US).launch(
            1,
            7 * US..13 * US,
            "b",
            7,
            13 * US..15 * US,
        );
        check(&drawing, Cause::LaunchBound);
    }

    #[test]
    fn a_wait_right_before_the_call_drained_the_device() {
        // host    [L][--sync--] [L]
        // device     |---a---|    |b|
        let drawing = Drawing::new()
            .launch(1, 0..2 * US, "a", 7, 3 * US..50 * US)
            .synchronize(1, 3 * US..52 * US, 7)
            .launch(1, 53 * US..55 * US, "b", 7, 57 * US..90 * US);
        check(&drawing, Cause::SyncDrain);
        // The same with 100 us of something else behind the wait.
        let late = Drawing::new()
            .launch(1, 0..2 * US, "a", 7, 3 * US..50 * US)
            .synchronize(1, 3 * US..52 * US, 7)
            .launch(1, 153 * US..155 * US, "b", 7, 157 * US..190 * US);
        check(&late, Cause::HostStarved);
    }

    #[test]
    fn work_that_is_queued_waits_for_an_event_or_is_slow() {
        // stream 8  waits for an event of stream 7
        let drawing = Drawing::new()
            .launch(1, 0..2 * US, "a", 7, 3 * US..50 * US)
            .record(1, 3 * US..4 * US, 1, 7)
            .stream_wait(1, 4 * US..5 * US, 1, 8)
            .launch(1, 5 * US..7 * US, "b", 8, 60 * US..90 * US);
        check(&drawing, Cause::Dependency);
        let own = Drawing::new()
            .launch(1, 0..2 * US, "a", 7, 3 * US..50 * US)
            .record(1, 3 * US..4 * US, 1, 7)
            .stream_wait(1, 4 * US..5 * US, 1, 7)
            .launch(1, 5 * US..7 * US, "b", 7, 60 * US..90 * US);
        check(&own, Cause::Other);
    }

    #[test]
    fn what_a_module_is_loaded_in_is_no_fault_of_the_host() {
        let drawing = Drawing::new()
            .launch(1, 0..2 * US, "a", 7, 3 * US..50 * US)
            .overhead(4 << 16, 60 * US..190 * US)
            .launch(1, 55 * US..202 * US, "b", 7, 205 * US..250 * US);
        check(&drawing, Cause::Loading);
    }
}

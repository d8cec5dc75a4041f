//! What the host asks of the driver: launches, and waits.

use std::collections::{HashMap, HashSet};

use crate::profile::SpanIdx;
use crate::profile::device::{CallIdx, Deed, Devices, Wait, WaitSort, Work};
use crate::report::model::gpu::Launches;

/// CUPTI's numbers of the functions that are told apart.
pub(super) mod cbid {
    pub(crate) const EVENT_RECORD: [u32; 2] = [119, 438];
    pub(crate) const STREAM_WAIT: [u32; 2] = [295, 439];
    pub(crate) const GRAPH_LAUNCH: [u32; 2] = [514, 515];
}

/// A wait shorter than this found nothing to wait for.
const AT_ONCE_NS: u64 = 20_000;

/// Medians and the queue.
pub(super) fn launches(devices: &Devices) -> Launches {
    let is_launch = |it: &&Work| matches!(it.deed, Deed::Kernel { .. } | Deed::Graph { .. });
    let with_call = |work: &Work| Some(devices.calls.get(work.call?.0)?.when);
    let own: Vec<_> = devices
        .works
        .iter()
        .filter(is_launch)
        .filter_map(|work| Some((work.when, with_call(work)?)))
        .collect();
    let median = |values: &mut dyn Iterator<Item = u64>| {
        let mut values: Vec<u64> = values.collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(0)
    };
    let first_ns = own.iter().map(|(_, call)| call.start_ns).min().unwrap_or(0);
    let last_ns = own.iter().map(|(work, _)| work.end_ns).max().unwrap_or(0);
    let in_queue: u64 =
        own.iter().map(|(work, call)| work.end_ns.saturating_sub(call.start_ns)).sum();
    Launches {
        count: own.len() as u64,
        call_ns: median(&mut own.iter().map(|(_, call)| call.ns())),
        kernel_ns: median(&mut own.iter().map(|(work, _)| work.ns())),
        delay_ns: median(
            &mut own.iter().map(|(work, call)| work.start_ns.saturating_sub(call.end_ns)),
        ),
        queued: in_queue as f64 / last_ns.saturating_sub(first_ns).max(1) as f64,
    }
}

/// A wait of the host for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HostWait {
    /// For what.
    pub(super) sort: WaitSort,
    /// Time of the call, in ns.
    pub(super) ns: u64,
    /// Nothing had been submitted since the wait before, on the same thread, and it waited for nothing.
    pub(super) is_redundant: bool,
    /// The span that it is made in.
    pub(super) span: Option<SpanIdx>,
}

/// The host's waits, in the order of their calls.
pub(super) fn waits(devices: &Devices) -> Vec<HostWait> {
    let submits: HashSet<CallIdx> = devices.works.iter().filter_map(|it| it.call).collect();
    let of_host = devices.waits.iter().filter(|it| it.sort != WaitSort::StreamForEvent);
    let waits: HashMap<CallIdx, &Wait> = of_host.filter_map(|it| Some((it.call?, it))).collect();
    // By thread: whether something was submitted since its last wait.
    let mut has_submitted: HashMap<u32, bool> = HashMap::new();
    let mut res = Vec::new();
    for (at, call) in devices.calls.iter().enumerate() {
        let has = has_submitted.entry(call.tid).or_insert(true);
        *has |= submits.contains(&CallIdx(at));
        let Some(wait) = waits.get(&CallIdx(at)) else { continue };
        let is_redundant = !std::mem::take(has) && call.when.ns() < AT_ONCE_NS;
        res.push(HostWait { sort: wait.sort, ns: call.when.ns(), is_redundant, span: wait.span });
    }
    res
}

/// Graphs that were launched, and of which no record says what they ran.
pub(super) fn empty_graphs(devices: &Devices) -> u64 {
    let with_work: HashSet<CallIdx> = devices.works.iter().filter_map(|it| it.call).collect();
    let known = |at_ns: u64| devices.until_ns.is_none_or(|until_ns| at_ns < until_ns);
    let calls = devices.calls.iter().enumerate();
    let launches = calls.filter(|(_, call)| {
        cbid::GRAPH_LAUNCH.contains(&call.cbid) && !call.has_failed && known(call.when.start_ns)
    });
    launches.filter(|(at, _)| !with_work.contains(&CallIdx(*at))).count() as u64
}

/// Calls that `cudarc` makes by itself to keep streams in order, for each kernel: events that are recorded and waited for.
pub(super) fn tracking_calls(devices: &Devices) -> (u64, u64) {
    let is_tracking =
        |cbid: u32| cbid::EVENT_RECORD.contains(&cbid) || cbid::STREAM_WAIT.contains(&cbid);
    let own = devices.calls.iter().filter(|call| is_tracking(call.cbid));
    own.fold((0, 0), |(count, ns), call| (count + 1, ns + call.when.ns()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::device::fixture::Drawing;

    const US: u64 = 1_000;

    #[test]
    fn a_second_wait_with_nothing_in_between_is_redundant() {
        let drawing = Drawing::new()
            .launch(1, 0..2 * US, "a", 7, 3 * US..50 * US)
            .synchronize(1, 3 * US..52 * US, 7)
            .synchronize(1, 53 * US..55 * US, 7)
            .launch(1, 60 * US..62 * US, "b", 7, 63 * US..64 * US)
            .synchronize(1, 65 * US..67 * US, 7);
        let found =
            waits(&drawing.devices()).into_iter().map(|it| (it.sort, it.ns / US, it.is_redundant));
        let of_stream = |us, is_redundant| (WaitSort::Stream, us, is_redundant);
        let expected = [of_stream(49, false), of_stream(2, true), of_stream(2, false)];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_queue_is_as_long_as_works_wait_and_run() {
        // host    [a][b]
        // device     |----a----|----b----|
        let drawing =
            Drawing::new().launch(1, 0..10, "a", 7, 20..60).launch(1, 10..20, "b", 7, 60..100);
        let found = launches(&drawing.devices());
        assert_eq!((found.count, found.call_ns, found.kernel_ns, found.delay_ns), (2, 10, 40, 40));
        assert!((found.queued - 1.5).abs() < 1e-9, "{found:?}");
    }
}

//! Kernels that fill a part of a device, while work of another stream waits for nothing but their end.
//!
//! A kernel with fewer blocks than the device has multiprocessors leaves some of them idle. If meanwhile a work is queued whose
//! stream is empty but for an event that the kernel's stream has yet to reach, or for the order of the default stream, the two run one after the other by order of the
//! program. Whether the second needs the result of the first is not known here.

use std::collections::{BTreeMap, HashMap};

use crate::profile::device::{Deed, Devices, StreamKey, WorkIdx};

use super::idle::Gaps;
use super::order::Order;
use super::stretches::Stretches;
use super::timeline::{Segment, State};

/// Splits the segments of such kernels: the part in which another stream waits is [`State::Serial`].
pub(super) fn split(
    segments: Vec<Segment>,
    devices: &Devices,
    gaps: &Gaps<'_>,
    multiprocessors: Option<u64>,
) -> Vec<Segment> {
    let Some(multiprocessors) = multiprocessors else { return segments };
    let held = held_by(devices, gaps);
    let mut res = Vec::with_capacity(segments.len());
    for segment in segments {
        let stretches = match segment.state {
            State::Runs(work) if is_small(devices, work, multiprocessors) => {
                Some((work, held.get(&devices.works[work.0].stream.without_device())))
            }
            _ => None,
        };
        let Some((work, Some(stretches))) = stretches else {
            res.push(segment);
            continue;
        };
        let Segment { start_ns, end_ns, .. } = segment;
        let part = |state| move |(start_ns, end_ns)| Segment { start_ns, end_ns, state };
        let mut rest = Stretches::of([(start_ns, end_ns)]);
        for (&order, stretches) in stretches {
            let serial = rest.and(&stretches.around(start_ns, end_ns));
            rest = rest.without(&serial);
            res.extend(serial.iter().map(part(State::Serial(work, order))));
        }
        res.extend(rest.iter().map(part(State::Runs(work))));
    }
    res.sort_by_key(|segment| segment.start_ns);
    res
}

fn is_small(devices: &Devices, work: WorkIdx, multiprocessors: u64) -> bool {
    matches!(devices.works[work.0].deed, Deed::Kernel { blocks, .. } if blocks < multiprocessors)
}

/// By order: stretches of time.
type ByOrder = BTreeMap<Order, Stretches>;

/// By stream: when kernels of other streams were queued and had only this one to wait for.
fn held_by(devices: &Devices, gaps: &Gaps<'_>) -> HashMap<StreamKey, ByOrder> {
    let mut ends: HashMap<StreamKey, u64> = HashMap::new();
    let mut found: HashMap<StreamKey, BTreeMap<Order, Vec<(u64, u64)>>> = HashMap::new();
    for (index, work) in devices.indexed_works() {
        let its_end = ends.entry(work.stream).or_default();
        let call = work.call.and_then(|at| devices.calls.get(at.0));
        if let (Some(held), Some(call), Deed::Kernel { .. }) =
            (gaps.held_by(index), call, &work.deed)
        {
            let from = call.when.end_ns.max(*its_end);
            let of_stream = found.entry(held.by).or_default();
            of_stream.entry(held.order).or_default().push((from, work.when.start_ns));
        }
        *its_end = (*its_end).max(work.when.end_ns);
    }
    let stretches = |all: BTreeMap<Order, Vec<(u64, u64)>>| {
        all.into_iter().map(|(order, all)| (order, Stretches::of(all))).collect()
    };
    found.into_iter().map(|(stream, all)| (stream, stretches(all))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::device::fixture::Drawing;
    use crate::analysis::device::timeline::Timeline;

    fn serial_ns(drawing: &Drawing, multiprocessors: Option<u64>) -> u64 {
        let devices = drawing.devices();
        let timeline = Timeline::of(&devices, &Gaps::of(&devices), 0, multiprocessors);
        timeline.ns_of(|state| matches!(state, State::Serial(..)))
    }

    /// host      [a][rec][wait][b]
    /// stream 7         |---a---|           66 blocks
    /// stream 8                 |---b---|   waits for a
    fn ping_pong(blocks: u64) -> Drawing {
        Drawing::new()
            .launch_of(blocks, 1, 0..10, "a", 7, 100..200)
            .record(1, 20..30, 1, 7)
            .stream_wait(1, 40..50, 1, 8)
            .launch_of(blocks, 1, 60..70, "b", 8, 200..300)
    }

    #[test]
    fn a_small_kernel_that_another_stream_waits_for_is_serial() {
        assert_eq!(serial_ns(&ping_pong(66), Some(132)), 100, "all of a, and nothing waits for b");
        assert_eq!(serial_ns(&ping_pong(132), Some(132)), 0, "it fills the device");
        assert_eq!(serial_ns(&ping_pong(66), None), 0, "nobody knows");
    }

    #[test]
    fn what_is_submitted_later_waits_for_the_host_only() {
        // host                  [rec][wait][b]
        // stream 7  |---a---|
        let drawing = Drawing::new()
            .launch_of(1, 1, 0..10, "a", 7, 100..200)
            .record(1, 140..145, 1, 7)
            .stream_wait(1, 145..150, 1, 8)
            .launch_of(1, 1, 150..170, "b", 8, 200..300);
        assert_eq!(serial_ns(&drawing, Some(132)), 30);
    }
}

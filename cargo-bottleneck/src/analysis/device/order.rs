//! Which streams wait for one another, and why: events that the program recorded, and the default stream.
//!
//! The default stream (0) and every stream that was not made as a *non-blocking* one wait for each other: what is submitted to
//! one of them begins when all that was submitted to the other one before is done, without a word in the program.

use std::collections::HashMap;

use crate::profile::device::{CallIdx, Devices, StreamKey, StreamSort, WaitSort, WorkIdx};

/// Why a stream waits for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {
    /// For an event of it.
    Event,
    /// One of the two is the default stream.
    DefaultStream,
}

/// What a work has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The other stream.
    pub(super) by: StreamKey,
    /// Why.
    pub(super) order: Order,
}

/// Which works have to wait for another stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    held: Vec<Option<Held>>,
}

impl Orders {
    /// Linear in works and waits, but for sorting.
    pub(super) fn of(devices: &Devices) -> Self {
        let mut held = vec![None; devices.works.len()];
        by_default_stream(devices, &mut held);
        by_events(devices, &mut held);
        Self { held }
    }

    /// What a work had to wait for; the last one if there were several.
    pub(super) fn held_by(&self, work: WorkIdx) -> Option<Held> {
        *self.held.get(work.0)?
    }
}

/// A stream was told to wait for an event of another one, since its work before, in the order of calls.
fn by_events(devices: &Devices, held: &mut [Option<Held>]) {
    enum What {
        Wait(StreamKey),
        Work(WorkIdx),
    }
    let mut recorded_on: HashMap<u64, Vec<(Option<CallIdx>, StreamKey)>> = HashMap::new();
    for recording in &devices.recordings {
        recorded_on.entry(recording.event).or_default().push((recording.call, recording.stream));
    }
    for all in recorded_on.values_mut() {
        all.sort_by_key(|(call, _)| *call);
    }
    // Before CUDA 12.8 an event's number is used again: the newest recording before the wait is meant.
    let recorded_before = |event: u64, call: Option<CallIdx>| {
        let all = recorded_on.get(&event)?;
        let at = all.partition_point(|(recorded, _)| *recorded <= call);
        at.checked_sub(1).map(|at| all[at].1)
    };
    let mut by_stream: HashMap<StreamKey, Vec<(CallIdx, What)>> = HashMap::new();
    for wait in devices.waits.iter().filter(|it| it.sort == WaitSort::StreamForEvent) {
        let (Some(stream), Some(call), Some(event)) = (wait.stream, wait.call, wait.event) else {
            continue;
        };
        let of = recorded_before(event, wait.call).map(StreamKey::without_device);
        if let Some(of) = of.filter(|&of| of != stream.without_device()) {
            by_stream.entry(stream.without_device()).or_default().push((call, What::Wait(of)));
        }
    }
    for (index, work) in devices.indexed_works() {
        if let Some(call) = work.call {
            let own = by_stream.entry(work.stream.without_device()).or_default();
            own.push((call, What::Work(index)));
        }
    }
    for all in by_stream.values_mut() {
        all.sort_by_key(|(call, _)| *call);
        let mut waits_for = None;
        for (_, what) in all.iter() {
            match what {
                What::Wait(of) => waits_for = Some(*of),
                What::Work(index) => {
                    if let Some(by) = waits_for.take() {
                        held[index.0] = Some(Held { by, order: Order::Event });
                    }
                }
            }
        }
    }
}

/// What was submitted in a context so far.
#[derive(Clone, Debug, Default)]
struct Submitted {
    /// By stream that blocks: its newest work.
    newest: HashMap<StreamKey, CallIdx>,
    /// The default stream, and its newest work.
    default: Option<(StreamKey, CallIdx)>,
    /// The stream that blocks whose work since then ends last, and when.
    since: Option<(StreamKey, u64)>,
}

impl Submitted {
    /// The stream that a new work has to wait for.
    fn add(
        &mut self,
        stream: StreamKey,
        sort: StreamSort,
        call: CallIdx,
        end_ns: u64,
    ) -> Option<StreamKey> {
        match sort {
            StreamSort::NonBlocking => None,
            StreamSort::Default => {
                self.default = Some((stream, call));
                self.since.take().map(|(other, _)| other)
            }
            StreamSort::Blocking => {
                let before = self.newest.insert(stream, call);
                if self.since.is_none_or(|(_, end)| end <= end_ns) {
                    self.since = Some((stream, end_ns));
                }
                let held = self.default.filter(|(_, newest)| before < Some(*newest));
                held.map(|(default, _)| default)
            }
        }
    }
}

/// The default stream had work since the stream's own work before, or another stream since that of the default stream.
fn by_default_stream(devices: &Devices, held: &mut [Option<Held>]) {
    if !devices.streams.values().any(|&sort| sort == StreamSort::Default) {
        return;
    }
    let mut by_call: Vec<(CallIdx, WorkIdx)> =
        devices.indexed_works().filter_map(|(index, work)| Some((work.call?, index))).collect();
    by_call.sort_unstable();
    let mut by_context: HashMap<u32, Submitted> = HashMap::new();
    for (call, index) in by_call {
        let work = &devices.works[index.0];
        let stream = work.stream.without_device();
        let Some(&sort) = devices.streams.get(&stream) else { continue };
        let submitted = by_context.entry(stream.context).or_default();
        let by = submitted.add(stream, sort, call, work.when.end_ns);
        held[index.0] = by.map(|by| Held { by, order: Order::DefaultStream });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::device::fixture::Drawing;

    /// For each work in the order of beginnings: the number of the stream that it waits for.
    fn held(drawing: &Drawing) -> Vec<Option<(u32, Order)>> {
        let devices = drawing.devices();
        let orders = Orders::of(&devices);
        let all = devices.indexed_works().map(|(index, _)| orders.held_by(index));
        all.map(|it| it.map(|held| (held.by.stream, held.order))).collect()
    }

    /// host       [a][b][c][d]
    /// stream 0   |-a-|       |-d-|
    /// stream 8       |-b-|
    /// stream 9       |--c--|
    fn four() -> Drawing {
        Drawing::new()
            .launch(1, 0..10, "a", 0, 100..200)
            .launch(1, 10..20, "b", 8, 200..300)
            .launch(1, 20..30, "c", 9, 200..350)
            .launch(1, 30..40, "d", 0, 350..400)
    }

    #[test]
    fn the_default_stream_and_blocking_ones_wait_for_each_other() {
        let drawing = four()
            .stream(0, StreamSort::Default)
            .stream(8, StreamSort::Blocking)
            .stream(9, StreamSort::Blocking);
        let by = |stream| Some((stream, Order::DefaultStream));
        assert_eq!(held(&drawing), [None, by(0), by(0), by(9)], "of two the last one");
    }

    #[test]
    fn streams_that_do_not_block_wait_for_nobody() {
        let drawing = four()
            .stream(0, StreamSort::Default)
            .stream(8, StreamSort::NonBlocking)
            .stream(9, StreamSort::NonBlocking);
        assert_eq!(held(&drawing), [None; 4]);
        assert_eq!(held(&four()), [None; 4], "nobody knows");
    }

    #[test]
    fn a_stream_that_has_waited_already_does_not_wait_again() {
        // host       [a][b][c]
        // stream 0   |-a-|
        // stream 8       |-b-||-c-|
        let drawing = Drawing::new()
            .stream(0, StreamSort::Default)
            .stream(8, StreamSort::Blocking)
            .launch(1, 0..10, "a", 0, 100..200)
            .launch(1, 10..20, "b", 8, 200..300)
            .launch(1, 20..30, "c", 8, 300..400);
        assert_eq!(held(&drawing), [None, Some((0, Order::DefaultStream)), None]);
    }

    #[test]
    fn an_event_that_the_program_waits_for_is_its_own_order() {
        let drawing = Drawing::new()
            .stream(0, StreamSort::Default)
            .stream(8, StreamSort::Blocking)
            .launch(1, 0..10, "a", 0, 100..200)
            .record(1, 10..12, 1, 0)
            .stream_wait(1, 12..14, 1, 8)
            .launch(1, 14..20, "b", 8, 200..300);
        assert_eq!(held(&drawing), [None, Some((0, Order::Event))]);
    }
}

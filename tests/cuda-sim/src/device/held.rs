//! Host functions, and what waits for their end. A host function takes as long as it takes, so nothing behind it can be placed
//! when it is submitted: it is held, with everything that waits for it, and placed in the order of submission when the function
//! has returned.

use std::collections::{BTreeMap, VecDeque};

use super::work::{Moment, Placed, Ticket, Work};
use super::{Device, EventId, LEGACY, Sort, StreamId};
use crate::engine::{Interval, Ns};

/// Something that a stream was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) ticket: Ticket,
    pub(super) stream: StreamId,
    /// When it was submitted, and the stream had room for it.
    pub(super) at: Ns,
    pub(super) step: Step,
}

/// What it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Work(Work),
    /// An event happens.
    Record(EventId),
    /// The stream waits until then.
    Wait(Moment),
}

/// A host function whose turn has come.
#[derive(Clone, Copy, Debug)]
struct Function {
    stream: StreamId,
    ready: Ns,
    has_begun: bool,
}

/// What has not been placed yet.
#[derive(Debug, Default)]
pub(super) struct Held {
    functions: BTreeMap<Ticket, Function>,
    /// In the order of submission.
    items: VecDeque<Item>,
    /// Events that were held and have happened since, as long as something is held that may wait for them.
    happened: BTreeMap<Ticket, Ns>,
}

impl Held {
    pub(super) fn push(&mut self, item: Item) {
        self.items.push_back(item);
    }

    /// The turn of a host function has come.
    pub(super) fn call(&mut self, ticket: Ticket, stream: StreamId, ready: Ns) {
        self.functions.insert(ticket, Function { stream, ready, has_begun: false });
    }

    /// When an event happened; `None` if it has not.
    pub(super) fn time_of(&self, moment: Moment) -> Option<Ns> {
        match moment {
            Moment::At(at) => Some(at),
            Moment::Held(ticket) => self.happened.get(&ticket).copied(),
        }
    }

    /// Engines may forget what was over before this: what is held is placed behind the host functions.
    pub(super) fn since(&self, now: Ns) -> Ns {
        self.functions.values().map(|it| it.ready).fold(now, Ns::min)
    }

    fn of_streams(&self) -> impl Iterator<Item = (Ticket, StreamId)> + '_ {
        let functions = self.functions.iter().map(|(ticket, it)| (*ticket, it.stream));
        functions.chain(self.items.iter().map(|it| (it.ticket, it.stream)))
    }

    pub(super) fn is_of(&self, stream: StreamId) -> bool {
        self.of_streams().any(|(_, its)| its == stream)
    }
}

impl Device {
    /// Whether anything of a stream or of one that it waits for, or with `None` of any, has not been placed, of what was
    /// submitted up to a ticket.
    pub fn is_held(&self, stream: Option<StreamId>, until: Ticket) -> bool {
        let mut held = self.held.of_streams();
        held.any(|(ticket, its)| ticket <= until && stream.is_none_or(|it| self.are_tied(it, its)))
    }

    /// Whether one thing has not been placed.
    pub fn is_waiting(&self, ticket: Ticket) -> bool {
        self.held.of_streams().any(|(its, _)| its == ticket)
    }

    /// The host function that is to begin next, and when.
    pub fn next_function(&self) -> Option<(Ticket, Ns)> {
        let waiting = self.held.functions.iter().filter(|(_, it)| !it.has_begun);
        waiting.map(|(ticket, it)| (*ticket, it.ready)).min_by_key(|(ticket, at)| (*at, *ticket))
    }

    /// It begins.
    pub fn begin(&mut self, function: Ticket) {
        if let Some(function) = self.held.functions.get_mut(&function) {
            function.has_begun = true;
        }
    }

    /// A host function has returned. Says when it ran, and when everything runs that it alone has held.
    pub fn finish(&mut self, function: Ticket, runs: Interval) -> Vec<(Ticket, Placed)> {
        let Some(Function { stream, ready, .. }) = self.held.functions.remove(&function) else {
            return Vec::new();
        };
        self.extend(stream, runs.end);
        let mut res = vec![(function, Placed { ready, runs, host_until: 0 })];
        for item in std::mem::take(&mut self.held.items) {
            if self.must_wait(&item) {
                self.held.push(item);
            } else if let Some(placed) = self.perform(item, runs.end) {
                if let Step::Record(_) = item.step {
                    self.held.happened.insert(item.ticket, placed.runs.start);
                }
                res.push((item.ticket, placed));
            }
        }
        if self.held.items.is_empty() {
            self.held.happened.clear();
        }
        self.forget_closed();
        res
    }

    /// Whether something that is not over in time, or an event that has not happened, is before it.
    pub(super) fn must_wait(&self, item: &Item) -> bool {
        let is_early = matches!(item.step, Step::Wait(until) if self.held.time_of(until).is_none());
        is_early || self.is_held(Some(item.stream), item.ticket)
    }

    /// Whether one waits for the other.
    fn are_tied(&self, one: StreamId, other: StreamId) -> bool {
        let is_blocking =
            |id: StreamId| self.streams.get(&id).is_some_and(|it| it.sort == Sort::Blocking);
        one == other
            || (one == LEGACY && is_blocking(other))
            || (other == LEGACY && is_blocking(one))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{US, at, copy, device, kernel, placed};
    use super::*;
    use crate::device::{Direction, Refusal, Submitted};

    fn held(submitted: Result<Submitted, Refusal>) -> Ticket {
        match submitted.unwrap() {
            Submitted::Held(ticket) => ticket,
            Submitted::Placed(placed) => panic!("nothing holds it: {placed:?}"),
        }
    }

    /// A host function of a stream returns at the end of this.
    fn finish(device: &mut Device, function: Ticket, runs: Interval) -> Vec<(Ticket, Interval)> {
        device.begin(function);
        device.finish(function, runs).into_iter().map(|(ticket, it)| (ticket, it.runs)).collect()
    }

    #[test]
    fn what_is_behind_a_host_function_begins_when_it_has_returned() {
        // us      0     10        35    45 50
        // stream  |copy--|function-|copy-|kernel-
        // other   |copy-----|                         is held by nothing
        let mut device = device();
        let (stream, other) =
            (device.open_stream(Sort::NonBlocking), device.open_stream(Sort::NonBlocking));
        let upload = copy(Direction::HostToDevice, 10 * US, true);
        assert_eq!(placed(device.submit(stream, 0, upload)).runs, at(0, 10));
        let function = held(device.submit(stream, US, Work::Host));
        assert_eq!(device.next_function(), Some((function, 10 * US)));
        let later = held(device.submit(stream, 2 * US, upload));
        let last = held(device.submit(stream, 3 * US, kernel(5)));
        assert_eq!(placed(device.submit(other, 4 * US, kernel(1))).runs, at(4, 5));
        assert!(device.is_held(Some(stream), last) && !device.is_held(Some(other), last));
        assert_eq!(
            finish(&mut device, function, at(12, 35)),
            [(function, at(12, 35)), (later, at(35, 45)), (last, at(45, 50))]
        );
        assert!(!device.is_held(None, last));
        assert_eq!((device.next_function(), device.end_of(stream)), (None, Ok(50 * US)));
        assert_eq!(placed(device.submit(stream, 20 * US, kernel(1))).ready, 50 * US);
    }

    #[test]
    fn host_functions_of_a_stream_take_turns() {
        // us      0         20     30        60
        // stream  |first----|      |second---|kernel-   the second one comes late: its thread was busy
        let mut device = device();
        let stream = device.open_stream(Sort::NonBlocking);
        let first = held(device.submit(stream, 0, Work::Host));
        let second = held(device.submit(stream, 0, Work::Host));
        let last = held(device.submit(stream, 0, kernel(5)));
        assert_eq!(device.next_function(), Some((first, 0)));
        device.begin(first);
        assert_eq!(device.next_function(), None, "the second one's turn has not come");
        assert_eq!(finish(&mut device, first, at(0, 20)), [(first, at(0, 20))]);
        assert_eq!(device.next_function(), Some((second, 20 * US)));
        assert_eq!(
            finish(&mut device, second, at(30, 60)),
            [(second, at(30, 60)), (last, at(60, 65))]
        );
        assert_eq!(finish(&mut device, second, at(30, 99)), [], "it returns once");
    }

    #[test]
    fn an_event_behind_a_host_function_holds_whoever_waits_for_it() {
        // us      0          40
        // first   |function--|event
        // second  wait------------|kernel-|event           held by the first one's event
        // third   wait--------------------|kernel-         held by the second one's
        let mut device = device();
        let [first, second, third] = [(); 3].map(|()| device.open_stream(Sort::NonBlocking));
        let [event, next] = [(); 2].map(|()| device.open_event(true));
        let function = held(device.submit(first, 0, Work::Host));
        let recorded = held(device.record(event, first, 0));
        assert_eq!(device.time_of(event), Ok(Moment::Held(recorded)));
        let waits = held(device.wait(second, event, US));
        let of_second = held(device.submit(second, US, kernel(10)));
        let again = held(device.record(next, second, US));
        let waits_too = held(device.wait(third, next, 2 * US));
        let of_third = held(device.submit(third, 2 * US, kernel(5)));
        assert_eq!(device.elapsed(event, next, 50 * US), Err(Refusal::NotReady));
        // What is recorded and forgotten in the meantime makes no difference to who waits already.
        device.close_event(event).unwrap();
        let found = finish(&mut device, function, at(0, 40));
        assert_eq!(
            found,
            [
                (function, at(0, 40)),
                (recorded, at(40, 40)),
                (waits, at(40, 40)),
                (of_second, at(40, 50)),
                (again, at(50, 50)),
                (waits_too, at(50, 50)),
                (of_third, at(50, 55)),
            ]
        );
        assert_eq!(device.time_of(next), Ok(Moment::At(50 * US)));
    }

    #[test]
    fn an_event_that_is_recorded_again_happens_for_the_last_time() {
        // us      0          40
        // first   |function--|event                 second  event
        let mut device = device();
        let (first, second) =
            (device.open_stream(Sort::NonBlocking), device.open_stream(Sort::NonBlocking));
        let event = device.open_event(true);
        let function = held(device.submit(first, 0, Work::Host));
        held(device.record(event, first, 0));
        assert_eq!(placed(device.record(event, second, 7 * US)).runs, at(7, 7));
        finish(&mut device, function, at(0, 40));
        assert_eq!(device.time_of(event), Ok(Moment::At(7 * US)));
    }

    #[test]
    fn the_legacy_stream_and_blocking_ones_hold_one_another() {
        // us        0          30     35     40
        // blocking  |function--|             |kernel-
        // legacy               |kernel|             behind the function
        // other                       |kernel|      behind the legacy stream's
        // free      |kernel|
        let mut device = device();
        let [blocking, other] = [(); 2].map(|()| device.open_stream(Sort::Blocking));
        let free = device.open_stream(Sort::NonBlocking);
        let function = held(device.submit(blocking, 0, Work::Host));
        assert_eq!(placed(device.submit(other, 0, Work::Mark)).ready, 0);
        let of_legacy = held(device.submit(LEGACY, 0, kernel(5)));
        let of_other = held(device.submit(other, 0, kernel(5)));
        let of_blocking = held(device.submit(blocking, 0, kernel(5)));
        assert_eq!(placed(device.submit(free, 0, kernel(5))).runs, at(0, 5));
        assert_eq!(
            finish(&mut device, function, at(0, 30)),
            [
                (function, at(0, 30)),
                (of_legacy, at(30, 35)),
                (of_other, at(35, 40)),
                (of_blocking, at(40, 45)),
            ]
        );
    }

    #[test]
    fn a_stream_that_is_closed_does_what_it_was_given() {
        let mut device = device();
        let stream = device.open_stream(Sort::NonBlocking);
        let function = held(device.submit(stream, 0, Work::Host));
        let last = held(device.submit(stream, 0, kernel(5)));
        device.close_stream(stream).unwrap();
        assert_eq!(device.submit(stream, 0, kernel(1)), Err(Refusal::InvalidHandle));
        assert!(device.is_held(None, last));
        let found = finish(&mut device, function, at(0, 30));
        assert_eq!(found, [(function, at(0, 30)), (last, at(30, 35))]);
        assert_eq!(device.end(), 35 * US);
    }
}

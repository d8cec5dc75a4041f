//! One device: streams, events and engines. Pure: it is told what time it is, and says when things run and until when the host
//! waits. Nothing here knows of C.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::{Exclusive, Interval, Ns, Shared};
use crate::settings::Settings;

/// A copy from pageable memory of up to so many bytes is taken over by the driver before the call returns.
pub const STAGED_BYTES: u64 = 64 << 10;

/// Number of a stream, as records have it. 0 is the legacy stream; each thread has one of its own too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// The legacy default stream.
pub const LEGACY: StreamId = StreamId(0);

/// Number of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u32);

/// Whether a stream and the legacy stream wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// They do.
    Blocking,
    /// They do not.
    NonBlocking,
}

/// Which way a copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Host to device.
    HostToDevice,
    /// Device to host.
    DeviceToHost,
    /// Within the device.
    DeviceToDevice,
}

/// What is submitted to a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    /// A kernel that takes so long alone, on this part of the processors.
    Kernel {
        /// Its length.
        length: Ns,
        /// 0 to 1.
        occupancy: f64,
    },
    /// A copy.
    Copy {
        /// Which way.
        direction: Direction,
        /// How much.
        bytes: u64,
        /// The memory of the host is pinned.
        is_pinned: bool,
        /// The call promises to return when the copy is done.
        is_synchronous: bool,
    },
    /// Memory is set.
    Set {
        /// How much.
        bytes: u64,
    },
}

/// What came of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// When its stream and what it waits for allowed it to run.
    pub ready: Ns,
    /// When it runs.
    pub runs: Interval,
    /// Until when the call does not return.
    pub host_until: Ns,
}

/// Why something cannot be done; the driver has a number for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such stream or event.
    InvalidHandle,
    /// It has not happened yet.
    NotReady,
}

#[derive(Debug)]
struct Stream {
    sort: Sort,
    /// When all that it has been given is done.
    tail: Ns,
    /// Ends of what is not done yet, at most [`Settings::depth`] of them.
    queued: VecDeque<Ns>,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    has_time: bool,
    recorded: Option<(StreamId, Ns)>,
    /// How many events had been recorded when it was, itself included.
    records: u64,
}

/// A device.
#[derive(Debug)]
pub struct Device {
    settings: Settings,
    h2d: Exclusive,
    d2h: Exclusive,
    kernels: Shared,
    streams: BTreeMap<StreamId, Stream>,
    events: BTreeMap<EventId, Event>,
    next_stream: u32,
    next_event: u32,
    records: u64,
}

impl Device {
    /// A device on which nothing has run.
    pub fn new(settings: Settings) -> Self {
        let legacy = Stream { sort: Sort::Blocking, tail: 0, queued: VecDeque::new() };
        Self {
            settings,
            h2d: Exclusive::default(),
            d2h: Exclusive::default(),
            kernels: Shared::default(),
            streams: BTreeMap::from([(LEGACY, legacy)]),
            events: BTreeMap::new(),
            // Real drivers count up from a number of their own.
            next_stream: 13,
            next_event: 1,
            records: 0,
        }
    }

    /// Makes a stream.
    pub fn open_stream(&mut self, sort: Sort) -> StreamId {
        let id = StreamId(self.next_stream);
        self.next_stream += 1;
        self.streams.insert(id, Stream { sort, tail: 0, queued: VecDeque::new() });
        id
    }

    /// Forgets a stream; what it was given is done all the same.
    ///
    /// # Errors
    /// There is no such stream, or it is the legacy one.
    pub fn close_stream(&mut self, id: StreamId) -> Result<(), Refusal> {
        let is_own = id != LEGACY && self.streams.remove(&id).is_some();
        is_own.then_some(()).ok_or(Refusal::InvalidHandle)
    }

    /// Makes an event, with times or without.
    pub fn open_event(&mut self, has_time: bool) -> EventId {
        let id = EventId(self.next_event);
        self.next_event += 1;
        self.events.insert(id, Event { has_time, recorded: None, records: 0 });
        id
    }

    /// Forgets an event.
    ///
    /// # Errors
    /// There is no such event.
    pub fn close_event(&mut self, id: EventId) -> Result<(), Refusal> {
        self.events.remove(&id).map(|_| ()).ok_or(Refusal::InvalidHandle)
    }

    /// Gives work to a stream.
    ///
    /// # Errors
    /// There is no such stream.
    pub fn submit(&mut self, id: StreamId, now: Ns, work: Work) -> Result<Placed, Refusal> {
        let room_at = self.room(id, now)?;
        let ready = self.ready(id, room_at)?;
        let runs = self.place(work, ready, now);
        let stream = self.streams.get_mut(&id).ok_or(Refusal::InvalidHandle)?;
        stream.tail = runs.end;
        stream.queued.push_back(runs.end);
        let host_until = room_at.max(until_returned(work, runs));
        Ok(Placed { ready, runs, host_until })
    }

    /// When the stream has room for one more.
    fn room(&mut self, id: StreamId, now: Ns) -> Result<Ns, Refusal> {
        let depth = self.settings.depth;
        let stream = self.streams.get_mut(&id).ok_or(Refusal::InvalidHandle)?;
        while stream.queued.front().is_some_and(|&end| end <= now) {
            stream.queued.pop_front();
        }
        let too_many = (stream.queued.len() + 1).saturating_sub(depth);
        let blocking = too_many.checked_sub(1).and_then(|at| stream.queued.get(at));
        Ok(blocking.map_or(now, |&end| end.max(now)))
    }

    /// When what is submitted at `now` may begin.
    fn ready(&self, id: StreamId, now: Ns) -> Result<Ns, Refusal> {
        let stream = self.streams.get(&id).ok_or(Refusal::InvalidHandle)?;
        let blocking = || self.streams.values().filter(|it| it.sort == Sort::Blocking);
        let others = if id == LEGACY {
            blocking().map(|it| it.tail).max()
        } else if stream.sort == Sort::Blocking {
            self.streams.get(&LEGACY).map(|it| it.tail)
        } else {
            None
        };
        Ok(now.max(stream.tail).max(others.unwrap_or(0)))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time of a test, and positive"
    )]
    fn place(&mut self, work: Work, ready: Ns, now: Ns) -> Interval {
        let time = |bytes: u64, rate: f64| (bytes as f64 / rate).round() as Ns;
        let settings = &self.settings;
        match work {
            Work::Kernel { length, occupancy } => self.kernels.place(ready, length, occupancy, now),
            Work::Set { bytes } => {
                let length = settings.kernel_ns.max(time(bytes, settings.bandwidth));
                self.kernels.place(ready, length, 0.0, now)
            }
            Work::Copy { direction, bytes, is_pinned, .. } => {
                let of = |link: crate::settings::Link| {
                    if is_pinned { link.pinned } else { link.pageable }
                };
                let latency = settings.copy_latency_ns;
                match direction {
                    Direction::HostToDevice => {
                        let length = latency + time(bytes, of(settings.h2d));
                        self.h2d.place(ready, length, now)
                    }
                    Direction::DeviceToHost => {
                        let length = latency + time(bytes, of(settings.d2h));
                        self.d2h.place(ready, length, now)
                    }
                    Direction::DeviceToDevice => {
                        let length = settings.kernel_ns.max(time(bytes, settings.d2d));
                        self.kernels.place(ready, length, 0.0, now)
                    }
                }
            }
        }
    }

    /// An event happens when all that the stream has been given is done.
    ///
    /// # Errors
    /// There is no such stream or event.
    pub fn record(&mut self, event: EventId, stream: StreamId, now: Ns) -> Result<Ns, Refusal> {
        let at = self.ready(stream, now)?;
        let event = self.events.get_mut(&event).ok_or(Refusal::InvalidHandle)?;
        self.records += 1;
        (event.recorded, event.records) = (Some((stream, at)), self.records);
        Ok(at)
    }

    /// A number for the newest recording of an event; 0 if there is none.
    ///
    /// # Errors
    /// There is no such event.
    pub fn records_of(&self, event: EventId) -> Result<u64, Refusal> {
        self.events.get(&event).map(|it| it.records).ok_or(Refusal::InvalidHandle)
    }

    /// What the stream is given from now on waits for the event. Returns for how long it has nothing else to do.
    ///
    /// # Errors
    /// There is no such stream or event.
    pub fn wait(&mut self, stream: StreamId, event: EventId, now: Ns) -> Result<Ns, Refusal> {
        let ready = self.ready(stream, now)?;
        let event = self.events.get(&event).ok_or(Refusal::InvalidHandle)?;
        // An event that was never recorded has happened.
        let at = event.recorded.map_or(0, |(_, at)| at);
        let stream = self.streams.get_mut(&stream).ok_or(Refusal::InvalidHandle)?;
        stream.tail = stream.tail.max(at);
        Ok(at.saturating_sub(ready))
    }

    /// When a stream is done.
    ///
    /// # Errors
    /// There is no such stream.
    pub fn end_of(&self, stream: StreamId) -> Result<Ns, Refusal> {
        self.ready(stream, 0)
    }

    /// When everything is done.
    pub fn end(&self) -> Ns {
        self.streams.values().map(|it| it.tail).max().unwrap_or(0)
    }

    /// When an event happens; at once if it was never recorded.
    ///
    /// # Errors
    /// There is no such event.
    pub fn time_of(&self, event: EventId) -> Result<Ns, Refusal> {
        let event = self.events.get(&event).ok_or(Refusal::InvalidHandle)?;
        Ok(event.recorded.map_or(0, |(_, at)| at))
    }

    /// Ns between two events.
    ///
    /// # Errors
    /// One of them has no time or was not recorded, or has not happened yet.
    pub fn elapsed(&self, begin: EventId, end: EventId, now: Ns) -> Result<i64, Refusal> {
        let time = |id: EventId| {
            let event = self.events.get(&id).filter(|it| it.has_time);
            event.and_then(|it| it.recorded).map(|(_, at)| at).ok_or(Refusal::InvalidHandle)
        };
        let (begin, end) = (time(begin)?, time(end)?);
        if now < begin.max(end) {
            return Err(Refusal::NotReady);
        }
        Ok(end.cast_signed() - begin.cast_signed())
    }
}

/// Until when the call that submits it does not return.
fn until_returned(work: Work, runs: Interval) -> Ns {
    match work {
        Work::Copy { is_synchronous: true, .. }
        | Work::Copy { direction: Direction::DeviceToHost, is_pinned: false, .. } => runs.end,
        Work::Copy { direction: Direction::HostToDevice, is_pinned: false, bytes, .. }
            if STAGED_BYTES < bytes =>
        {
            runs.end
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Ns = 1_000;

    fn device() -> Device {
        // 1 byte per ns in every direction, and no latency.
        let settings = Settings::parse(
            "h2d_pinned=1,h2d_pageable=0.5,d2h_pinned=1,d2h_pageable=0.5,d2d=1,copy_latency_ns=0,depth=4",
        );
        Device::new(settings.unwrap())
    }

    fn kernel(us: Ns) -> Work {
        Work::Kernel { length: us * US, occupancy: 1.0 }
    }

    fn copy(direction: Direction, bytes: u64, is_pinned: bool) -> Work {
        Work::Copy { direction, bytes, is_pinned, is_synchronous: false }
    }

    #[test]
    fn a_stream_is_in_order_and_two_streams_are_not() {
        // first   |copy 10|-kernel 20-|
        // second  |------kernel-------| waits for room: all processors are taken by turns
        let mut device = device();
        let (first, second) =
            (device.open_stream(Sort::NonBlocking), device.open_stream(Sort::NonBlocking));
        let upload = copy(Direction::HostToDevice, 10 * US, true);
        assert_eq!(
            device.submit(first, 0, upload).unwrap().runs,
            Interval { start: 0, end: 10 * US }
        );
        let own = device.submit(first, 0, kernel(20)).unwrap();
        assert_eq!((own.ready, own.runs.start), (10 * US, 10 * US));
        let other = device.submit(second, 0, kernel(10)).unwrap();
        assert_eq!(
            other.runs,
            Interval { start: 0, end: 10 * US },
            "it fits before the first one's"
        );
        let later = device.submit(second, 0, kernel(10)).unwrap();
        assert_eq!((later.ready, later.runs.start), (10 * US, 30 * US));
    }

    #[test]
    fn the_legacy_stream_waits_for_all_that_block_and_they_for_it() {
        let mut device = device();
        let blocking = device.open_stream(Sort::Blocking);
        let free = device.open_stream(Sort::NonBlocking);
        device.submit(blocking, 0, kernel(10)).unwrap();
        assert_eq!(device.submit(LEGACY, 0, kernel(5)).unwrap().ready, 10 * US);
        assert_eq!(device.submit(blocking, 0, kernel(5)).unwrap().ready, 15 * US);
        assert_eq!(device.submit(free, 0, kernel(1)).unwrap().ready, 0);
    }

    #[test]
    fn events_tie_streams_together() {
        let mut device = device();
        let (first, second) =
            (device.open_stream(Sort::NonBlocking), device.open_stream(Sort::NonBlocking));
        let (begin, end) = (device.open_event(true), device.open_event(true));
        device.record(begin, first, 0).unwrap();
        device.submit(first, 0, copy(Direction::DeviceToHost, 30 * US, true)).unwrap();
        device.record(end, first, 0).unwrap();
        assert_eq!(device.wait(second, end, 5 * US), Ok(25 * US));
        assert_eq!(device.submit(second, 5 * US, kernel(1)).unwrap().ready, 30 * US);
        assert_eq!(device.elapsed(begin, end, 10 * US), Err(Refusal::NotReady));
        assert_eq!(device.elapsed(begin, end, 30 * US), Ok(30_000));
        let without = device.open_event(false);
        device.record(without, first, 0).unwrap();
        assert_eq!(device.elapsed(begin, without, 99 * US), Err(Refusal::InvalidHandle));
        // One that never was recorded holds nobody up.
        let never = device.open_event(true);
        assert_eq!(device.wait(second, never, 0), Ok(0));
    }

    #[test]
    fn pageable_copies_hold_the_host_up() {
        let mut device = device();
        let stream = device.open_stream(Sort::NonBlocking);
        let mut until = |work| device.submit(stream, 0, work).unwrap();
        assert_eq!(until(copy(Direction::HostToDevice, 1_000, true)).host_until, 0);
        assert_eq!(until(copy(Direction::HostToDevice, 1_000, false)).host_until, 0, "staged");
        let large = until(copy(Direction::HostToDevice, STAGED_BYTES + 1, false));
        assert_eq!(large.host_until, large.runs.end);
        let back = until(copy(Direction::DeviceToHost, 8, false));
        assert_eq!(back.host_until, back.runs.end);
    }

    #[test]
    fn a_full_queue_holds_the_host_up() {
        // Four places, each kernel 10 us: the fifth waits for the end of the first.
        let mut device = device();
        let stream = device.open_stream(Sort::NonBlocking);
        let until: Vec<Ns> =
            (0..6).map(|_| device.submit(stream, 0, kernel(10)).unwrap().host_until).collect();
        assert_eq!(until, [0, 0, 0, 0, 10 * US, 20 * US]);
        assert_eq!(device.submit(stream, 60 * US, kernel(10)).unwrap().host_until, 60 * US);
    }

    #[test]
    fn what_is_closed_is_refused() {
        let mut device = device();
        let stream = device.open_stream(Sort::Blocking);
        assert_eq!(device.close_stream(stream), Ok(()));
        assert_eq!(device.submit(stream, 0, kernel(1)), Err(Refusal::InvalidHandle));
        assert_eq!(device.close_stream(LEGACY), Err(Refusal::InvalidHandle));
        let event = device.open_event(true);
        assert_eq!(
            (device.close_event(event), device.close_event(event)),
            (Ok(()), Err(Refusal::InvalidHandle))
        );
    }
}

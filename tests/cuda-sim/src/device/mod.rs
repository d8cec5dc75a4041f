//! One device: streams, events and engines. Pure: it is told what time it is, and says when things run and until when the host
//! waits. Nothing here knows of C.

mod held;
#[cfg(test)]
mod tests;
mod work;

use std::collections::{BTreeMap, VecDeque};

pub use self::work::{Direction, Moment, Placed, STAGED_BYTES, Submitted, Ticket, Work};

use self::held::{Held, Item, Step};
use crate::engine::{Exclusive, Interval, Ns, Shared};
use crate::settings::Settings;

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
    /// It can be given more.
    is_open: bool,
    /// When all that it has been given is done, but for what is held.
    tail: Ns,
    /// Ends of what is not done yet, at most [`Settings::depth`] of them. What is held takes none of these places.
    queued: VecDeque<Ns>,
}

impl Stream {
    fn new(sort: Sort) -> Self {
        Self { sort, is_open: true, tail: 0, queued: VecDeque::new() }
    }
}

#[derive(Clone, Copy, Debug)]
struct Event {
    has_time: bool,
    recorded: Option<Moment>,
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
    held: Held,
    /// When all is done that streams had been given which are closed now.
    closed: Ns,
    next_stream: u32,
    next_event: u32,
    newest: Ticket,
    records: u64,
}

impl Device {
    /// A device on which nothing has run.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            h2d: Exclusive::default(),
            d2h: Exclusive::default(),
            kernels: Shared::default(),
            streams: BTreeMap::from([(LEGACY, Stream::new(Sort::Blocking))]),
            events: BTreeMap::new(),
            held: Held::default(),
            closed: 0,
            // Real drivers count up from a number of their own.
            next_stream: 13,
            next_event: 1,
            newest: Ticket::default(),
            records: 0,
        }
    }

    /// Makes a stream.
    pub fn open_stream(&mut self, sort: Sort) -> StreamId {
        let id = StreamId(self.next_stream);
        self.next_stream += 1;
        self.streams.insert(id, Stream::new(sort));
        id
    }

    /// Forgets a stream; what it was given is done all the same.
    ///
    /// # Errors
    /// There is no such stream, or it is the legacy one.
    pub fn close_stream(&mut self, id: StreamId) -> Result<(), Refusal> {
        if id == LEGACY {
            return Err(Refusal::InvalidHandle);
        }
        self.stream(id)?.is_open = false;
        self.forget_closed();
        Ok(())
    }

    fn forget_closed(&mut self) {
        let (held, closed) = (&self.held, &mut self.closed);
        self.streams.retain(|id, it| {
            let stays = it.is_open || held.is_of(*id);
            if !stays {
                *closed = it.tail.max(*closed);
            }
            stays
        });
    }

    /// A stream that can be given something.
    fn stream(&mut self, id: StreamId) -> Result<&mut Stream, Refusal> {
        self.streams.get_mut(&id).filter(|it| it.is_open).ok_or(Refusal::InvalidHandle)
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
    pub fn submit(&mut self, id: StreamId, now: Ns, work: Work) -> Result<Submitted, Refusal> {
        let room_at = self.room(id, now)?;
        Ok(self.give(id, room_at, Step::Work(work), now))
    }

    /// When the stream has room for one more.
    fn room(&mut self, id: StreamId, now: Ns) -> Result<Ns, Refusal> {
        let depth = self.settings.depth;
        let stream = self.stream(id)?;
        while stream.queued.front().is_some_and(|&end| end <= now) {
            stream.queued.pop_front();
        }
        let too_many = (stream.queued.len() + 1).saturating_sub(depth);
        let blocking = too_many.checked_sub(1).and_then(|at| stream.queued.get(at));
        Ok(blocking.map_or(now, |&end| end.max(now)))
    }

    fn give(&mut self, stream: StreamId, at: Ns, step: Step, now: Ns) -> Submitted {
        self.newest = Ticket(self.newest.0 + 1);
        let item = Item { ticket: self.newest, stream, at, step };
        if let Step::Record(event) = step {
            self.records += 1;
            if let Some(event) = self.events.get_mut(&event) {
                (event.recorded, event.records) = (Some(Moment::Held(item.ticket)), self.records);
            }
        }
        if self.must_wait(&item) {
            self.held.push(item);
            return Submitted::Held(item.ticket);
        }
        self.perform(item, now).map_or(Submitted::Held(item.ticket), Submitted::Placed)
    }

    /// Does what the turn has come of; `None` for a host function, which has only begun.
    fn perform(&mut self, item: Item, now: Ns) -> Option<Placed> {
        let Item { ticket, stream, at, step } = item;
        let ready = self.ready(stream, at);
        Some(match step {
            Step::Work(Work::Host) => {
                self.held.call(ticket, stream, ready);
                return None;
            }
            Step::Work(Work::Mark) => {
                Placed { ready, runs: Interval { start: ready, end: ready }, host_until: at }
            }
            Step::Work(work) => {
                let runs = self.place(work, ready, self.held.since(now));
                self.extend(stream, runs.end);
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.queued.push_back(runs.end);
                }
                let returned = if work.holds_caller() { runs.end } else { 0 };
                Placed { ready, runs, host_until: at.max(returned) }
            }
            Step::Record(event) => {
                let event = self.events.get_mut(&event);
                // It may have been recorded again while it was held.
                if let Some(event) = event.filter(|it| it.recorded == Some(Moment::Held(ticket))) {
                    event.recorded = Some(Moment::At(ready));
                }
                Placed { ready, runs: Interval { start: ready, end: ready }, host_until: 0 }
            }
            Step::Wait(moment) => {
                let until = self.held.time_of(moment).unwrap_or(0);
                self.extend(stream, until);
                Placed { ready, runs: Interval { start: until, end: until }, host_until: 0 }
            }
        })
    }

    /// A stream is not done before this.
    fn extend(&mut self, stream: StreamId, until: Ns) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.tail = stream.tail.max(until);
        }
    }

    /// When what was submitted at `at` may begin, as far as that has been placed which is before it.
    fn ready(&self, id: StreamId, at: Ns) -> Ns {
        let Some(stream) = self.streams.get(&id) else { return at };
        let blocking = || self.streams.values().filter(|it| it.sort == Sort::Blocking);
        let others = if id == LEGACY {
            blocking().map(|it| it.tail).max()
        } else if stream.sort == Sort::Blocking {
            self.streams.get(&LEGACY).map(|it| it.tail)
        } else {
            None
        };
        at.max(stream.tail).max(others.unwrap_or(0))
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
            // No engine is busy with these.
            Work::Host | Work::Mark => Interval { start: ready, end: ready },
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
    pub fn record(
        &mut self,
        event: EventId,
        stream: StreamId,
        now: Ns,
    ) -> Result<Submitted, Refusal> {
        self.stream(stream)?;
        self.records_of(event)?;
        Ok(self.give(stream, now, Step::Record(event), now))
    }

    /// A number for the newest recording of an event; 0 if there is none.
    ///
    /// # Errors
    /// There is no such event.
    pub fn records_of(&self, event: EventId) -> Result<u64, Refusal> {
        self.events.get(&event).map(|it| it.records).ok_or(Refusal::InvalidHandle)
    }

    /// What the stream is given from now on waits for the event.
    ///
    /// # Errors
    /// There is no such stream or event.
    pub fn wait(
        &mut self,
        stream: StreamId,
        event: EventId,
        now: Ns,
    ) -> Result<Submitted, Refusal> {
        self.stream(stream)?;
        let until = self.time_of(event)?;
        Ok(self.give(stream, now, Step::Wait(until), now))
    }

    /// When a stream is done, but for what is held.
    ///
    /// # Errors
    /// There is no such stream.
    pub fn end_of(&self, stream: StreamId) -> Result<Ns, Refusal> {
        let is_open = self.streams.get(&stream).is_some_and(|it| it.is_open);
        is_open.then(|| self.ready(stream, 0)).ok_or(Refusal::InvalidHandle)
    }

    /// When everything is done, but for what is held.
    pub fn end(&self) -> Ns {
        self.streams.values().map(|it| it.tail).fold(self.closed, Ns::max)
    }

    /// The last thing that a stream was given.
    pub fn newest(&self) -> Ticket {
        self.newest
    }

    /// When an event happens; at once if it was never recorded.
    ///
    /// # Errors
    /// There is no such event.
    pub fn time_of(&self, event: EventId) -> Result<Moment, Refusal> {
        let event = self.events.get(&event).ok_or(Refusal::InvalidHandle)?;
        Ok(event.recorded.unwrap_or(Moment::At(0)))
    }

    /// Ns between two events.
    ///
    /// # Errors
    /// One of them has no time or was not recorded, or has not happened yet.
    pub fn elapsed(&self, begin: EventId, end: EventId, now: Ns) -> Result<i64, Refusal> {
        let time = |id: EventId| {
            let event = self.events.get(&id).filter(|it| it.has_time);
            match event.and_then(|it| it.recorded).ok_or(Refusal::InvalidHandle)? {
                Moment::At(at) if at <= now => Ok(at),
                Moment::At(_) | Moment::Held(_) => Err(Refusal::NotReady),
            }
        };
        let is_wrong = |it: &Result<Ns, Refusal>| *it == Err(Refusal::InvalidHandle);
        let (begin, end) = (time(begin), time(end));
        if is_wrong(&begin) || is_wrong(&end) {
            return Err(Refusal::InvalidHandle);
        }
        Ok(end?.cast_signed() - begin?.cast_signed())
    }
}

//! Gathers records until what they are about is over, and hands them over in the buffers of whoever asked for them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::records::{Called, Kind, Record};
use crate::engine::{Interval, Ns};

/// Asks for a buffer: where its address, its size and the most records go.
pub type Requested = unsafe extern "C" fn(*mut *mut u8, *mut usize, *mut usize);
/// Hands a buffer back: context, stream, buffer, its size, and how much of it is records.
pub type Completed = unsafe extern "C" fn(*mut c_void, u32, *mut u8, usize, usize);
/// A clock of the program.
pub type Timestamp = unsafe extern "C" fn() -> u64;

thread_local! {
    /// Identifiers that the thread has pushed, with their kinds.
    static PUSHED: RefCell<Vec<(u32, u64)>> = const { RefCell::new(Vec::new()) };
}

/// From the clock of the simulation to the one that records have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stamps {
    /// Two moments on both clocks; the same one twice where there is only one yet.
    known: [(Ns, u64); 2],
    /// There are no times at all.
    are_missing: bool,
}

impl Stamps {
    /// A moment. Straight through both that are known, as CUPTI does it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and clocks are positive"
    )]
    pub fn at(&self, at: Ns) -> u64 {
        if self.are_missing {
            return 0;
        }
        let [(from, stamp), (to, later)] = self.known;
        let rate = if from < to { (later as f64 - stamp as f64) / (to - from) as f64 } else { 1.0 };
        let since = at as f64 - to as f64;
        let moved = (since * rate).round();
        if moved < 0.0 { later.saturating_sub((-moved) as u64) } else { later + moved as u64 }
    }

    /// Two moments.
    pub fn interval(&self, interval: Interval) -> Interval {
        Interval { start: self.at(interval.start), end: self.at(interval.end) }
    }
}

type Make = Box<dyn FnOnce(&Stamps) -> Record + Send>;

struct Pending {
    /// When what it is about is over.
    ready: Ns,
    make: Make,
}

#[derive(Default)]
struct State {
    pending: Vec<Pending>,
    buffers: Option<(Requested, Completed)>,
    clock: Option<(Timestamp, (Ns, u64))>,
    /// Calls of the driver that were asked for one by one.
    calls: BTreeSet<u32>,
    added: u64,
    dropped: usize,
}

/// The records of a process.
#[derive(Default)]
pub struct Collector {
    /// A bit for each kind.
    enabled: AtomicU64,
    state: Mutex<State>,
    /// Buffers are filled by one thread at a time.
    delivering: Mutex<()>,
}

/// What the collector is told of the simulation.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Every so many-th record is dropped; 0 for none.
    pub drop_every: u32,
    /// Records come in any order.
    pub is_shuffled: bool,
    /// Records have no times.
    pub has_no_times: bool,
}

fn bit(kind: Kind) -> u64 {
    1 << (kind as u32 % 64)
}

impl Collector {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether records of a kind are wanted.
    pub fn is_enabled(&self, kind: Kind) -> bool {
        self.enabled.load(Relaxed) & bit(kind) != 0
    }

    /// Wants records of a kind from now on, or none any more.
    pub fn enable(&self, kind: Kind, is_enabled: bool) {
        if is_enabled {
            self.enabled.fetch_or(bit(kind), Relaxed);
        } else {
            self.enabled.fetch_and(!bit(kind), Relaxed);
        }
    }

    /// Wants a record of one call of the driver, or none any more.
    pub fn enable_call(&self, cbid: u32, is_enabled: bool) {
        let mut state = self.state();
        if is_enabled {
            state.calls.insert(cbid);
        } else {
            state.calls.remove(&cbid);
        }
    }

    /// Where buffers come from and go to.
    pub fn register_buffers(&self, requested: Requested, completed: Completed) {
        self.state().buffers = Some((requested, completed));
    }

    /// The clock that records are to have; `now` is on that of the simulation.
    pub fn register_clock(&self, clock: Timestamp, now: Ns) {
        // SAFETY: the function was handed over to be called at any time, from any thread.
        let stamp = unsafe { clock() };
        self.state().clock = Some((clock, (now, stamp)));
    }

    /// Pushes an identifier of the profiler on the calling thread.
    pub fn push_id(kind: u32, id: u64) {
        _ = PUSHED.try_with(|pushed| pushed.borrow_mut().push((kind, id)));
    }

    /// Takes the last one of a kind back; `None` if there is none.
    pub fn pop_id(kind: u32) -> Option<u64> {
        PUSHED
            .try_with(|pushed| {
                let mut pushed = pushed.borrow_mut();
                let at = pushed.iter().rposition(|(its, _)| *its == kind)?;
                Some(pushed.remove(at).1)
            })
            .ok()?
    }

    /// Adds a record, if its kind is wanted. `ready` is when it can be handed over.
    pub fn add(
        &self,
        kind: Kind,
        ready: Ns,
        options: Options,
        make: impl FnOnce(&Stamps) -> Record + Send + 'static,
    ) {
        if self.is_enabled(kind) {
            self.state().add(ready, options, Box::new(make));
        }
    }

    /// Adds what is wanted of a call: its own record, and those of identifiers that its thread has pushed.
    pub fn add_call(&self, version: u32, times: Interval, call: Called, options: Options) {
        let mut state = self.state();
        let is_wanted = self.is_enabled(Kind::Driver) || state.calls.contains(&call.cbid);
        if self.is_enabled(Kind::ExternalCorrelation) {
            let mut kinds = BTreeSet::new();
            let ids = PUSHED.try_with(|pushed| pushed.borrow().clone()).unwrap_or_default();
            // The innermost of each kind.
            for (kind, id) in ids.into_iter().rev().filter(|(kind, _)| kinds.insert(*kind)) {
                let make = move |_: &Stamps| Record::external(version, kind, id, call.correlation);
                state.add(times.end, options, Box::new(make));
            }
        }
        if is_wanted {
            let make = move |stamps: &Stamps| Record::driver(version, stamps.interval(times), call);
            state.add(times.end, options, Box::new(make));
        }
    }

    /// Records that were dropped since this was asked last.
    pub fn take_dropped(&self) -> usize {
        std::mem::take(&mut self.state().dropped)
    }

    /// Hands over what is over at `now`; with `is_forced`, everything.
    pub fn deliver(&self, now: Ns, is_forced: bool, default: u64, options: Options) {
        let _one_at_a_time = self.delivering.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut records, buffers) = {
            let mut state = self.state();
            let Some(buffers) = state.buffers else { return };
            let stamps = state.stamps(now, default, options);
            let all = std::mem::take(&mut state.pending);
            let (over, later): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|it| is_forced || it.ready <= now);
            state.pending = later;
            let records: Vec<Record> = over.into_iter().map(|it| (it.make)(&stamps)).collect();
            (records, buffers)
        };
        if options.is_shuffled {
            shuffle(&mut records);
        }
        // Outside of the lock: the callbacks may ask for anything.
        let left = fill(&records, buffers);
        self.state().dropped += left;
    }
}

impl State {
    fn add(&mut self, ready: Ns, options: Options, make: Make) {
        self.added += 1;
        if options.drop_every != 0 && self.added.is_multiple_of(u64::from(options.drop_every)) {
            self.dropped += 1;
        } else {
            self.pending.push(Pending { ready, make });
        }
    }

    /// `default` is the time of day at `now`, which records have unless somebody brings a clock.
    fn stamps(&self, now: Ns, default: u64, options: Options) -> Stamps {
        let known = match self.clock {
            // SAFETY: as in `register_clock`.
            Some((clock, first)) => [first, (now, unsafe { clock() })],
            None => [(now, default); 2],
        };
        Stamps { known, are_missing: options.has_no_times }
    }
}

/// Writes records into buffers. Returns how many found no room.
fn fill(records: &[Record], (requested, completed): (Requested, Completed)) -> usize {
    let mut left = records;
    while !left.is_empty() {
        let (mut buffer, mut size, mut most) = (ptr::null_mut::<u8>(), 0, 0);
        // SAFETY: the callback was registered for this, and writes to the three places.
        unsafe { requested(&raw mut buffer, &raw mut size, &raw mut most) };
        if buffer.is_null() {
            return left.len();
        }
        let (mut used, mut n) = (0, 0);
        for record in left {
            let bytes = record.bytes();
            if size < used + bytes.len() || (most != 0 && most <= n) {
                break;
            }
            // SAFETY: the buffer has `size` bytes, says who gave it, and this ends before that.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.add(used), bytes.len()) };
            used += bytes.len();
            n += 1;
        }
        // SAFETY: the buffer goes back to who gave it.
        unsafe { completed(ptr::null_mut(), 0, buffer, size, used) };
        if n == 0 {
            return left.len();
        }
        left = &left[n..];
    }
    0
}

/// Always the same disorder.
fn shuffle(records: &mut [Record]) {
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for at in (1..records.len()).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let other = usize::try_from(random % (at as u64 + 1)).unwrap_or(0);
        records.swap(at, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cupti::records::{Place, WaitsFor};

    const OPTIONS: Options = Options { drop_every: 0, is_shuffled: false, has_no_times: false };
    const VERSION: u32 = 12_080;

    thread_local! {
        static SEEN: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    }

    unsafe extern "C" fn request(buffer: *mut *mut u8, size: *mut usize, most: *mut usize) {
        let memory = Box::leak(vec![0_u8; 128].into_boxed_slice());
        // SAFETY: places of the caller.
        unsafe { (*buffer, *size, *most) = (memory.as_mut_ptr(), memory.len(), 0) };
    }

    unsafe extern "C" fn refuse(buffer: *mut *mut u8, _: *mut usize, _: *mut usize) {
        // SAFETY: a place of the caller.
        unsafe { *buffer = ptr::null_mut() };
    }

    unsafe extern "C" fn complete(
        _: *mut c_void,
        _: u32,
        buffer: *mut u8,
        size: usize,
        used: usize,
    ) {
        // SAFETY: what `request` has leaked comes back.
        let bytes = unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(buffer, size)) };
        SEEN.with_borrow_mut(|seen| seen.push(bytes[..used].to_vec()));
    }

    fn wait(collector: &Collector, options: Options, end: Ns) {
        collector.add(Kind::Synchronization, end, options, move |stamps| {
            let times = stamps.interval(Interval { start: end - 10, end });
            Record::wait(VERSION, WaitsFor::Context, times, Place::default(), (0, 0))
        });
    }

    fn seen() -> Vec<Vec<u8>> {
        SEEN.take()
    }

    #[test]
    fn only_what_is_over_is_handed_over() {
        let collector = Collector::default();
        collector.register_buffers(request, complete);
        wait(&collector, OPTIONS, 100);
        collector.enable(Kind::Synchronization, true);
        for end in [100, 200, 300] {
            wait(&collector, OPTIONS, end);
        }
        collector.deliver(200, false, 1_000_000, OPTIONS);
        // Two of 56 bytes in one buffer of 128; what nobody wanted yet is nowhere.
        let first = seen();
        assert_eq!(first.iter().map(Vec::len).collect::<Vec<_>>(), [112]);
        assert_eq!(first[0][16..24], 999_900_u64.to_ne_bytes(), "the time of day");
        collector.deliver(200, true, 1_000_000, OPTIONS);
        assert_eq!(seen().len(), 1);
    }

    #[test]
    fn identifiers_come_with_the_calls_of_their_thread() {
        let collector = Collector::default();
        collector.register_buffers(request, complete);
        collector.enable(Kind::ExternalCorrelation, true);
        collector.enable_call(307, true);
        let call = |cbid| Called { cbid, process: 1, thread: 2, correlation: 9, returned: 0 };
        Collector::push_id(3, 41);
        Collector::push_id(3, 42);
        let times = Interval { start: 0, end: 5 };
        collector.add_call(VERSION, times, call(307), OPTIONS);
        assert_eq!((Collector::pop_id(4), Collector::pop_id(3)), (None, Some(42)));
        collector.add_call(VERSION, times, call(304), OPTIONS);
        Collector::pop_id(3);
        collector.deliver(10, false, 0, OPTIONS);
        let bytes = seen().concat();
        // Of the first call 24 + 40 bytes, of the second, which nobody asked for, the identifier.
        assert_eq!(bytes.len(), 88);
        assert_eq!(
            (&bytes[8..16], &bytes[72..80]),
            (&42_u64.to_ne_bytes()[..], &41_u64.to_ne_bytes()[..])
        );
    }

    #[test]
    fn what_is_lost_is_counted() {
        let collector = Collector::default();
        collector.enable(Kind::Synchronization, true);
        let options = Options { drop_every: 3, ..OPTIONS };
        for end in 10..19 {
            wait(&collector, options, end);
        }
        assert_eq!(collector.take_dropped(), 3);
        collector.register_buffers(refuse, complete);
        collector.deliver(100, false, 0, options);
        assert_eq!((collector.take_dropped(), collector.take_dropped()), (6, 0));
    }

    #[test]
    fn stamps_go_straight_through_what_is_known() {
        // 1 ns is 2.5 ticks.
        let stamps = Stamps { known: [(1_000, 10_000), (3_000, 15_000)], are_missing: false };
        assert_eq!(
            [0, 1_000, 2_000, 5_000].map(|at| stamps.at(at)),
            [7_500, 10_000, 12_500, 20_000]
        );
        assert_eq!(Stamps { are_missing: true, ..stamps }.at(2_000), 0);
    }
}

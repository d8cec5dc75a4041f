//! Times of a stream around calls, by events: what there is where CUPTI is not to be had.
//!
//! Between the two events lies everything that the stream did meanwhile, and its waiting for the host too: it is the time that
//! the stream needed from the beginning of the call, not the time of a kernel. An event costs some 2.5 µs; times below some 30 µs
//! are not reliable.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::CudaStream;

use super::functions::{Driver, Handle};
use super::stream::Stream;
use super::works::Works;
use crate::clock::counter;
use crate::format::DeviceWorkData;
use crate::format::device_work::Class;
use crate::os;
use crate::record::session::Session;
use crate::record::thread;
use crate::span::SpanGuard;

/// Pairs of events at most; calls beyond are not timed.
const MOST_PAIRS: usize = 4096;
/// What the driver says of a stream that is not captured.
const NO_CAPTURE: u32 = 0;
/// Captures of other threads are not disturbed by what this thread asks.
const RELAXED: u32 = 2;

/// What names a stream: one of cudarc's, ours, or a handle of the driver.
pub trait TimedStream {
    /// Its handle, and what keeps it alive until the call is over.
    fn timed(&self) -> TimedHandle;
}

/// A stream for as long as it is timed.
#[derive(Clone, Debug)]
pub struct TimedHandle {
    raw: Handle,
    _kept: Option<Arc<CudaStream>>,
}

impl TimedStream for Arc<CudaStream> {
    fn timed(&self) -> TimedHandle {
        TimedHandle { raw: self.cu_stream().cast(), _kept: Some(Arc::clone(self)) }
    }
}

impl TimedStream for CudaStream {
    fn timed(&self) -> TimedHandle {
        TimedHandle { raw: self.cu_stream().cast(), _kept: None }
    }
}

impl TimedStream for Stream {
    fn timed(&self) -> TimedHandle {
        self.inner().timed()
    }
}

impl<S: TimedStream + ?Sized> TimedStream for &S {
    fn timed(&self) -> TimedHandle {
        (**self).timed()
    }
}

/// Times a stream until it is dropped.
#[must_use = "a stream is timed until this is dropped"]
#[derive(Debug)]
pub struct StreamTimer(Option<Running>);

#[derive(Debug)]
struct Running {
    timer: &'static Timer,
    pair: Pair,
    stream: TimedHandle,
}

/// Two events of one context.
#[derive(Clone, Copy, Debug)]
struct Pair {
    start: Handle,
    end: Handle,
    context: Handle,
    /// The span that was open.
    node: u32,
    thread: u32,
    /// Ticks when the call began.
    since: u64,
}

// SAFETY: events are numbers to the driver, which locks by itself.
unsafe impl Send for Pair {}

/// Times streams for the recording of this process.
#[derive(Debug)]
pub(super) struct Timer {
    driver: Driver,
    session: &'static Session,
    state: Mutex<State>,
    /// Where times go, by whoever harvests.
    works: Mutex<Works>,
    /// Ticks and ns when recording began.
    began: (u64, u64),
}

#[derive(Debug, Default)]
struct State {
    free: Vec<Pair>,
    /// Recorded, and perhaps not yet over.
    recorded: Vec<Pair>,
    made: usize,
    /// Calls that were not timed.
    left_out: u64,
}

static TIMER: AtomicPtr<Timer> = AtomicPtr::new(ptr::null_mut());

/// Begins to time streams that spans name.
pub(super) fn start(session: &'static Session, driver: Driver) {
    let timer = Box::leak(Box::new(Timer {
        driver,
        session,
        state: Mutex::default(),
        works: Mutex::new(Works::new(session)),
        began: session.time_pair(),
    }));
    // Release: pairs with the Acquire in `timer`.
    TIMER.store(ptr::from_mut(timer), Ordering::Release);
}

/// No more, in the child of a fork.
pub(super) fn forget_in_child() {
    TIMER.store(ptr::null_mut(), Ordering::Relaxed);
}

pub(super) fn timer() -> Option<&'static Timer> {
    // SAFETY: null or a leaked timer.
    unsafe { TIMER.load(Ordering::Acquire).as_ref() }
}

/// Times a stream from now on, for the innermost open span: what `cuda_stream = ...` does. Nothing where no span is open, the stream
/// is captured into a graph, or every operation is recorded anyway.
pub fn time_on(stream: &impl TimedStream) -> StreamTimer {
    let running = timer().and_then(|timer| timer.begin(stream.timed()));
    StreamTimer(running)
}

impl Drop for StreamTimer {
    fn drop(&mut self) {
        if let Some(running) = self.0.take() {
            running.timer.end(&running);
        }
    }
}

/// A span whose stream is timed: what `span!("name", cuda_stream = stream)` makes.
#[must_use = "a span ends when this is dropped"]
#[derive(Debug)]
pub struct TimedSpan {
    // Dropped first: the time belongs to the span, which must be open.
    _timer: StreamTimer,
    _guard: SpanGuard,
}

impl TimedSpan {
    /// The innermost open span, until this is dropped, with the time of a stream.
    pub fn new(guard: SpanGuard, stream: &impl TimedStream) -> Self {
        Self { _timer: time_on(stream), _guard: guard }
    }
}

impl Timer {
    fn begin(&'static self, stream: TimedHandle) -> Option<Running> {
        let node = thread::attached()?.open_node();
        if node == 0 || !self.is_recordable(&stream) {
            return None;
        }
        let mut pair = self.take_pair()?;
        (pair.node, pair.thread, pair.since) = (node, os::thread::tid(), counter());
        if self.record(pair.start, &stream) {
            return Some(Running { timer: self, pair, stream });
        }
        self.give_back(pair);
        None
    }

    fn end(&self, running: &Running) {
        let is_recorded =
            self.is_recordable(&running.stream) && self.record(running.pair.end, &running.stream);
        // Whoever harvests holds the lock for as long as it takes to copy a list.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if is_recorded {
            state.recorded.push(running.pair);
        } else {
            state.left_out += 1;
            state.free.push(running.pair);
        }
    }

    /// An event in a stream that is captured would become a part of the graph.
    fn is_recordable(&self, stream: &TimedHandle) -> bool {
        let Some(is_capturing) = self.driver.stream_is_capturing else { return false };
        let mut status = NO_CAPTURE;
        // SAFETY: by NVIDIA's headers; the stream lives, says whoever named it.
        let code = unsafe { is_capturing(stream.raw, &raw mut status) };
        code == 0 && status == NO_CAPTURE
    }

    fn record(&self, event: Handle, stream: &TimedHandle) -> bool {
        // SAFETY: as above; the event is ours.
        self.driver.event_record.is_some_and(|record| unsafe { record(event, stream.raw) } == 0)
    }

    /// A free pair of the calling thread's context, or a new one.
    fn take_pair(&self) -> Option<Pair> {
        let mut context = ptr::null_mut();
        // SAFETY: by NVIDIA's headers.
        if unsafe { (self.driver.ctx_get_current?)(&raw mut context) } != 0 || context.is_null() {
            return None;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = state.free.iter().rposition(|pair| pair.context == context) {
            return Some(state.free.swap_remove(at));
        }
        if MOST_PAIRS <= state.made {
            state.left_out += 1;
            return None;
        }
        if state.made == 0 {
            // Later than the driver's own: it runs before that.
            os::thread::at_exit(at_exit);
        }
        state.made += 1;
        drop(state);
        let (start, end) = (self.make_event()?, self.make_event()?);
        Some(Pair { start, end, context, node: 0, thread: 0, since: 0 })
    }

    fn make_event(&self) -> Option<Handle> {
        let mut event = ptr::null_mut();
        // SAFETY: by NVIDIA's headers; no flags: with times.
        let code = unsafe { (self.driver.event_create?)(&raw mut event, 0) };
        (code == 0).then_some(event)
    }

    fn give_back(&self, pair: Pair) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).free.push(pair);
    }

    /// Writes the times of pairs that are over. Waits for nothing.
    pub(super) fn harvest(&self) {
        let (ticks, ns) = self.session.time_pair();
        let passed = (ticks.saturating_sub(self.began.0), ns.saturating_sub(self.began.1));
        let ticks_per_ns = passed.0 as f64 / passed.1.max(1) as f64;
        let mut works = self.works.lock().unwrap_or_else(PoisonError::into_inner);
        let recorded = core::mem::take(
            &mut self.state.lock().unwrap_or_else(PoisonError::into_inner).recorded,
        );
        let (mut later, mut over) = (Vec::new(), Vec::new());
        self.without_disturbing_captures(|| {
            for pair in recorded {
                match self.elapsed_ms(&pair) {
                    Ok(Some(ms)) => {
                        #[expect(
                            clippy::cast_possible_truncation,
                            clippy::cast_sign_loss,
                            reason = "a positive time; the cast saturates"
                        )]
                        let ticks = (f64::from(ms) * 1e6 * ticks_per_ns).max(0.0) as u64;
                        works.append(&DeviceWorkData {
                            class: Class::Span as u32,
                            node: pair.node,
                            thread: pair.thread,
                            stream: u32::MAX,
                            start: pair.since,
                            end: pair.since + ticks,
                            ..DeviceWorkData::default()
                        });
                        over.push(pair);
                    }
                    Ok(None) => later.push(pair),
                    Err(_) => over.push(pair),
                }
            }
        });
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.free.extend(over);
        state.recorded.extend(later);
    }

    /// Milliseconds between the events; `None` while the second one has not happened.
    fn elapsed_ms(&self, pair: &Pair) -> Result<Option<f32>, i32> {
        const NOT_READY: i32 = 600;
        let Some(query) = self.driver.event_query else { return Err(0) };
        // SAFETY: by NVIDIA's headers; the event is ours.
        match unsafe { query(pair.end) } {
            0 => {}
            NOT_READY => return Ok(None),
            code => return Err(code),
        }
        // The newer one first: with bindings of CUDA 13 the older may be gone.
        let Some(elapsed) = self.driver.event_elapsed_v2.or(self.driver.event_elapsed) else {
            return Err(0);
        };
        let mut ms = 0.0;
        // SAFETY: as above.
        match unsafe { elapsed(&raw mut ms, pair.start, pair.end) } {
            0 => Ok(Some(ms)),
            code => Err(code),
        }
    }

    /// A question about an event from another thread ends a capture that forbids it: in this mode it does not.
    fn without_disturbing_captures(&self, ask: impl FnOnce()) {
        let Some(exchange) = self.driver.exchange_capture_mode else { return ask() };
        let mut mode = RELAXED;
        // SAFETY: by NVIDIA's headers; the mode is that of this thread alone.
        unsafe { exchange(&raw mut mode) };
        ask();
        // SAFETY: as above: what it was before.
        unsafe { exchange(&raw mut mode) };
    }
}

extern "C" fn at_exit() {
    if let Some(timer) = timer() {
        timer.harvest();
    }
}

/// A stream by its handle, for code that has no other name for it.
impl TimedStream for *mut c_void {
    fn timed(&self) -> TimedHandle {
        TimedHandle { raw: *self, _kept: None }
    }
}

//! Asynchronous calls: each poll is a span under the poller's path; what lies between polls is waiting.
//!
//! A call lasts from its first poll until it is ready, or is dropped before that. Busy and waiting time sum to that life, on
//! whichever threads it was polled.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::format::{Node, node};
use crate::record::recorder::{Recorder, add};
use crate::record::{process, thread};
use crate::site::{Owner, Site};
use crate::span::{Call, declare, known_key};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Calls of sites marked `request` that have begun and not ended, in this process.
static REQUESTS: AtomicU32 = AtomicU32::new(0);

/// How many requests are in flight.
pub(crate) fn requests_in_flight() -> u16 {
    u16::try_from(REQUESTS.load(Relaxed)).unwrap_or(u16::MAX)
}

/// In a forked child: those of the parent are none of its own.
pub(crate) fn forget_requests() {
    REQUESTS.store(0, Relaxed);
}

/// A future whose polls are recorded.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Instrumented<F> {
    inner: F,
    call: AsyncCall,
}

/// What is known of the call so far. Holds no pointer into the recorder that is used on another thread than it came from.
#[derive(Debug)]
pub struct AsyncCall {
    site: &'static Site,
    owner: Owner,
    key: Option<u64>,
    flops: f64,
    bytes: f64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Never polled.
    New,
    /// Between two polls.
    Waiting(Life),
    /// Ready, dropped or panicked; or nothing is recorded.
    Over,
}

#[derive(Clone, Copy, Debug)]
struct Life {
    first_poll: u64,
    last_poll_end: u64,
    /// Address of the recorder and the node of the last poll: valid on that recorder's thread.
    recorder: usize,
    node: usize,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Ready,
    Cancelled,
    Panicked,
}

/// A call whose future is about to be made, and which has said nothing about itself.
pub fn async_call(site: &'static Site, owner: Option<fn() -> &'static str>) -> AsyncCall {
    async_call_with(site, owner, || Call { key: None, flops: 0.0, bytes: 0.0 })
}

/// A call whose future is about to be made. `call` runs at once, while recording only, and what it borrows is free again
/// when the future takes the parameters with it.
#[inline]
pub fn async_call_with<'a>(
    site: &'static Site,
    owner: Option<fn() -> &'static str>,
    call: impl FnOnce() -> Call<'a>,
) -> AsyncCall {
    let mut recorded =
        AsyncCall { site, owner, key: None, flops: 0.0, bytes: 0.0, stage: Stage::Over };
    if !(cfg!(bottleneck_disabled) || process::is_off())
        && let Some(recorder) = recorder()
    {
        let call = call();
        recorded.key = known_key(recorder, call.key.as_ref());
        recorded.flops = call.flops;
        recorded.bytes = call.bytes;
        recorded.stage = Stage::New;
    }
    recorded
}

/// Records the polls of `future` as those of `call`. Small, because every future gets its own copy.
#[inline]
pub fn future<F: Future>(call: AsyncCall, future: F) -> Instrumented<F> {
    Instrumented { inner: future, call }
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `inner` is never moved: `Instrumented` hands it out pinned only, has no `Drop` that could move it, and
        // is `Unpin` only if `F` is. `call` is not pinned.
        let (inner, call) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.inner), &mut this.call)
        };
        // Every future gets its own copy of this function: what is not about `inner` is out of line.
        let mut poll = Polling { span: PollSpan::begin(call), end: Some(End::Panicked) };
        let polled = inner.poll(context);
        poll.end = if polled.is_ready() { Some(End::Ready) } else { None };
        polled
    }
}

/// Ends the span of a poll however the poll ends: `end` says a panic until the poll has come back.
struct Polling<'a> {
    span: Option<PollSpan<'a>>,
    end: Option<End>,
}

impl Drop for Polling<'_> {
    #[inline(never)]
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            span.end(self.end);
        }
    }
}

/// One poll.
struct PollSpan<'a> {
    call: &'a mut AsyncCall,
    recorder: &'static Recorder,
    node: &'static Node,
    start: u64,
    first_poll: u64,
}

impl<'a> PollSpan<'a> {
    #[inline(never)]
    fn begin(call: &'a mut AsyncCall) -> Option<Self> {
        if matches!(call.stage, Stage::Over) {
            return None;
        }
        let recorder = recorder()?;
        let (node, start) = recorder.open(call.site, call.owner, call.key).into_parts()?;
        let first_poll = match call.stage {
            Stage::Waiting(life) => {
                add(&node.waiting, start.saturating_sub(life.last_poll_end));
                life.first_poll
            }
            Stage::New | Stage::Over => {
                call.request_begins();
                add(&node.started, 1);
                node.flags.store(node.flags.load(Relaxed) | node::FLAG_ASYNC, Relaxed);
                declare(node, call.flops, call.bytes, None);
                start
            }
        };
        // Should the poll panic, the call is over.
        call.stage = Stage::Over;
        Some(Self { call, recorder, node, start, first_poll })
    }

    fn end(self, end: Option<End>) {
        let now = self.close();
        match end {
            Some(end) => {
                self.call.request_ends();
                finish(self.recorder, self.node, now.saturating_sub(self.first_poll), end);
            }
            None => {
                self.call.stage = Stage::Waiting(Life {
                    first_poll: self.first_poll,
                    last_poll_end: now,
                    recorder: core::ptr::from_ref(self.recorder) as usize,
                    node: core::ptr::from_ref(self.node) as usize,
                });
            }
        }
    }

    /// Ends the span of the poll and returns its last tick.
    #[inline]
    fn close(&self) -> u64 {
        let busy = self.recorder.close(self.node, self.start).unwrap_or(0);
        add(&self.node.total, busy);
        add(&self.node.polls, 1);
        self.start + busy
    }
}

/// The recorder of this thread.
#[inline]
fn recorder() -> Option<&'static Recorder> {
    thread::attached().or_else(thread::attach)
}

/// Counts a call whose life was so many ticks.
fn finish(recorder: &Recorder, node: &Node, life: u64, end: End) {
    add(&node.count, 1);
    recorder.count_length(node, life);
    match end {
        End::Ready => {}
        End::Cancelled => add(&node.cancelled, 1),
        End::Panicked => add(&node.panicked, 1),
    }
}

impl AsyncCall {
    fn request_begins(&self) {
        if self.site.is_request() {
            REQUESTS.fetch_add(1, Relaxed);
        }
    }

    fn request_ends(&self) {
        if self.site.is_request() {
            // Not below zero: a forked child may drop what its parent began.
            let _ = REQUESTS.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1));
        }
    }
}

impl Drop for AsyncCall {
    fn drop(&mut self) {
        let Stage::Waiting(life) = self.stage else {
            return;
        };
        self.request_ends();
        let Some(recorder) = recorder() else {
            return;
        };
        if core::ptr::from_ref(recorder) as usize == life.recorder {
            // SAFETY: the node was that of the last poll on this very recorder; nodes stay mapped for good.
            let node = unsafe { &*(life.node as *const Node) };
            let now = recorder.now();
            add(&node.waiting, now.saturating_sub(life.last_poll_end));
            finish(recorder, node, now.saturating_sub(life.first_poll), End::Cancelled);
        } else if let Some((node, now)) =
            recorder.open(self.site, self.owner, self.key).into_parts()
        {
            // Dropped on another thread: there it is counted, under the path that dropped it.
            node.flags.store(node.flags.load(Relaxed) | node::FLAG_ASYNC, Relaxed);
            add(&node.waiting, now.saturating_sub(life.last_poll_end));
            recorder.close(node, now);
            finish(recorder, node, now.saturating_sub(life.first_poll), End::Cancelled);
        }
    }
}

const _: fn() = || {
    /// The wrapper is `Send` and `Unpin` whenever the future is: a spawned task must stay one.
    fn holds<T: Send + Unpin>() {}
    holds::<Instrumented<core::future::Ready<()>>>();
};

//! The functions of `libcupti`.
#![expect(unsafe_code, reason = "a C interface: pointers of its callers are written and read")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::collector::{Collector, Completed, Requested, Timestamp};
use super::listeners::Listener;
use super::records::Kind;
use crate::sim::sim;

const SUCCESS: c_int = 0;
const INVALID_PARAMETER: c_int = 1;
const MAX_LIMIT_REACHED: c_int = 12;
const QUEUE_EMPTY: c_int = 18;
const INVALID_KIND: c_int = 21;
const NOT_SUPPORTED: c_int = 27;
const MULTIPLE_SUBSCRIBERS: c_int = 39;

/// The first version that can be asked for records of single calls.
const SINGLE_CALLS: u32 = 12_050;
/// What CUPTI calls its own versions, by those of CUDA.
const VERSIONS: [(u32, u32); 6] =
    [(12_000, 18), (12_040, 22), (12_060, 24), (12_080, 26), (12_090, 28), (13_000, 130_000)];

static IS_SUBSCRIBED: AtomicBool = AtomicBool::new(false);

/// What everything is refused with, if it is.
fn refusal() -> Option<c_int> {
    Some(sim().settings.cupti).filter(|&code| code != 0)
}

/// The refusal of another subscriber is one of subscribing only.
fn refusal_of_all() -> Option<c_int> {
    refusal().filter(|&code| code != MULTIPLE_SUBSCRIBERS)
}

fn unless_refused(body: impl FnOnce() -> c_int) -> c_int {
    refusal_of_all().unwrap_or_else(body)
}

/// The version of CUPTI.
#[unsafe(no_mangle)]
extern "C" fn cuptiGetVersion(to: *mut u32) -> c_int {
    let known = VERSIONS.iter().rev().find(|(from, _)| *from <= sim().settings.version);
    put(to, known.map_or(VERSIONS[0].1, |(_, version)| *version))
}

/// Now, on the clock that records have.
#[unsafe(no_mangle)]
extern "C" fn cuptiGetTimestamp(to: *mut u64) -> c_int {
    unless_refused(|| {
        let day = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let ns = day.ok().and_then(|day| u64::try_from(day.as_nanos()).ok()).unwrap_or(0);
        put(to, ns)
    })
}

/// The name of a code; null for one that is not known.
#[unsafe(no_mangle)]
extern "C" fn cuptiGetResultString(code: c_int, to: *mut *const c_char) -> c_int {
    let text: Option<&CStr> = match code {
        SUCCESS => Some(c"CUPTI_SUCCESS"),
        INVALID_PARAMETER => Some(c"CUPTI_ERROR_INVALID_PARAMETER"),
        15 => Some(c"CUPTI_ERROR_NOT_INITIALIZED"),
        35 => Some(c"CUPTI_ERROR_INSUFFICIENT_PRIVILEGES"),
        MULTIPLE_SUBSCRIBERS => Some(c"CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED"),
        _ => None,
    };
    put(to, text.map_or(ptr::null(), CStr::as_ptr));
    if text.is_some() { SUCCESS } else { INVALID_PARAMETER }
}

/// Takes the one place for a tool that listens.
#[unsafe(no_mangle)]
extern "C" fn cuptiSubscribe(to: *mut usize, listener: Option<Listener>, data: usize) -> c_int {
    if let Some(code) = refusal() {
        return code;
    }
    if IS_SUBSCRIBED.swap(true, Relaxed) {
        return MULTIPLE_SUBSCRIBERS;
    }
    sim().listeners.subscribe(listener, data);
    put(to, 1)
}

/// Tells the listener of one function, or does not any more.
#[unsafe(no_mangle)]
extern "C" fn cuptiEnableCallback(
    is_enabled: u32,
    _subscriber: usize,
    domain: u32,
    cbid: u32,
) -> c_int {
    unless_refused(|| {
        sim().listeners.enable(domain, cbid, is_enabled != 0);
        SUCCESS
    })
}

/// Gives it back.
#[unsafe(no_mangle)]
extern "C" fn cuptiUnsubscribe(_subscriber: usize) -> c_int {
    unless_refused(|| {
        IS_SUBSCRIBED.store(false, Relaxed);
        sim().listeners.subscribe(None, 0);
        SUCCESS
    })
}

/// Where buffers come from and go to.
#[unsafe(no_mangle)]
extern "C" fn cuptiActivityRegisterCallbacks(
    requested: Option<Requested>,
    completed: Option<Completed>,
) -> c_int {
    unless_refused(|| {
        let Some((requested, completed)) = requested.zip(completed) else {
            return INVALID_PARAMETER;
        };
        sim().cupti.register_buffers(requested, completed);
        SUCCESS
    })
}

/// The clock that records are to have.
#[unsafe(no_mangle)]
extern "C" fn cuptiActivityRegisterTimestampCallback(clock: Option<Timestamp>) -> c_int {
    unless_refused(|| {
        let Some(clock) = clock else { return INVALID_PARAMETER };
        sim().cupti.register_clock(clock, sim().clock.now());
        SUCCESS
    })
}

/// Wants records of a kind.
#[unsafe(no_mangle)]
extern "C" fn cuptiActivityEnable(kind: u32) -> c_int {
    enable(kind, true)
}

/// Wants none of it any more.
#[unsafe(no_mangle)]
extern "C" fn cuptiActivityDisable(kind: u32) -> c_int {
    enable(kind, false)
}

fn enable(kind: u32, is_enabled: bool) -> c_int {
    unless_refused(|| match Kind::of(kind) {
        Some(kind) => {
            sim().cupti.enable(kind, is_enabled);
            SUCCESS
        }
        None => INVALID_KIND,
    })
}

/// Wants records of one function of the driver.
#[unsafe(no_mangle)]
extern "C" fn cuptiActivityEnableDriverApi(cbid: u32, is_enabled: u8) -> c_int {
    unless_refused(|| {
        if sim().settings.version < SINGLE_CALLS {
            return NOT_SUPPORTED;
        }
        sim().cupti.enable_call(cbid, is_enabled != 0);
        SUCCESS
    })
}

/// Functions of the runtime are not simulated: nobody calls them.
#[unsafe(no_mangle)]
extern "C" fn cuptiActivityEnableRuntimeApi(_cbid: u32, _is_enabled: u8) -> c_int {
    unless_refused(|| if sim().settings.version < SINGLE_CALLS { NOT_SUPPORTED } else { SUCCESS })
}

/// Hands over what is over; with flag 1, everything.
#[unsafe(no_mangle)]
extern "C" fn cuptiActivityFlushAll(flag: u32) -> c_int {
    unless_refused(|| {
        sim().deliver(flag & 1 == 1);
        SUCCESS
    })
}

/// Buffers are handed over when it is asked for.
#[unsafe(no_mangle)]
extern "C" fn cuptiActivityFlushPeriod(_ms: u32) -> c_int {
    unless_refused(|| SUCCESS)
}

/// Attributes make no difference here.
#[unsafe(no_mangle)]
extern "C" fn cuptiActivitySetAttribute(
    _attribute: u32,
    _size: *mut usize,
    _value: *mut c_void,
) -> c_int {
    unless_refused(|| SUCCESS)
}

/// Threads are known by the system's numbers already.
#[unsafe(no_mangle)]
extern "C" fn cuptiSetThreadIdType(_sort: u32) -> c_int {
    unless_refused(|| SUCCESS)
}

/// The record behind another in a buffer, or the first one.
///
/// # Safety
/// `buffer` has `used` bytes of records, and `record` leads to null or to one of them.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuptiActivityGetNextRecord(
    buffer: *mut u8,
    used: usize,
    record: *mut *mut u8,
) -> c_int {
    // SAFETY: says the caller.
    let Some(place) = (unsafe { record.as_mut() }) else { return INVALID_PARAMETER };
    let next = if place.is_null() {
        buffer
    } else {
        // SAFETY: every record begins with its kind, and lies within the buffer.
        let kind = unsafe { place.cast::<u32>().read_unaligned() };
        let bytes = Kind::of(kind).map_or(usize::MAX, |kind| kind.bytes(sim().settings.version));
        place.wrapping_add(bytes)
    };
    let at = (next as usize).wrapping_sub(buffer as usize);
    if used <= at {
        return MAX_LIMIT_REACHED;
    }
    *place = next;
    SUCCESS
}

/// Records that were dropped since this was asked last.
#[unsafe(no_mangle)]
extern "C" fn cuptiActivityGetNumDroppedRecords(
    _context: *mut c_void,
    _stream: u32,
    to: *mut usize,
) -> c_int {
    unless_refused(|| put(to, sim().cupti.take_dropped()))
}

/// Calls of this thread are about this, from now on.
#[unsafe(no_mangle)]
extern "C" fn cuptiActivityPushExternalCorrelationId(kind: u32, id: u64) -> c_int {
    unless_refused(|| {
        Collector::push_id(kind, id);
        SUCCESS
    })
}

/// They are about what was pushed before, again.
#[unsafe(no_mangle)]
extern "C" fn cuptiActivityPopExternalCorrelationId(kind: u32, to: *mut u64) -> c_int {
    unless_refused(|| match Collector::pop_id(kind) {
        Some(id) if to.is_null() => {
            _ = id;
            SUCCESS
        }
        Some(id) => put(to, id),
        None => QUEUE_EMPTY,
    })
}

/// The number of a node of a graph: its handle.
#[unsafe(no_mangle)]
extern "C" fn cuptiGetGraphNodeId(node: u64, to: *mut u64) -> c_int {
    unless_refused(|| if node == 0 { INVALID_PARAMETER } else { put(to, node) })
}

/// Ends.
#[unsafe(no_mangle)]
extern "C" fn cuptiFinalize() -> c_int {
    unless_refused(|| SUCCESS)
}

fn put<T>(to: *mut T, value: T) -> c_int {
    if to.is_null() {
        return INVALID_PARAMETER;
    }
    // SAFETY: by the C interface a pointer to a result is null, which was looked at, or leads to room for it.
    unsafe { to.write(value) };
    SUCCESS
}

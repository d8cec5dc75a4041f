//! What the callers hold: numbers that look like pointers.

use std::cell::Cell;

use super::stream::tell;
use crate::cupti::records::StreamFlag;
use crate::device::{EventId, LEGACY, Sort, StreamId};
use crate::error::Error;
use crate::sim::{Machine, sim};

/// Whatever a caller holds.
pub(crate) type Handle = usize;

/// Handle of the legacy stream, beside 0.
const LEGACY_STREAM: Handle = 1;
/// Handle of a stream that every thread has of its own.
const PER_THREAD: Handle = 2;

const CONTEXTS: Handle = 0x5C00_0000_0000;
const STREAMS: Handle = 0x5500_0000_0000;
const EVENTS: Handle = 0x5E00_0000_0000;
/// Between two handles, as between two objects.
const STEP: Handle = 64;
const MOST: Handle = 1 << 32;

thread_local! {
    static OWN_STREAM: Cell<Option<StreamId>> = const { Cell::new(None) };
}

fn number(handle: Handle, from: Handle) -> Result<u32, Error> {
    let at = handle.checked_sub(from).filter(|at| *at < MOST * STEP && at.is_multiple_of(STEP));
    at.and_then(|at| u32::try_from(at / STEP).ok()).ok_or(Error::InvalidHandle)
}

pub(crate) fn of_context(ordinal: u32) -> Handle {
    CONTEXTS + STEP * ordinal as Handle
}

/// The device of a context.
pub(crate) fn context(handle: Handle) -> Result<u32, Error> {
    number(handle, CONTEXTS).map_err(|_| Error::InvalidContext)
}

pub(crate) fn of_stream(id: StreamId) -> Handle {
    STREAMS + STEP * id.0 as Handle
}

/// The stream of a handle, of which two mean a default one.
pub(crate) fn stream(machine: &mut Machine, handle: Handle) -> Result<StreamId, Error> {
    match handle {
        0 | LEGACY_STREAM => Ok(LEGACY),
        PER_THREAD => Ok(own_stream(machine)),
        _ => number(handle, STREAMS).map(StreamId),
    }
}

fn own_stream(machine: &mut Machine) -> StreamId {
    let known = OWN_STREAM.try_with(Cell::get).ok().flatten();
    known.unwrap_or_else(|| {
        let id = machine.device.open_stream(Sort::Blocking);
        tell(sim(), id, StreamFlag::Blocking, 0);
        _ = OWN_STREAM.try_with(|own| own.set(Some(id)));
        id
    })
}

pub(crate) fn of_event(id: EventId) -> Handle {
    EVENTS + STEP * id.0 as Handle
}

pub(crate) fn event(handle: Handle) -> Result<EventId, Error> {
    number(handle, EVENTS).map(EventId)
}

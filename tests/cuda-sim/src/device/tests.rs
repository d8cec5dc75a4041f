//! Timelines of a device on which no host function runs.

use super::*;

pub(super) const US: Ns = 1_000;

pub(super) fn device() -> Device {
    // 1 byte per ns in every direction, and no latency.
    let settings = Settings::parse(
        "h2d_pinned=1,h2d_pageable=0.5,d2h_pinned=1,d2h_pageable=0.5,d2d=1,copy_latency_ns=0,depth=4",
    );
    Device::new(settings.unwrap())
}

pub(super) fn kernel(us: Ns) -> Work {
    Work::Kernel { length: us * US, occupancy: 1.0 }
}

pub(super) fn copy(direction: Direction, bytes: u64, is_pinned: bool) -> Work {
    Work::Copy { direction, bytes, is_pinned, is_synchronous: false }
}

/// From and to these us.
pub(super) fn at(start: Ns, end: Ns) -> Interval {
    Interval { start: start * US, end: end * US }
}

pub(super) fn placed(submitted: Result<Submitted, Refusal>) -> Placed {
    match submitted.unwrap() {
        Submitted::Placed(placed) => placed,
        Submitted::Held(_) => panic!("there is no host function"),
    }
}

#[test]
fn a_stream_is_in_order_and_two_streams_are_not() {
    // first   |copy 10|-kernel 20-|
    // second  |------kernel-------| waits for room: all processors are taken by turns
    let mut device = device();
    let (first, second) =
        (device.open_stream(Sort::NonBlocking), device.open_stream(Sort::NonBlocking));
    let upload = copy(Direction::HostToDevice, 10 * US, true);
    assert_eq!(placed(device.submit(first, 0, upload)).runs, at(0, 10));
    let own = placed(device.submit(first, 0, kernel(20)));
    assert_eq!((own.ready, own.runs.start), (10 * US, 10 * US));
    let other = placed(device.submit(second, 0, kernel(10)));
    assert_eq!(other.runs, at(0, 10), "it fits before the first one's");
    let later = placed(device.submit(second, 0, kernel(10)));
    assert_eq!((later.ready, later.runs.start), (10 * US, 30 * US));
}

#[test]
fn the_legacy_stream_waits_for_all_that_block_and_they_for_it() {
    let mut device = device();
    let blocking = device.open_stream(Sort::Blocking);
    let free = device.open_stream(Sort::NonBlocking);
    placed(device.submit(blocking, 0, kernel(10)));
    assert_eq!(placed(device.submit(LEGACY, 0, kernel(5))).ready, 10 * US);
    assert_eq!(placed(device.submit(blocking, 0, kernel(5))).ready, 15 * US);
    assert_eq!(placed(device.submit(free, 0, kernel(1))).ready, 0);
}

#[test]
fn events_tie_streams_together() {
    let mut device = device();
    let (first, second) =
        (device.open_stream(Sort::NonBlocking), device.open_stream(Sort::NonBlocking));
    let (begin, end) = (device.open_event(true), device.open_event(true));
    placed(device.record(begin, first, 0));
    placed(device.submit(first, 0, copy(Direction::DeviceToHost, 30 * US, true)));
    placed(device.record(end, first, 0));
    let waits = placed(device.wait(second, end, 5 * US));
    assert_eq!((waits.ready, waits.runs), (5 * US, at(30, 30)));
    assert_eq!(placed(device.submit(second, 5 * US, kernel(1))).ready, 30 * US);
    assert_eq!(device.elapsed(begin, end, 10 * US), Err(Refusal::NotReady));
    assert_eq!(device.elapsed(begin, end, 30 * US), Ok(30_000));
    let without = device.open_event(false);
    placed(device.record(without, first, 0));
    assert_eq!(device.elapsed(begin, without, 99 * US), Err(Refusal::InvalidHandle));
    // One that never was recorded holds nobody up.
    let never = device.open_event(true);
    assert_eq!(placed(device.wait(second, never, 0)).runs, at(0, 0));
}

#[test]
fn pageable_copies_hold_the_host_up() {
    let mut device = device();
    let stream = device.open_stream(Sort::NonBlocking);
    let mut until = |work| placed(device.submit(stream, 0, work));
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
        (0..6).map(|_| placed(device.submit(stream, 0, kernel(10))).host_until).collect();
    assert_eq!(until, [0, 0, 0, 0, 10 * US, 20 * US]);
    assert_eq!(placed(device.submit(stream, 60 * US, kernel(10))).host_until, 60 * US);
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

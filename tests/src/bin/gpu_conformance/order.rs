//! What waits for what: streams, and the events that cudarc ties them by.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError};

use super::Case;
use super::check::{Outcome, holds, same};
use super::gate::Gate;
use super::kernels::use_slice;

pub(super) const CASES: &[Case] = &[
    ("a_kernel_waits_for_a_copy_on_another_stream", tracked),
    ("without_event_tracking_it_does_not", untracked),
    ("a_stream_joins_another", joins),
    ("a_fork_begins_behind_its_stream", forks),
    ("a_wait_is_for_what_was_recorded_then", records_again),
    ("streams_of_ones_own_and_the_default_one_do_not_wait", default),
    ("each_thread_has_a_stream_of_its_own", per_thread),
    ("the_default_stream_waits_for_that_of_a_thread", default_and_thread),
    ("a_context_waits_for_all_its_streams", context_waits),
    ("a_stream_that_is_dropped_does_what_it_was_given", dropped_stream),
    ("a_slice_may_be_dropped_before_its_copies_are_done", dropped_slice),
];

/// What a stream has been given up to now.
fn mark(stream: &CudaStream) -> Result<CudaEvent, DriverError> {
    stream.record_event(None)
}

fn two_streams() -> Result<(Arc<CudaStream>, Arc<CudaStream>), DriverError> {
    let context = CudaContext::new(0)?;
    Ok((context.new_stream()?, context.new_stream()?))
}

fn tracked() -> Outcome {
    let (first, second) = two_streams()?;
    let mut slice = first.alloc_zeros::<u32>(4)?;
    let gate = Gate::close(&first)?;
    first.memcpy_htod(&[1, 2, 3, 4], &mut slice)?;
    use_slice(&second, &mut slice)?;
    let kernel = mark(&second)?;
    same(kernel.try_is_complete()?, false)?;
    gate.open();
    kernel.synchronize()?;
    same(kernel.try_is_complete()?, true)?;
    same(second.clone_dtoh(&slice)?, vec![1, 2, 3, 4])
}

fn untracked() -> Outcome {
    let context = CudaContext::new(0)?;
    // SAFETY: the kernel does nothing with the slice, and the streams are waited for.
    unsafe { context.disable_event_tracking() };
    let (first, second) = (context.new_stream()?, context.new_stream()?);
    let mut slice = first.alloc_zeros::<u32>(4)?;
    let gate = Gate::close(&first)?;
    first.memcpy_htod(&[1, 2, 3, 4], &mut slice)?;
    use_slice(&second, &mut slice)?;
    second.synchronize()?;
    same(mark(&first)?.try_is_complete()?, false)?;
    gate.open();
    Ok(first.synchronize()?)
}

fn joins() -> Outcome {
    let (first, second) = two_streams()?;
    let gate = Gate::close(&first)?;
    second.join(&first)?;
    let behind = mark(&second)?;
    let third = first.context().new_stream()?;
    third.wait(&behind)?;
    let behind_both = mark(&third)?;
    same((behind.is_complete(), behind_both.is_complete()), (false, false))?;
    gate.open();
    third.synchronize()?;
    same((behind.is_complete(), behind_both.is_complete()), (true, true))
}

fn forks() -> Outcome {
    let (first, _second) = two_streams()?;
    let gate = Gate::close(&first)?;
    let fork = first.fork()?;
    let behind = mark(&fork)?;
    same(behind.try_is_complete()?, false)?;
    gate.open();
    fork.synchronize()?;
    same(behind.try_is_complete()?, true)
}

fn records_again() -> Outcome {
    let (first, second) = two_streams()?;
    let context = first.context().clone();
    let free = context.new_stream()?;
    let gate = Gate::close(&first)?;
    let event = mark(&first)?;
    second.wait(&event)?;
    event.record(&free)?;
    event.synchronize()?;
    let behind = mark(&second)?;
    same(behind.try_is_complete()?, false)?;
    gate.open();
    behind.synchronize()?;
    same(behind.try_is_complete()?, true)
}

fn default() -> Outcome {
    let (own, _) = two_streams()?;
    let context = own.context().clone();
    for (held, other) in [(own.clone(), context.default_stream()), (context.default_stream(), own)]
    {
        let gate = Gate::close(&held)?;
        let behind = mark(&held)?;
        other.synchronize()?;
        same(behind.try_is_complete()?, false)?;
        gate.open();
        behind.synchronize()?;
    }
    Ok(())
}

fn per_thread() -> Outcome {
    let context = CudaContext::new(0)?;
    let gate = Gate::close(&context.per_thread_stream())?;
    let behind = mark(&context.per_thread_stream())?;
    let of_other = std::thread::scope(|scope| {
        let other = scope.spawn(|| -> Result<(), DriverError> {
            let stream = context.per_thread_stream();
            mark(&stream)?.synchronize()?;
            stream.synchronize()
        });
        other.join()
    });
    of_other.map_err(|_| "the other thread panicked")??;
    same(behind.try_is_complete()?, false)?;
    gate.open();
    Ok(context.per_thread_stream().synchronize()?)
}

fn default_and_thread() -> Outcome {
    let context = CudaContext::new(0)?;
    let (thread, default) = (context.per_thread_stream(), context.default_stream());
    for (held, other) in [(&thread, &default), (&default, &thread)] {
        let gate = Gate::close(held)?;
        let behind = mark(other)?;
        same(behind.try_is_complete()?, false)?;
        gate.open();
        other.synchronize()?;
        same(behind.try_is_complete()?, true)?;
    }
    Ok(())
}

fn context_waits() -> Outcome {
    let (first, second) = two_streams()?;
    let context = first.context().clone();
    let gates = [Gate::close(&first)?, Gate::close(&second)?];
    let events = [mark(&first)?, mark(&second)?];
    let opener = std::thread::spawn(move || gates.into_iter().for_each(Gate::open));
    context.synchronize()?;
    holds(events.iter().all(CudaEvent::is_complete), "both streams are done")?;
    opener.join().map_err(|_| "the other thread panicked".into())
}

fn dropped_stream() -> Outcome {
    let (first, second) = two_streams()?;
    let context = first.context().clone();
    let gate = Gate::close(&first)?;
    let behind = mark(&first)?;
    drop(first);
    second.wait(&behind)?;
    same(behind.try_is_complete()?, false)?;
    gate.open();
    second.synchronize()?;
    same(behind.try_is_complete()?, true)?;
    Ok(context.check_err()?)
}

fn dropped_slice() -> Outcome {
    let (first, second) = two_streams()?;
    let context = first.context().clone();
    let mut other = second.alloc_zeros::<u32>(3)?;
    let mut slice = first.alloc_zeros::<u32>(3)?;
    let gate = Gate::close(&first)?;
    first.memcpy_htod(&[7, 8, 9], &mut slice)?;
    second.memcpy_dtod(&slice, &mut other)?;
    drop(slice);
    gate.open();
    same(second.clone_dtoh(&other)?, vec![7, 8, 9])?;
    context.synchronize()?;
    Ok(context.check_err()?)
}

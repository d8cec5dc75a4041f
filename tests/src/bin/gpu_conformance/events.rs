//! Events, and the times between them.

use cudarc::driver::CudaContext;
use cudarc::driver::sys::{CUevent_flags, CUresult};

use super::Case;
use super::check::{Outcome, holds, refused, same};
use super::kernels::{ONE, kernel, launch};

pub(super) const CASES: &[Case] = &[
    ("an_event_that_was_never_recorded_is_complete", never_recorded),
    ("an_event_is_complete_when_the_work_before_it_is_done", complete),
    ("time_between_events_is_that_of_the_work", elapsed),
    ("events_without_times_have_none_between_them", without_times),
    ("an_event_that_was_never_recorded_has_no_time", no_time),
    ("a_launch_can_be_timed", timed_launch),
];

const TIMED: Option<CUevent_flags> = Some(CUevent_flags::CU_EVENT_DEFAULT);

fn never_recorded() -> Outcome {
    let event = CudaContext::new(0)?.new_event(None)?;
    same((event.try_is_complete()?, event.is_complete()), (true, true))?;
    Ok(event.synchronize()?)
}

fn complete() -> Outcome {
    let context = CudaContext::new(0)?;
    let stream = context.new_stream()?;
    let before = stream.record_event(None)?;
    launch(&stream, "long")?;
    let behind = stream.record_event(None)?;
    same((behind.try_is_complete()?, behind.is_complete()), (false, false))?;
    before.synchronize()?;
    behind.synchronize()?;
    same((behind.try_is_complete()?, before.try_is_complete()?), (true, true))
}

#[expect(clippy::print_stdout, reason = "for who has started it, who knows what really happened")]
fn elapsed() -> Outcome {
    let context = CudaContext::new(0)?;
    let stream = context.new_stream()?;
    // The kernel's code is loaded: between the events is its run.
    let kernel = kernel(&context, "known")?;
    let begin = stream.record_event(TIMED)?;
    // SAFETY: the kernel takes nothing and does nothing.
    unsafe { stream.launch_builder(&kernel).launch(ONE)? };
    let end = stream.record_event(TIMED)?;
    // This waits for both.
    let ms = begin.elapsed_ms(&end)?;
    holds(begin.is_complete() && end.is_complete(), "both are complete")?;
    holds(end.elapsed_ms(&begin)? < 0.0, "the other way it is negative")?;
    println!("seen time_between_events_is_that_of_the_work ms {ms}");
    Ok(())
}

fn without_times() -> Outcome {
    let stream = CudaContext::new(0)?.new_stream()?;
    let (without, with) = (stream.record_event(None)?, stream.record_event(TIMED)?);
    refused(without.elapsed_ms(&with), CUresult::CUDA_ERROR_INVALID_HANDLE)?;
    refused(with.elapsed_ms(&without), CUresult::CUDA_ERROR_INVALID_HANDLE)
}

fn no_time() -> Outcome {
    let context = CudaContext::new(0)?;
    let stream = context.new_stream()?;
    let (never, recorded) = (context.new_event(TIMED)?, stream.record_event(TIMED)?);
    refused(never.elapsed_ms(&recorded), CUresult::CUDA_ERROR_INVALID_HANDLE)
}

fn timed_launch() -> Outcome {
    let context = CudaContext::new(0)?;
    let stream = context.new_stream()?;
    let kernel = kernel(&context, "known")?;
    let mut builder = stream.launch_builder(&kernel);
    builder.record_kernel_launch(CUevent_flags::CU_EVENT_DEFAULT);
    // SAFETY: the kernel takes nothing and does nothing.
    let (begin, end) = unsafe { builder.launch(ONE)? }.ok_or("there are no events")?;
    holds(3.0 <= begin.elapsed_ms(&end)?, "the kernel takes 3 ms")?;
    // SAFETY: the same.
    let events = unsafe { stream.launch_builder(&kernel).launch(ONE)? };
    holds(events.is_none(), "events come where they are asked for")
}

//! Functions of the program in the order of a stream.

use cudarc::driver::sys::CUresult;
use cudarc::driver::{CudaContext, result};

use super::Case;
use super::check::{Outcome, holds, same};
use super::gate::{Gate, answers, call};
use super::kernels::launch;

pub(super) const CASES: &[Case] = &[
    ("an_event_behind_a_host_function_waits_for_its_return", event),
    ("a_host_function_takes_its_turn_between_kernels", turn),
    ("host_functions_of_a_stream_run_in_its_order", in_order),
    ("a_host_function_sees_what_was_copied_before_it", sees),
    ("what_a_host_function_writes_is_copied_after_it", writes),
    ("a_copy_to_pageable_memory_returns_when_it_is_done", waits_for_copy),
    ("a_small_copy_from_pageable_memory_is_taken_over", taken_over),
    ("a_host_function_runs_on_a_thread_of_the_driver", other_thread),
    ("a_host_function_may_not_call_the_driver", not_permitted),
];

fn event() -> Outcome {
    let stream = CudaContext::new(0)?.new_stream()?;
    let gate = Gate::close(&stream)?;
    let event = stream.record_event(None)?;
    same((event.try_is_complete()?, event.is_complete()), (false, false))?;
    gate.open();
    event.synchronize()?;
    same((event.try_is_complete()?, event.is_complete()), (true, true))
}

/// Of this one the log is looked at.
fn turn() -> Outcome {
    let context = CudaContext::new(0)?;
    let (stream, other) = (context.new_stream()?, context.new_stream()?);
    launch(&stream, "known")?;
    let (said, heard) = answers();
    let gate = {
        let (send, receive) = answers::<()>();
        call(&stream, move || {
            _ = receive.recv();
            _ = said.send(());
        })?;
        send
    };
    // All of this is submitted while the function waits for it to be.
    launch(&stream, "known")?;
    let slice = stream.clone_htod(&[4_u32; 16])?;
    let behind = stream.record_event(None)?;
    other.wait(&behind)?;
    launch(&other, "known")?;
    holds(heard.try_recv().is_err(), "the function waits")?;
    drop(gate);
    other.synchronize()?;
    holds(heard.try_recv().is_ok(), "the function has returned")?;
    same(other.clone_dtoh(&slice)?, vec![4; 16])
}

fn in_order() -> Outcome {
    let stream = CudaContext::new(0)?.new_stream()?;
    let (said, heard) = answers();
    let gate = Gate::close(&stream)?;
    for number in 0..20 {
        let said = said.clone();
        call(&stream, move || _ = said.send(number))?;
    }
    drop(said);
    holds(heard.try_recv().is_err(), "the first one holds the others")?;
    gate.open();
    stream.synchronize()?;
    same(heard.try_iter().collect::<Vec<_>>(), (0..20).collect())
}

/// Address of memory that a function of the stream uses while the case waits for it.
#[derive(Clone, Copy)]
struct Shared(*mut u32);

// SAFETY: only one of the two uses the memory at a time: the stream's order says which.
unsafe impl Send for Shared {}

impl Shared {
    fn get(self) -> *mut u32 {
        self.0
    }
}

fn sees() -> Outcome {
    let context = CudaContext::new(0)?;
    let stream = context.new_stream()?;
    // SAFETY: it is written by the copy before it is read.
    let mut down = unsafe { context.alloc_pinned::<u32>(1)? };
    let shared = Shared(down.as_mut_ptr()?);
    let slice = stream.clone_htod(&[77_u32])?;
    stream.memcpy_dtoh(&slice, &mut down)?;
    let (said, heard) = answers();
    // SAFETY: the copy before has written it, and the memory is there until the stream is done.
    call(&stream, move || _ = said.send(unsafe { shared.get().read() }))?;
    stream.synchronize()?;
    same(heard.try_recv()?, 77)
}

fn writes() -> Outcome {
    let context = CudaContext::new(0)?;
    let stream = context.new_stream()?;
    // SAFETY: it is written here.
    let mut up = unsafe { context.alloc_pinned::<u32>(1)? };
    up.as_mut_slice()?[0] = 1;
    let shared = Shared(up.as_mut_ptr()?);
    let mut slice = stream.alloc_zeros::<u32>(1)?;
    let gate = Gate::close(&stream)?;
    // SAFETY: nobody else uses the memory before the stream is done, which the case waits for.
    call(&stream, move || unsafe { shared.get().write(2) })?;
    stream.memcpy_htod(&up, &mut slice)?;
    gate.open();
    stream.synchronize()?;
    same(stream.clone_dtoh(&slice)?, vec![2])
}

fn waits_for_copy() -> Outcome {
    let stream = CudaContext::new(0)?.new_stream()?;
    let mut slice = stream.alloc_zeros::<u32>(2)?;
    let gate = Gate::close(&stream)?;
    stream.memcpy_htod(&[5, 6], &mut slice)?;
    let opener = std::thread::spawn(move || gate.open());
    let mut found = [0; 2];
    stream.memcpy_dtoh(&slice, &mut found)?;
    // Nothing else is waited for.
    same(found, [5, 6])?;
    opener.join().map_err(|_| "the other thread panicked".into())
}

fn taken_over() -> Outcome {
    let stream = CudaContext::new(0)?.new_stream()?;
    let mut slice = stream.alloc_zeros::<u32>(3)?;
    let mut values = vec![1, 2, 3];
    let gate = Gate::close(&stream)?;
    stream.memcpy_htod(&values, &mut slice)?;
    values.fill(9);
    gate.open();
    same((stream.clone_dtoh(&slice)?, values), (vec![1, 2, 3], vec![9; 3]))
}

fn other_thread() -> Outcome {
    let stream = CudaContext::new(0)?.new_stream()?;
    let (said, heard) = answers();
    call(&stream, move || _ = said.send(std::thread::current().id()))?;
    stream.synchronize()?;
    holds(heard.try_recv()? != std::thread::current().id(), "another thread has run it")
}

fn not_permitted() -> Outcome {
    let stream = CudaContext::new(0)?.new_stream()?;
    let (said, heard) = answers();
    call(&stream, move || _ = said.send(result::device::get_count().map_err(|error| error.0)))?;
    stream.synchronize()?;
    same(heard.try_recv()?, Err(CUresult::CUDA_ERROR_NOT_PERMITTED))
}

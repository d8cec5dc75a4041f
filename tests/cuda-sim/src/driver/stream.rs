//! Streams.

use std::ffi::{c_int, c_uint};

use super::call::{Function, call, put};
use super::context::wait;
use super::handles::{self, Handle};
use crate::cupti::records::{Kind, Record, StreamFlag, WaitsFor};
use crate::device::{Sort, StreamId};
use crate::engine::Interval;
use crate::error::Error;
use crate::sim::Sim;

/// Asks for a stream that the legacy one does not wait for.
const NON_BLOCKING: c_uint = 1;

/// Makes a stream.
#[unsafe(no_mangle)]
extern "C" fn cuStreamCreate(to: *mut Handle, flags: c_uint) -> c_int {
    call(Function::new(0, c"cuStreamCreate"), |call| {
        let sort = if flags & NON_BLOCKING == 0 { Sort::Blocking } else { Sort::NonBlocking };
        let id = call.sim.machine().device.open_stream(sort);
        let flag = match sort {
            Sort::Blocking => StreamFlag::Blocking,
            Sort::NonBlocking => StreamFlag::NonBlocking,
        };
        tell(call.sim, id, flag, call.correlation);
        put(to, handles::of_stream(id))
    })
}

/// CUPTI is told of a stream.
pub(super) fn tell(sim: &Sim, stream: StreamId, flag: StreamFlag, correlation: u32) {
    let (version, place) = (sim.settings.version, sim.place(stream, correlation));
    sim.cupti.add(Kind::Stream, sim.clock.now(), sim.options(), move |_| {
        Record::stream(version, place, flag)
    });
}

/// Makes a stream; priorities make no difference here.
#[unsafe(no_mangle)]
extern "C" fn cuStreamCreateWithPriority(
    to: *mut Handle,
    flags: c_uint,
    _priority: c_int,
) -> c_int {
    cuStreamCreate(to, flags)
}

/// Forgets a stream.
#[unsafe(no_mangle)]
extern "C" fn cuStreamDestroy_v2(stream: Handle) -> c_int {
    call(Function::new(0, c"cuStreamDestroy"), |call| {
        let mut machine = call.sim.machine();
        let id = handles::stream(&mut machine, stream)?;
        Ok(machine.device.close_stream(id)?)
    })
}

/// Waits for a stream.
#[unsafe(no_mangle)]
extern "C" fn cuStreamSynchronize(stream: Handle) -> c_int {
    call(Function::new(126, c"cuStreamSynchronize"), |call| {
        let begin = call.now();
        let (id, newest) = {
            let mut machine = call.sim.machine();
            let id = handles::stream(&mut machine, stream)?;
            machine.graphs.refuse_while_captured(id)?;
            (id, machine.device.newest())
        };
        let end = {
            let machine = call.sim.machine_when(|it| !it.device.is_held(Some(id), newest));
            machine.device.end_of(id)?
        };
        let times = Interval { start: begin, end };
        wait(call, WaitsFor::Stream, call.sim.place(id, call.correlation), (0, 0), times);
        Ok(())
    })
}

/// Whether a stream is done.
#[unsafe(no_mangle)]
extern "C" fn cuStreamQuery(stream: Handle) -> c_int {
    call(Function::new(0, c"cuStreamQuery"), |call| {
        let mut machine = call.sim.machine();
        let id = handles::stream(&mut machine, stream)?;
        machine.graphs.refuse_while_captured(id)?;
        let device = &machine.device;
        let is_done =
            device.end_of(id)? <= call.now() && !device.is_held(Some(id), device.newest());
        is_done.then_some(()).ok_or(Error::NotReady)
    })
}

/// Lets a stream wait for an event.
#[unsafe(no_mangle)]
extern "C" fn cuStreamWaitEvent(stream: Handle, event: Handle, _flags: c_uint) -> c_int {
    call(Function::new(295, c"cuStreamWaitEvent"), |call| {
        let sim = call.sim;
        let mut machine = sim.machine();
        let (id, event) = (handles::stream(&mut machine, stream)?, handles::event(event)?);
        if machine.graphs.join(id, event)? {
            return Ok(());
        }
        let submitted = machine.device.wait(id, event, call.now())?;
        let times = machine.device.records_of(event)?;
        machine.when_placed(submitted, move |_, placed| {
            sim.truth.write(format_args!(
                "\"op\":\"wait\",\"corr\":{},\"thread\":{},\"host\":{},\"stream\":{},\"event\":{},\"at\":{},\
                 \"stall_ns\":{}",
                call.correlation,
                call.thread,
                call.begin,
                id.0,
                event.0,
                placed.runs.start,
                placed.runs.start.saturating_sub(placed.ready)
            ));
        });
        drop(machine);
        let (version, place) = (sim.settings.version, sim.place(id, call.correlation));
        let took = Interval { start: call.begin, end: call.now() };
        sim.cupti.add(Kind::Synchronization, took.end, sim.options(), move |stamps| {
            let times_of_call = stamps.interval(took);
            Record::wait(version, WaitsFor::StreamForEvent, times_of_call, place, (event.0, times))
        });
        Ok(())
    })
}

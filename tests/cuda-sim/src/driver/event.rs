//! Events.

use std::ffi::{c_int, c_uint};

use super::call::{Function, call, put};
use super::context::wait;
use super::handles::{self, Handle};
use crate::cupti::records::{Kind, Record, WaitsFor};
use crate::device::{LEGACY, Moment};
use crate::engine::Interval;
use crate::error::Error;

/// Asks for an event without a time.
const DISABLE_TIMING: c_uint = 2;

/// Makes an event.
#[unsafe(no_mangle)]
extern "C" fn cuEventCreate(to: *mut Handle, flags: c_uint) -> c_int {
    call(Function::new(118, c"cuEventCreate"), |call| {
        let has_time = flags & DISABLE_TIMING == 0;
        put(to, handles::of_event(call.sim.machine().device.open_event(has_time)))
    })
}

/// Forgets an event.
#[unsafe(no_mangle)]
extern "C" fn cuEventDestroy_v2(event: Handle) -> c_int {
    call(Function::new(325, c"cuEventDestroy"), |call| {
        let event = handles::event(event)?;
        let mut machine = call.sim.machine();
        machine.graphs.forget(event);
        Ok(machine.device.close_event(event)?)
    })
}

/// An event happens when the stream has done all that it was given.
#[unsafe(no_mangle)]
extern "C" fn cuEventRecord(event: Handle, stream: Handle) -> c_int {
    call(Function::new(119, c"cuEventRecord"), |call| {
        let sim = call.sim;
        let mut machine = sim.machine();
        let (event, id) = (handles::event(event)?, handles::stream(&mut machine, stream)?);
        if machine.graphs.mark(event, id) {
            return Ok(());
        }
        let submitted = machine.device.record(event, id, call.now())?;
        let times = machine.device.records_of(event)?;
        machine.when_placed(submitted, move |_, placed| {
            let at = placed.runs.start;
            sim.truth.write(format_args!(
                "\"op\":\"record\",\"corr\":{},\"thread\":{},\"host\":{},\"stream\":{},\"event\":{},\"at\":{at}",
                call.correlation, call.thread, call.begin, id.0, event.0
            ));
            let (version, place) = (sim.settings.version, sim.place(id, call.correlation));
            sim.cupti.add(Kind::CudaEvent, at, sim.options(), move |_| {
                Record::event(version, place, event.0, times)
            });
        });
        Ok(())
    })
}

/// Whether an event has happened.
#[unsafe(no_mangle)]
extern "C" fn cuEventQuery(event: Handle) -> c_int {
    call(Function::new(120, c"cuEventQuery"), |call| {
        let event = handles::event(event)?;
        let mut machine = call.sim.machine();
        machine.graphs.refuse_if_marked(event)?;
        let moment = machine.device.time_of(event)?;
        let has_happened = matches!(moment, Moment::At(at) if at <= call.now());
        has_happened.then_some(()).ok_or(Error::NotReady)
    })
}

/// Waits for an event.
#[unsafe(no_mangle)]
extern "C" fn cuEventSynchronize(event: Handle) -> c_int {
    call(Function::new(121, c"cuEventSynchronize"), |call| {
        let event = handles::event(event)?;
        let begin = call.now();
        let (moment, times) = {
            let mut machine = call.sim.machine();
            machine.graphs.refuse_if_marked(event)?;
            (machine.device.time_of(event)?, machine.device.records_of(event)?)
        };
        let end = match moment {
            Moment::At(at) => at,
            Moment::Held(ticket) => {
                let machine = call.sim.machine_when(|it| !it.device.is_waiting(ticket));
                // Another thread may have recorded it again, or have forgotten it: what was waited for has happened.
                match machine.device.time_of(event) {
                    Ok(Moment::At(at)) => at,
                    _ => call.now(),
                }
            }
        };
        let place = call.sim.place(LEGACY, call.correlation);
        wait(call, WaitsFor::Event, place, (event.0, times), Interval { start: begin, end });
        Ok(())
    })
}

/// Milliseconds between two events.
#[unsafe(no_mangle)]
extern "C" fn cuEventElapsedTime(to: *mut f32, begin: Handle, end: Handle) -> c_int {
    call(Function::new(0, c"cuEventElapsedTime"), |call| {
        let (begin, end) = (handles::event(begin)?, handles::event(end)?);
        let ns = call.sim.machine().device.elapsed(begin, end, call.now())?;
        #[expect(clippy::cast_possible_truncation, reason = "the type of the C interface")]
        put(to, (ns as f64 / 1e6) as f32)
    })
}

/// The same; drivers have it since 12.8.
#[unsafe(no_mangle)]
extern "C" fn cuEventElapsedTime_v2(to: *mut f32, begin: Handle, end: Handle) -> c_int {
    cuEventElapsedTime(to, begin, end)
}

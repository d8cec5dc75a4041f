//! Contexts: each device has one, and each thread a current one.

use std::cell::RefCell;
use std::ffi::{c_int, c_uint};
use std::sync::Once;

use super::call::{Call, Function, call, put};
use super::handles::{self, Handle};
use super::stream::tell;
use crate::cupti::records::{Kind, Place, Record, StreamFlag, WaitsFor};
use crate::device::LEGACY;
use crate::engine::Interval;
use crate::error::Error;

/// The first context is made, and comes with its legacy stream.
static FIRST: Once = Once::new();

thread_local! {
    /// Contexts of the calling thread, the current one last; 0 for none.
    static CURRENT: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
}

fn current() -> Handle {
    CURRENT.try_with(|all| all.borrow().last().copied()).ok().flatten().unwrap_or(0)
}

/// The context of a device, which everybody shares.
#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRetain(to: *mut Handle, device: c_int) -> c_int {
    call(Function::new(0, c"cuDevicePrimaryCtxRetain"), |call| {
        let ordinal = u32::try_from(device).ok().filter(|&it| it < call.sim.settings.devices);
        let context = handles::of_context(ordinal.ok_or(Error::InvalidDevice)?);
        FIRST.call_once(|| tell(call.sim, LEGACY, StreamFlag::Legacy, call.correlation));
        put(to, context)
    })
}

/// Whether the context of a device was made.
#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxGetState(
    device: c_int,
    flags: *mut c_uint,
    active: *mut c_int,
) -> c_int {
    call(Function::new(0, c"cuDevicePrimaryCtxGetState"), |call| {
        let ordinal = u32::try_from(device).ok();
        ordinal.filter(|&it| it < call.sim.settings.devices).ok_or(Error::InvalidDevice)?;
        put(flags, 0)?;
        put(active, c_int::from(FIRST.is_completed()))
    })
}

/// Nothing is counted: the context lives as long as the process.
#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRelease_v2(_device: c_int) -> c_int {
    call(Function::new(0, c"cuDevicePrimaryCtxRelease"), |_| Ok(()))
}

/// How a thread waits makes no difference here.
#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxSetFlags_v2(_device: c_int, _flags: c_uint) -> c_int {
    call(Function::new(0, c"cuDevicePrimaryCtxSetFlags"), |_| Ok(()))
}

/// How a thread waits makes no difference here.
#[unsafe(no_mangle)]
extern "C" fn cuCtxSetFlags(_flags: c_uint) -> c_int {
    call(Function::new(0, c"cuCtxSetFlags"), |_| Ok(()))
}

/// The context of the calling thread; 0 for none.
#[unsafe(no_mangle)]
extern "C" fn cuCtxGetCurrent(to: *mut Handle) -> c_int {
    call(Function::new(304, c"cuCtxGetCurrent"), |_| put(to, current()))
}

/// Makes a context that of the calling thread.
#[unsafe(no_mangle)]
extern "C" fn cuCtxSetCurrent(context: Handle) -> c_int {
    call(Function::new(303, c"cuCtxSetCurrent"), |_| {
        if context != 0 {
            handles::context(context)?;
        }
        _ = CURRENT.try_with(|all| {
            let mut all = all.borrow_mut();
            all.pop();
            all.push(context);
        });
        Ok(())
    })
}

/// Lays a context upon that of the calling thread.
#[unsafe(no_mangle)]
extern "C" fn cuCtxPushCurrent_v2(context: Handle) -> c_int {
    call(Function::new(0, c"cuCtxPushCurrent"), |_| {
        handles::context(context)?;
        _ = CURRENT.try_with(|all| all.borrow_mut().push(context));
        Ok(())
    })
}

/// Takes it off again.
#[unsafe(no_mangle)]
extern "C" fn cuCtxPopCurrent_v2(to: *mut Handle) -> c_int {
    call(Function::new(0, c"cuCtxPopCurrent"), |_| {
        let context = CURRENT.try_with(|all| all.borrow_mut().pop()).ok().flatten();
        let context = context.ok_or(Error::InvalidContext)?;
        if to.is_null() { Ok(()) } else { put(to, context) }
    })
}

/// The device of the current context.
#[unsafe(no_mangle)]
extern "C" fn cuCtxGetDevice(to: *mut c_int) -> c_int {
    call(Function::new(0, c"cuCtxGetDevice"), |_| {
        put(to, handles::context(current())?.cast_signed())
    })
}

/// Waits for everything.
#[unsafe(no_mangle)]
extern "C" fn cuCtxSynchronize() -> c_int {
    call(Function::new(17, c"cuCtxSynchronize"), |call| {
        handles::context(current())?;
        let begin = call.now();
        let newest = call.sim.machine().device.newest();
        let end = call.sim.machine_when(|it| !it.device.is_held(None, newest)).device.end();
        let place = call.sim.place(LEGACY, call.correlation);
        wait(call, WaitsFor::Context, place, (0, 0), Interval { start: begin, end });
        Ok(())
    })
}

/// Lets the host wait until the end of this, and says so in the log and in a record.
pub(super) fn wait(
    call: Call,
    for_: WaitsFor,
    place: Place,
    event: (u32, u64),
    Interval { start, end }: Interval,
) {
    let sim = call.sim;
    sim.clock.wait_until(end);
    let times = Interval { start, end: call.now() };
    let of = match for_ {
        WaitsFor::Event => "event",
        WaitsFor::Stream => "stream",
        WaitsFor::Context => "context",
        WaitsFor::StreamForEvent => "stream for event",
    };
    sim.truth.write(format_args!(
        "\"op\":\"sync\",\"corr\":{},\"thread\":{},\"host\":{},\"of\":\"{of}\",\"stream\":{},\"begin\":{},\"end\":{}",
        call.correlation,
        call.thread,
        call.begin,
        place.stream,
        times.start,
        times.end
    ));
    let version = sim.settings.version;
    sim.cupti.add(Kind::Synchronization, times.end, sim.options(), move |stamps| {
        Record::wait(version, for_, stamps.interval(times), place, event)
    });
}

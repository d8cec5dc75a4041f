//! What every function of the driver does: it takes a number, passes time, and leaves records.

use std::ffi::CStr;
use std::sync::atomic::Ordering::Relaxed;

use crate::cupti::records::Called;
use crate::engine::{Interval, Ns};
use crate::error::Error;
use crate::sim::{Sim, sim};

/// A function of the driver: CUPTI's number for it, 0 where it has none that anybody asks for, and its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Function {
    pub(crate) cbid: u32,
    pub(crate) name: &'static CStr,
    /// Host time of a call.
    pub(crate) ns: Ns,
}

impl Function {
    /// One that takes the usual time.
    pub(crate) fn new(cbid: u32, name: &'static CStr) -> Self {
        Self { cbid, name, ns: sim().settings.call_ns }
    }

    /// One that takes so long.
    pub(crate) fn taking(self, ns: Ns) -> Self {
        Self { ns, ..self }
    }
}

/// A call that is being made.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) sim: &'static Sim,
    /// Ties what it submits to it.
    pub(crate) correlation: u32,
    /// When it was made.
    pub(crate) begin: Ns,
    /// The kernel's number of the thread that makes it.
    pub(crate) thread: u32,
}

impl Call {
    pub(crate) fn now(self) -> Ns {
        self.sim.clock.now()
    }
}

/// Makes a call; returns the driver's code.
pub(crate) fn call(function: Function, body: impl FnOnce(Call) -> Result<(), Error>) -> i32 {
    let sim = sim();
    if !sim.is_ready.load(Relaxed) {
        return Error::NotInitialized as i32;
    }
    if super::host::is_within() {
        return Error::NotPermitted as i32;
    }
    any_time(function, body)
}

/// Makes a call that may come before `cuInit`.
pub(crate) fn any_time(function: Function, body: impl FnOnce(Call) -> Result<(), Error>) -> i32 {
    let sim = sim();
    if sim.settings.is_traced {
        trace(&function.name.to_string_lossy());
    }
    let (correlation, begin) = (sim.next_correlation(), sim.clock.now());
    let call = Call { sim, correlation, begin, thread: thread_id() };
    let mut data = 0;
    sim.listeners.tell(function.cbid, function.name, call.correlation, &mut data, None);
    sim.clock.spend(function.ns);
    let returned = body(call).map_or_else(|error| error as i32, |()| 0);
    sim.listeners.tell(function.cbid, function.name, call.correlation, &mut data, Some(returned));
    let times = Interval { start: call.begin, end: sim.clock.now() };
    let called = Called {
        cbid: function.cbid,
        process: std::process::id(),
        thread: call.thread,
        correlation: call.correlation,
        returned,
    };
    if function.cbid != 0 {
        sim.cupti.add_call(sim.settings.version, times, called, sim.options());
    }
    returned
}

#[expect(clippy::print_stderr, reason = "what `trace=1` asks for")]
fn trace(name: &str) {
    eprintln!("cuda-sim: {name}");
}

/// The kernel's number of the calling thread.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: takes nothing, and cannot fail.
    unsafe { libc::gettid() }.cast_unsigned()
}

/// Writes a result to where the caller wants it.
///
/// # Errors
/// It wants it nowhere.
pub(crate) fn put<T>(to: *mut T, value: T) -> Result<(), Error> {
    if to.is_null() {
        return Err(Error::InvalidValue);
    }
    // SAFETY: by the C interface a pointer to a result is null, which was looked at, or leads to room for it.
    unsafe { to.write(value) };
    Ok(())
}

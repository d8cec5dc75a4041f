//! Functions of the program that streams call. A thread of the driver runs them one after the other, as their turns come: the real
//! one may do so too.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use super::call::{Function, call};
use super::handles::{self, Handle};
use super::work::{Job, submit};
use crate::engine::Interval;
use crate::error::Error;
use crate::sim::sim;

thread_local! {
    static IS_WITHIN: Cell<bool> = const { Cell::new(false) };
}

/// A function of the program.
#[derive(Clone, Copy, Debug)]
pub struct HostFunction {
    function: unsafe extern "C" fn(*mut c_void),
    argument: usize,
}

/// Whether the calling thread runs a host function, which may not call the driver.
pub(super) fn is_within() -> bool {
    IS_WITHIN.try_with(Cell::get).unwrap_or(false)
}

/// Launches a host function: called when all is done that the stream has been given; what it is given later waits for its return.
/// In a captured stream it becomes a node of the graph, and is called at each launch.
///
/// # Safety
/// `function` is null, or may be called once with `argument`, at any time, from any thread; for each launch of a graph once more.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuLaunchHostFunc(
    stream: Handle,
    function: Option<unsafe extern "C" fn(*mut c_void)>,
    argument: *mut c_void,
) -> c_int {
    call(Function::new(527, c"cuLaunchHostFunc"), |call| {
        let function = function.ok_or(Error::InvalidValue)?;
        start()?;
        let job = Job::Host(HostFunction { function, argument: argument as usize });
        let returns = {
            let mut machine = call.sim.machine();
            let id = handles::stream(&mut machine, stream)?;
            submit(call, &mut machine, id, job)?
        };
        returns.wait(call.sim);
        Ok(())
    })
}

/// Starts the thread that runs host functions, once.
fn start() -> Result<(), Error> {
    static IS_STARTED: OnceLock<bool> = OnceLock::new();
    let is_started = IS_STARTED.get_or_init(|| {
        let thread = std::thread::Builder::new().name("cuda-sim host".to_owned());
        thread.spawn(run_all).is_ok()
    });
    is_started.then_some(()).ok_or(Error::Unknown)
}

/// As long as the process lives.
fn run_all() {
    _ = IS_WITHIN.try_with(|is_within| is_within.set(true));
    let sim = sim();
    loop {
        let (ticket, ready, HostFunction { function, argument }) = sim.next_function();
        let start = sim.clock.now_since(ready);
        // SAFETY: who launched it has promised `cuLaunchHostFunc` that it may be called so, and each launch is taken once.
        unsafe { function(argument as *mut c_void) };
        sim.finish(ticket, Interval { start, end: sim.clock.now_since(start) });
    }
}

//! Launches of kernels.

use std::ffi::{CStr, c_int, c_uint, c_void};

use super::call::{Call, Function, call};
use super::handles::{self, Handle};
use super::work::{Job, submit};
use crate::error::Error;
use crate::model::Shape;
use crate::sim::sim;

/// Threads of a block at most.
const MOST_THREADS: u32 = 1024;

/// The description of a launch in the C interface.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct LaunchConfig {
    grid: [c_uint; 3],
    block: [c_uint; 3],
    shared_bytes: c_uint,
    stream: Handle,
    attributes: *mut c_void,
    count: c_uint,
}

fn launches(cbid: u32, name: &'static CStr) -> Function {
    Function::new(cbid, name).taking(sim().settings.launch_ns)
}

fn launch(
    call: Call,
    kernel: Handle,
    shape: Shape,
    shared_bytes: u32,
    stream: Handle,
) -> Result<(), Error> {
    let threads = shape.block.into_iter().try_fold(1_u32, u32::checked_mul);
    let is_possible = threads.is_some_and(|it| (1..=MOST_THREADS).contains(&it))
        && shape.grid.iter().all(|&blocks| 0 < blocks);
    if !is_possible {
        return Err(Error::InvalidValue);
    }
    let returns = {
        let mut machine = call.sim.machine();
        let id = handles::stream(&mut machine, stream)?;
        let kernel = machine.modules.kernel(kernel)?;
        let job = Job::Kernel { name: kernel.name, cost: kernel.cost, shape, shared_bytes };
        submit(call, &mut machine, id, job)?
    };
    // A stream takes so many only; else at once.
    returns.wait(call.sim);
    Ok(())
}

/// Launches a kernel. Its parameters are not looked at: nothing is computed.
#[unsafe(no_mangle)]
extern "C" fn cuLaunchKernel(
    kernel: Handle,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared_bytes: c_uint,
    stream: Handle,
    _parameters: *mut *mut c_void,
    _extra: *mut *mut c_void,
) -> c_int {
    call(launches(307, c"cuLaunchKernel"), |call| {
        let shape = Shape { grid: [grid_x, grid_y, grid_z], block: [block_x, block_y, block_z] };
        launch(call, kernel, shape, shared_bytes, stream)
    })
}

/// Launches a kernel whose blocks may wait for each other.
#[unsafe(no_mangle)]
extern "C" fn cuLaunchCooperativeKernel(
    kernel: Handle,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared_bytes: c_uint,
    stream: Handle,
    _parameters: *mut *mut c_void,
) -> c_int {
    call(launches(0, c"cuLaunchCooperativeKernel"), |call| {
        let shape = Shape { grid: [grid_x, grid_y, grid_z], block: [block_x, block_y, block_z] };
        launch(call, kernel, shape, shared_bytes, stream)
    })
}

/// Launches a kernel as a description says.
///
/// # Safety
/// `config` is null or leads to a description.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuLaunchKernelEx(
    config: *const LaunchConfig,
    kernel: Handle,
    _parameters: *mut *mut c_void,
    _extra: *mut *mut c_void,
) -> c_int {
    call(launches(652, c"cuLaunchKernelEx"), |call| {
        // SAFETY: says the caller.
        let config = unsafe { config.as_ref() }.ok_or(Error::InvalidValue)?;
        let shape = Shape { grid: config.grid, block: config.block };
        launch(call, kernel, shape, config.shared_bytes, config.stream)
    })
}

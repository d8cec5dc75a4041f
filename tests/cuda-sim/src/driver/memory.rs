//! Memory, copies, and setting memory.

use std::ffi::{CStr, c_int, c_uchar, c_uint, c_void};

use super::call::{Call, Function, call, put};
use super::handles::{self, Handle};
use super::work::{Job, submit};
use crate::device::{Direction, LEGACY, StreamId, Work};
use crate::error::Error;
use crate::memory::Whose;
use crate::sim::{Machine, sim};

fn allocates(cbid: u32, name: &'static CStr) -> Function {
    Function::new(cbid, name).taking(sim().settings.alloc_ns)
}

/// Memory of the device. Returns when everything that was submitted is done, as the real one may.
#[unsafe(no_mangle)]
extern "C" fn cuMemAlloc_v2(to: *mut u64, bytes: usize) -> c_int {
    call(allocates(243, c"cuMemAlloc"), |call| {
        let all = call.sim.settings.memory;
        put(to, call.sim.machine().memory.allocate(bytes, all)?)
    })
}

/// Gives it back, when everything that was submitted is done.
#[unsafe(no_mangle)]
extern "C" fn cuMemFree_v2(address: u64) -> c_int {
    call(allocates(245, c"cuMemFree"), |call| {
        let newest = {
            let machine = call.sim.machine();
            machine.memory.is_given_out(address).then_some(()).ok_or(Error::InvalidValue)?;
            machine.device.newest()
        };
        let end = {
            let is_done = |machine: &Machine| !machine.device.is_held(None, newest);
            let mut machine = call.sim.machine_when(is_done);
            machine.memory.free(address)?;
            machine.device.end()
        };
        call.sim.clock.wait_until(end);
        Ok(())
    })
}

/// Memory of the device in the order of a stream.
#[unsafe(no_mangle)]
extern "C" fn cuMemAllocAsync(to: *mut u64, bytes: usize, stream: Handle) -> c_int {
    call(Function::new(598, c"cuMemAllocAsync"), |call| {
        let all = call.sim.settings.memory;
        let mut machine = call.sim.machine();
        handles::stream(&mut machine, stream)?;
        if !call.sim.settings.has_pools {
            return Err(Error::NotSupported);
        }
        put(to, machine.memory.allocate(bytes, all)?)
    })
}

/// Gives it back in the order of a stream.
#[unsafe(no_mangle)]
extern "C" fn cuMemFreeAsync(address: u64, stream: Handle) -> c_int {
    call(Function::new(600, c"cuMemFreeAsync"), |call| {
        let mut machine = call.sim.machine();
        let id = handles::stream(&mut machine, stream)?;
        machine.memory.is_given_out(address).then_some(()).ok_or(Error::InvalidValue)?;
        let submitted = machine.device.submit(id, call.now(), Work::Mark)?;
        // A program that gives it back twice finds nothing there any more.
        machine.when_placed(submitted, move |memory, _| _ = memory.free(address));
        Ok(())
    })
}

/// Pinned memory of the host.
#[unsafe(no_mangle)]
extern "C" fn cuMemHostAlloc(to: *mut u64, bytes: usize, _flags: c_uint) -> c_int {
    call(allocates(39, c"cuMemHostAlloc"), |call| put(to, call.sim.machine().memory.pin(bytes)?))
}

/// The same.
#[unsafe(no_mangle)]
extern "C" fn cuMemAllocHost_v2(to: *mut u64, bytes: usize) -> c_int {
    cuMemHostAlloc(to, bytes, 0)
}

/// Gives it back.
#[unsafe(no_mangle)]
extern "C" fn cuMemFreeHost(address: u64) -> c_int {
    call(Function::new(0, c"cuMemFreeHost"), |call| call.sim.machine().memory.unpin(address))
}

/// Bytes of the device that are free, and all of them.
#[unsafe(no_mangle)]
extern "C" fn cuMemGetInfo_v2(free: *mut usize, all: *mut usize) -> c_int {
    call(Function::new(0, c"cuMemGetInfo"), |call| {
        let whole = call.sim.settings.memory;
        let left = whole - call.sim.machine().memory.used();
        put(free, usize::try_from(left).unwrap_or(usize::MAX))?;
        put(all, usize::try_from(whole).unwrap_or(usize::MAX))
    })
}

/// A copy as a caller asks for it.
#[derive(Clone, Copy)]
struct Copy {
    to: u64,
    from: u64,
    bytes: usize,
    direction: Direction,
    /// `None`: the legacy stream, and the call returns when the copy is done.
    stream: Option<Handle>,
}

fn copy(function: Function, copy: Copy) -> c_int {
    call(function, |call| {
        if copy.bytes == 0 {
            return Ok(());
        }
        let returns = {
            let mut machine = call.sim.machine();
            let stream = match copy.stream {
                Some(handle) => handles::stream(&mut machine, handle)?,
                None => LEGACY,
            };
            let job = Job::Copy {
                direction: copy.direction,
                to: copy.to,
                from: copy.from,
                bytes: copy.bytes as u64,
                is_pinned: check(&machine, copy)?,
                is_synchronous: copy.stream.is_none(),
            };
            submit(call, &mut machine, stream, job)?
        };
        returns.wait(call.sim);
        Ok(())
    })
}

/// Whether the host's side is pinned.
fn check(machine: &Machine, copy: Copy) -> Result<bool, Error> {
    let of_device: &[u64] = match copy.direction {
        Direction::HostToDevice => &[copy.to],
        Direction::DeviceToHost => &[copy.from],
        Direction::DeviceToDevice => &[copy.to, copy.from],
    };
    if !of_device.iter().all(|&address| machine.memory.is_of_device(address, copy.bytes)) {
        return Err(Error::InvalidValue);
    }
    Ok(match copy.direction {
        Direction::HostToDevice => machine.memory.whose(copy.from) == Whose::Pinned,
        Direction::DeviceToHost => machine.memory.whose(copy.to) == Whose::Pinned,
        Direction::DeviceToDevice => false,
    })
}

/// To the device.
///
/// # Safety
/// `from` has `bytes` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoD_v2(to: u64, from: *const c_void, bytes: usize) -> c_int {
    let direction = Direction::HostToDevice;
    let from = from as u64;
    copy(Function::new(276, c"cuMemcpyHtoD"), Copy { to, from, bytes, direction, stream: None })
}

/// To the device in the order of a stream.
///
/// # Safety
/// `from` has `bytes` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: u64,
    from: *const c_void,
    bytes: usize,
    stream: Handle,
) -> c_int {
    let (from, stream, direction) = (from as u64, Some(stream), Direction::HostToDevice);
    copy(Function::new(277, c"cuMemcpyHtoDAsync"), Copy { to, from, bytes, direction, stream })
}

/// From the device.
///
/// # Safety
/// There is room for `bytes` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize) -> c_int {
    let direction = Direction::DeviceToHost;
    let to = to as u64;
    copy(Function::new(278, c"cuMemcpyDtoH"), Copy { to, from, bytes, direction, stream: None })
}

/// From the device in the order of a stream.
///
/// # Safety
/// There is room for `bytes` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    to: *mut c_void,
    from: u64,
    bytes: usize,
    stream: Handle,
) -> c_int {
    let (to, stream, direction) = (to as u64, Some(stream), Direction::DeviceToHost);
    copy(Function::new(279, c"cuMemcpyDtoHAsync"), Copy { to, from, bytes, direction, stream })
}

/// Within the device.
#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) -> c_int {
    let direction = Direction::DeviceToDevice;
    copy(Function::new(280, c"cuMemcpyDtoD"), Copy { to, from, bytes, direction, stream: None })
}

/// Within the device in the order of a stream.
#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) -> c_int {
    let (stream, direction) = (Some(stream), Direction::DeviceToDevice);
    copy(Function::new(281, c"cuMemcpyDtoDAsync"), Copy { to, from, bytes, direction, stream })
}

fn set(call: Call, stream: StreamId, to: u64, value: &[u8], count: usize) -> Result<(), Error> {
    let mut machine = call.sim.machine();
    let bytes = value.len() * count;
    if !machine.memory.is_of_device(to, bytes) {
        return Err(Error::InvalidValue);
    }
    let mut word = [0; 4];
    word[..value.len()].copy_from_slice(value);
    let value_and_more = u32::from_ne_bytes(word);
    let job = Job::Set { to, value: value_and_more, width: value.len(), bytes: bytes as u64 };
    let returns = submit(call, &mut machine, stream, job)?;
    drop(machine);
    returns.wait(call.sim);
    Ok(())
}

fn set_in(call: Call, stream: Handle, to: u64, value: &[u8], count: usize) -> Result<(), Error> {
    let id = handles::stream(&mut call.sim.machine(), stream)?;
    set(call, id, to, value, count)
}

/// Sets bytes.
#[unsafe(no_mangle)]
extern "C" fn cuMemsetD8_v2(to: u64, value: c_uchar, count: usize) -> c_int {
    call(Function::new(0, c"cuMemsetD8"), |call| set(call, LEGACY, to, &[value], count))
}

/// Sets bytes in the order of a stream.
#[unsafe(no_mangle)]
extern "C" fn cuMemsetD8Async(to: u64, value: c_uchar, count: usize, stream: Handle) -> c_int {
    call(Function::new(216, c"cuMemsetD8Async"), |call| set_in(call, stream, to, &[value], count))
}

/// Sets words of four bytes in the order of a stream.
#[unsafe(no_mangle)]
extern "C" fn cuMemsetD32Async(to: u64, value: c_uint, count: usize, stream: Handle) -> c_int {
    call(Function::new(0, c"cuMemsetD32Async"), |call| {
        set_in(call, stream, to, &value.to_ne_bytes(), count)
    })
}

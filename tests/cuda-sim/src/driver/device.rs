//! Devices and their properties.

use std::ffi::{c_char, c_int, c_uint};

use super::call::{Function, call, put};
use crate::error::Error;
use crate::settings::{FIRST_BUS, Settings};

/// What devices are called.
const NAME: &str = "Simulated H100 PCIe";

fn device(settings: &Settings, ordinal: c_int) -> Result<u32, Error> {
    let number = u32::try_from(ordinal).ok();
    number.filter(|&it| it < settings.devices).ok_or(Error::InvalidDevice)
}

/// A device by its number.
#[unsafe(no_mangle)]
extern "C" fn cuDeviceGet(to: *mut c_int, ordinal: c_int) -> c_int {
    call(Function::new(0, c"cuDeviceGet"), |call| {
        device(&call.sim.settings, ordinal)?;
        put(to, ordinal)
    })
}

/// How many devices there are.
#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetCount(to: *mut c_int) -> c_int {
    call(Function::new(0, c"cuDeviceGetCount"), |call| {
        put(to, call.sim.settings.devices.cast_signed())
    })
}

/// The name of a device, with a zero at its end.
///
/// # Safety
/// There is room for `room` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetName(to: *mut c_char, room: c_int, ordinal: c_int) -> c_int {
    call(Function::new(0, c"cuDeviceGetName"), |call| {
        device(&call.sim.settings, ordinal)?;
        let room = usize::try_from(room).ok().filter(|room| 0 < *room && !to.is_null());
        let room = room.ok_or(Error::InvalidValue)?;
        let bytes = NAME.bytes().take(room - 1).chain([0]);
        for (at, byte) in bytes.enumerate() {
            // SAFETY: `at` is below `room`, and the caller has room for that many.
            unsafe { to.add(at).write(byte.cast_signed()) };
        }
        Ok(())
    })
}

/// A number that no other device has.
#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetUuid(to: *mut [u8; 16], ordinal: c_int) -> c_int {
    call(Function::new(0, c"cuDeviceGetUuid"), |call| {
        let number = device(&call.sim.settings, ordinal)?;
        let mut uuid = *b"cuda-sim device ";
        uuid[15] = u8::try_from(number).unwrap_or(u8::MAX);
        put(to, uuid)
    })
}

/// The same.
#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetUuid_v2(to: *mut [u8; 16], ordinal: c_int) -> c_int {
    cuDeviceGetUuid(to, ordinal)
}

/// Bytes of its memory.
#[unsafe(no_mangle)]
extern "C" fn cuDeviceTotalMem_v2(to: *mut usize, ordinal: c_int) -> c_int {
    call(Function::new(0, c"cuDeviceTotalMem"), |call| {
        device(&call.sim.settings, ordinal)?;
        put(to, usize::try_from(call.sim.settings.memory).unwrap_or(usize::MAX))
    })
}

const PCI_BUS: c_uint = 33;

/// A property of a device.
#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetAttribute(to: *mut c_int, attribute: c_uint, ordinal: c_int) -> c_int {
    call(Function::new(0, c"cuDeviceGetAttribute"), |call| {
        let number = device(&call.sim.settings, ordinal)?;
        let value = match attribute {
            PCI_BUS => (FIRST_BUS + number).cast_signed(),
            _ => self::attribute(attribute, &call.sim.settings),
        };
        put(to, value)
    })
}

/// By the numbers of `CUdevice_attribute`. What is not listed is 0: the device cannot do it.
fn attribute(number: c_uint, settings: &Settings) -> c_int {
    match number {
        // Threads of a block, and its extents.
        1..=3 => 1024,
        4 => 64,
        5..=7 => 65_535,
        // Shared memory of a block.
        8 => 49_152,
        // Threads of a warp.
        10 => 32,
        // Clock of the processors and of the memory in kHz: 5120 bits at 2.6 GHz, twice a cycle, are 3.3 TB/s.
        13 => 1_755_000,
        16 => settings.processors.cast_signed(),
        // Kernels at the same time, and unified addressing.
        31 | 41 => 1,
        // Bus of the memory, in bits.
        36 => 2_619_000,
        37 => 5_120,
        // The second-level cache.
        38 => 50 << 20,
        // Threads of a multiprocessor.
        39 => 2_048,
        // Copy engines.
        40 => 2,
        // Compute capability: 9.0.
        75 => 9,
        // Shared memory of a block that asks for it.
        97 => 232_448,
        // Pools of memory ordered by streams.
        115 => c_int::from(settings.has_pools),
        _ => 0,
    }
}

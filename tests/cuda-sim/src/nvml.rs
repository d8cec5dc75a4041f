//! NVML: what the driver tells other programs of its devices. Another process than the one that uses a device may ask, so nothing
//! here touches the machine of this process: what is known of others is in a file beside the log of what really happened.

use std::ffi::{c_int, c_uint, c_ulonglong};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::settings::{FIRST_BUS, SETTINGS, Settings, TRUTH};

pub(crate) const INVALID_ARGUMENT: c_int = 2;
const INSUFFICIENT_SIZE: c_int = 7;
/// Reasons for a clock below its most: the device idles, or its power is limited.
const IDLES: c_ulonglong = 1;
const POWER_CAP: c_ulonglong = 4;
/// What a process that uses a device computes of the time, in percent; and its neighbor.
const BUSY: c_uint = 90;
const NEIGHBOR_BUSY: c_uint = 40;
/// When everybody was busy, before the program.
const BEFORE_US: c_ulonglong = 1_000_000;

pub(crate) fn settings() -> Settings {
    Settings::parse(&std::env::var(SETTINGS).unwrap_or_default()).unwrap_or_default()
}

fn processes() -> Option<PathBuf> {
    let mut path = std::env::var_os(TRUTH)?;
    path.push(".processes");
    Some(path.into())
}

/// This process uses devices.
pub(crate) fn enter() {
    let file = processes().map(|path| OpenOptions::new().append(true).create(true).open(path));
    if let Some(Ok(mut file)) = file {
        // Without the line NVML does not know of this process, which a test will say.
        _ = writeln!(file, "{}", std::process::id());
    }
}

/// Processes that use devices now, and how much.
fn users() -> Vec<(c_uint, c_uint)> {
    let text = processes().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let own = text.lines().filter_map(|line| line.parse().ok());
    let own = own.filter(|pid: &c_uint| Path::new("/proc").join(pid.to_string()).exists());
    let neighbor = settings().neighbor.map(|pid| (pid, NEIGHBOR_BUSY));
    own.map(|pid| (pid, BUSY)).chain(neighbor).collect()
}

pub(crate) fn put<T>(to: *mut T, value: T) -> c_int {
    if to.is_null() {
        return INVALID_ARGUMENT;
    }
    // SAFETY: not null, and by the contract of these functions room for one value.
    unsafe { to.write(value) };
    0
}

/// Writes a list, if there is room for it; `count` says for how many, and then how many there are.
fn put_all<T>(values: Vec<T>, to: *mut T, count: *mut c_uint) -> c_int {
    // SAFETY: by the contract of these functions null or a number.
    let Some(count) = (unsafe { count.as_mut() }) else { return INVALID_ARGUMENT };
    let room = std::mem::replace(count, c_uint::try_from(values.len()).unwrap_or(c_uint::MAX));
    if room < *count {
        return INSUFFICIENT_SIZE;
    }
    if to.is_null() && !values.is_empty() {
        return INVALID_ARGUMENT;
    }
    for (at, value) in values.into_iter().enumerate() {
        // SAFETY: below the room that the caller has named.
        unsafe { to.add(at).write(value) };
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> c_int {
    0
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> c_int {
    0
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> c_int {
    put(count, settings().devices)
}

/// Handles are numbers from 1.
#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, to: *mut usize) -> c_int {
    if settings().devices <= index { INVALID_ARGUMENT } else { put(to, index as usize + 1) }
}

/// Where a device is on the bus.
#[repr(C)]
struct Pci {
    legacy: [u8; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    id: c_uint,
    subsystem: c_uint,
    text: [u8; 32],
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPciInfo_v3(device: usize, to: *mut Pci) -> c_int {
    let bus = FIRST_BUS + c_uint::try_from(device).unwrap_or(1) - 1;
    let place =
        Pci { legacy: [0; 16], domain: 0, bus, device: 0, id: 0, subsystem: 0, text: [0; 32] };
    put(to, place)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCurrentClocksThrottleReasons(_: usize, to: *mut c_ulonglong) -> c_int {
    let is_limited = settings().has_power_cap;
    put(to, if users().is_empty() { IDLES } else { POWER_CAP * c_ulonglong::from(is_limited) })
}

/// A process that has a context.
#[repr(C)]
struct Process {
    pid: c_uint,
    bytes: c_ulonglong,
    instance: c_uint,
    compute_instance: c_uint,
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    _device: usize,
    count: *mut c_uint,
    to: *mut Process,
) -> c_int {
    let row = |(pid, _)| Process {
        pid,
        bytes: 1 << 30,
        instance: c_uint::MAX,
        compute_instance: c_uint::MAX,
    };
    put_all(users().into_iter().map(row).collect(), to, count)
}

/// How much a process used a device of late.
#[repr(C)]
struct Use {
    pid: c_uint,
    at_us: c_ulonglong,
    processors: c_uint,
    memory: c_uint,
    encoder: c_uint,
    decoder: c_uint,
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetProcessUtilization(
    _device: usize,
    to: *mut Use,
    count: *mut c_uint,
    since_us: c_ulonglong,
) -> c_int {
    let row =
        |pid, processors, at_us| Use { pid, at_us, processors, memory: 0, encoder: 0, decoder: 0 };
    // The driver keeps what was before, and gives places in which there is nothing.
    let mut all = vec![row(0, c_uint::MAX, c_ulonglong::MAX)];
    if since_us < BEFORE_US {
        all.extend(users().into_iter().map(|(pid, _)| row(pid, 100, BEFORE_US)));
    } else {
        all.extend(users().into_iter().map(|(pid, busy)| row(pid, busy, since_us + 1)));
    }
    put_all(all, to, count)
}

//! What the driver tells other programs of its devices, by NVML: a library that comes with the driver. No context is made, and
//! no device is used.

use std::ffi::{CStr, c_uint, c_ulonglong, c_void};
use std::ptr;

use super::driver::call;

const LIBRARY: &CStr = c"libnvidia-ml.so.1";
/// Processes of a device that are looked at.
const MOST: u32 = 128;

/// The loaded library.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nvml(pub(super) ptr::NonNull<c_void>);

/// A device of the machine; those that a program sees may have other numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) handle: usize,
    /// Domain, bus and device on the bus, which programs see the same of.
    pub(super) pci: [u32; 3],
}

/// How much a process used a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Use {
    /// Its number, as the driver sees it.
    pub(super) pid: u32,
    /// The part of the time in which its kernels ran, in percent.
    pub(super) percent: u32,
    /// When, on the driver's clock.
    pub(super) at_us: u64,
}

/// By NVML's header.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct PciInfo {
    legacy: [u8; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    ids: [c_uint; 2],
    text: [u8; 32],
}

/// By NVML's header.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Process {
    pid: c_uint,
    bytes: c_ulonglong,
    instances: [c_uint; 2],
}

/// By NVML's header.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Utilization {
    pid: c_uint,
    at_us: c_ulonglong,
    processors: c_uint,
    others: [c_uint; 3],
}

impl Nvml {
    /// Loads and begins.
    pub(super) fn load() -> Result<Self, String> {
        // SAFETY: the name is a C string; the library is one that any program may load.
        let library = unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        let nvml = Self(ptr::NonNull::new(library).ok_or("there is no NVML (libnvidia-ml.so.1)")?);
        call!(nvml, c"nvmlInit_v2"())?;
        Ok(nvml)
    }

    /// Devices of this machine whose place on the bus is known.
    pub(super) fn devices(self) -> Result<Vec<Device>, String> {
        let mut count = 0;
        call!(self, c"nvmlDeviceGetCount_v2"(&raw mut count => *mut c_uint))?;
        let one = |index| {
            let (mut handle, mut pci) = (0, PciInfo::default());
            call!(self, c"nvmlDeviceGetHandleByIndex_v2"(index => c_uint, &raw mut handle => *mut usize))?;
            call!(self, c"nvmlDeviceGetPciInfo_v3"(handle => usize, &raw mut pci => *mut PciInfo))?;
            Ok::<Device, String>(Device { handle, pci: [pci.domain, pci.bus, pci.device] })
        };
        // One that may not be looked at is none of the program's.
        Ok((0..count).filter_map(|index| one(index).ok()).collect())
    }

    /// Why a device does not run at its highest clock: bits.
    pub(super) fn reasons(self, device: Device) -> Option<u64> {
        let mut reasons = 0;
        let told = call!(self, c"nvmlDeviceGetCurrentClocksThrottleReasons"(
            device.handle => usize, &raw mut reasons => *mut c_ulonglong
        ));
        told.ok().map(|()| reasons)
    }

    /// Processes that may compute on a device.
    pub(super) fn processes(self, device: Device) -> Option<Vec<u32>> {
        let mut all = [Process::default(); MOST as usize];
        let mut count: c_uint = MOST;
        call!(self, c"nvmlDeviceGetComputeRunningProcesses_v3"(
            device.handle => usize, &raw mut count => *mut c_uint, all.as_mut_ptr() => *mut Process
        ))
        .ok()?;
        Some(all.iter().take(count as usize).map(|it| it.pid).collect())
    }

    /// Processes that have computed on a device since a moment on the driver's clock; none where it does not tell.
    pub(super) fn uses(self, device: Device, since_us: u64) -> Vec<Use> {
        let mut all = [Utilization::default(); MOST as usize];
        let mut count: c_uint = MOST;
        let told = call!(self, c"nvmlDeviceGetProcessUtilization"(
            device.handle => usize,
            all.as_mut_ptr() => *mut Utilization,
            &raw mut count => *mut c_uint,
            since_us => c_ulonglong,
        ));
        let known = told.map_or(0, |()| count as usize);
        let one = |it: &Utilization| Use { pid: it.pid, percent: it.processors, at_us: it.at_us };
        all.iter().take(known).map(one).collect()
    }
}

//! The functions of the CUDA driver that the measurement needs, found while it runs, each wrapped so that the rest stays safe
//! code. An error is the name of the function and its code.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;

const LIBRARY: &CStr = c"libcuda.so.1";

/// A device, as far as its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Present {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) driver: i32,
}

/// The loaded driver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Driver(ptr::NonNull<c_void>);

/// A function of the driver, by its name and type.
macro_rules! call {
    ($driver:expr, $name:literal ( $($arg:expr => $ty:ty),* $(,)? )) => {{
        let name: &CStr = $name;
        // SAFETY: the library is loaded, and the name is a C string.
        let found = unsafe { libc::dlsym($driver.0.as_ptr(), name.as_ptr()) };
        if found.is_null() {
            Err(format!("the driver has no {}", name.to_string_lossy()))
        } else {
            // SAFETY: by NVIDIA's headers the function of this name takes these types and returns a code.
            let function: unsafe extern "C" fn($($ty),*) -> ::std::ffi::c_int = unsafe { ::std::mem::transmute(found) };
            // SAFETY: each pointer leads to room for what is written there, or to as many bytes as are named: see the caller.
            match unsafe { function($($arg),*) } {
                0 => Ok(()),
                code => Err(format!("{} fails with code {code}", name.to_string_lossy())),
            }
        }
    }};
}

pub(super) use call;

/// By the major version of the driver, the newest that it takes first: as the runtime looks for it.
const CUPTI: [&CStr; 4] = [
    c"libcupti.so.13",
    c"libcupti.so.12",
    c"libcupti.so",
    c"/usr/local/cuda/extras/CUPTI/lib64/libcupti.so",
];

unsafe extern "C" fn listen(_: usize, _: c_uint, _: c_uint, _: *const c_void) {}

/// The version of CUPTI, if it would tell a program what devices do: it is asked to, and released again.
pub(super) fn cupti() -> Result<u32, String> {
    // SAFETY: names are C strings; CUPTI is a library that any program may load.
    let load =
        |name: &&CStr| ptr::NonNull::new(unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) });
    let library = CUPTI.iter().find_map(load).ok_or("libcupti was not found")?;
    let cupti = Driver(library);
    let (mut version, mut subscriber) = (0, 0);
    call!(cupti, c"cuptiGetVersion"(&raw mut version => *mut c_uint))?;
    call!(cupti, c"cuptiSubscribe"(
        &raw mut subscriber => *mut usize,
        listen => unsafe extern "C" fn(usize, c_uint, c_uint, *const c_void),
        0 => usize,
    ))?;
    call!(cupti, c"cuptiUnsubscribe"(subscriber => usize))?;
    Ok(version)
}

impl Driver {
    /// Loads and begins.
    pub(super) fn load() -> Result<Self, String> {
        // SAFETY: the name is a C string; the driver is a library that any program may load.
        let library = unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        let driver =
            Self(ptr::NonNull::new(library).ok_or("there is no CUDA driver (libcuda.so.1)")?);
        call!(driver, c"cuInit"(0 => c_uint))?;
        Ok(driver)
    }

    /// Devices of this machine.
    pub(super) fn present(self) -> Result<Vec<Present>, String> {
        let (mut version, mut count) = (0, 0);
        call!(self, c"cuDriverGetVersion"(&raw mut version => *mut c_int))?;
        call!(self, c"cuDeviceGetCount"(&raw mut count => *mut c_int))?;
        let one = |at: c_int| {
            Ok(Present { number: at.unsigned_abs(), name: self.name(at)?, driver: version })
        };
        (0..count).map(one).collect()
    }

    fn name(self, device: c_int) -> Result<String, String> {
        let mut name = [0_u8; 128];
        call!(self, c"cuDeviceGetName"(name.as_mut_ptr().cast() => *mut c_char, 127 => c_int, device => c_int))?;
        let text = CStr::from_bytes_until_nul(&name).map_err(|error| error.to_string())?;
        Ok(text.to_string_lossy().into_owned())
    }

    /// Makes the device the one that this thread works with, until the process ends.
    pub(super) fn take(self, device: u32) -> Result<(), String> {
        let mut context = ptr::null_mut();
        let device = c_int::try_from(device).map_err(|error| error.to_string())?;
        call!(self, c"cuDevicePrimaryCtxRetain"(&raw mut context => *mut *mut c_void, device => c_int))?;
        call!(self, c"cuCtxSetCurrent"(context => *mut c_void))
    }

    /// Waits until the device is done.
    pub(super) fn wait(self) -> Result<(), String> {
        call!(self, c"cuCtxSynchronize"())
    }

    /// Memory of the device.
    pub(super) fn allocate(self, bytes: usize) -> Result<OnDevice, String> {
        let mut address = 0;
        call!(self, c"cuMemAlloc_v2"(&raw mut address => *mut u64, bytes => usize))?;
        Ok(OnDevice { driver: self, address, bytes })
    }

    /// Pinned memory of the host.
    pub(super) fn pin(self, bytes: usize) -> Result<Pinned, String> {
        let mut address = ptr::null_mut();
        call!(self, c"cuMemHostAlloc"(&raw mut address => *mut *mut c_void, bytes => usize, 0 => c_uint))?;
        Ok(Pinned { driver: self, address, bytes })
    }

    /// The kernel of this name in a module of PTX.
    pub(super) fn kernel(self, ptx: &CStr, name: &CStr) -> Result<Kernel, String> {
        let (mut module, mut function) = (ptr::null_mut(), ptr::null_mut());
        call!(self, c"cuModuleLoadData"(&raw mut module => *mut *mut c_void, ptx.as_ptr().cast() => *const c_void))?;
        call!(self, c"cuModuleGetFunction"(&raw mut function => *mut *mut c_void, module => *mut c_void, name.as_ptr() => *const c_char))?;
        Ok(Kernel { driver: self, function })
    }
}

/// Memory of the device, given back on drop.
#[derive(Debug)]
pub(super) struct OnDevice {
    driver: Driver,
    address: u64,
    bytes: usize,
}

impl OnDevice {
    /// Copies as much as both have, and waits.
    pub(super) fn copy_from_device(&self, from: &Self) -> Result<(), String> {
        let bytes = self.bytes.min(from.bytes);
        call!(self.driver, c"cuMemcpyDtoD_v2"(self.address => u64, from.address => u64, bytes => usize))?;
        self.driver.wait()
    }

    /// Copies as much as both have, and waits.
    pub(super) fn copy_from_host(&self, from: &[u8]) -> Result<(), String> {
        let bytes = self.bytes.min(from.len());
        call!(self.driver, c"cuMemcpyHtoD_v2"(self.address => u64, from.as_ptr().cast() => *const c_void, bytes => usize))?;
        self.driver.wait()
    }

    /// Copies as much as both have, and waits.
    pub(super) fn copy_to_host(&self, to: &mut [u8]) -> Result<(), String> {
        let bytes = self.bytes.min(to.len());
        call!(self.driver, c"cuMemcpyDtoH_v2"(to.as_mut_ptr().cast() => *mut c_void, self.address => u64, bytes => usize))?;
        self.driver.wait()
    }
}

impl Drop for OnDevice {
    fn drop(&mut self) {
        // The process ends soon, and with it the memory.
        let _ = call!(self.driver, c"cuMemFree_v2"(self.address => u64));
    }
}

/// Pinned memory of the host, given back on drop.
#[derive(Debug)]
pub(super) struct Pinned {
    driver: Driver,
    address: *mut c_void,
    bytes: usize,
}

impl Pinned {
    /// Its bytes.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the driver has given so many bytes, zeroed by the kernel as all new memory, to nobody else.
        unsafe { std::slice::from_raw_parts_mut(self.address.cast(), self.bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = call!(self.driver, c"cuMemFreeHost"(self.address => *mut c_void));
    }
}

/// A kernel without parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    driver: Driver,
    function: *mut c_void,
}

impl Kernel {
    /// One thread of it, in the order of the default stream. Does not wait.
    pub(super) fn launch(self) -> Result<(), String> {
        let none = ptr::null_mut::<c_void>();
        call!(self.driver, c"cuLaunchKernel"(
            self.function => *mut c_void,
            1 => c_uint, 1 => c_uint, 1 => c_uint,
            1 => c_uint, 1 => c_uint, 1 => c_uint,
            0 => c_uint,
            none => *mut c_void,
            ptr::null_mut() => *mut *mut c_void,
            ptr::null_mut() => *mut *mut c_void,
        ))
    }
}

//! The beginning, versions, and words for codes.

use std::ffi::{CStr, CString, c_char, c_int, c_uint};
use std::sync::Once;
use std::sync::atomic::Ordering::Relaxed;

use super::call::{Function, any_time, put};
use crate::error::Error;
use crate::nvml;
use crate::sim::sim;

/// What the real driver loads at its first call, and what it calls there.
const INJECTION: &str = "CUDA_INJECTION64_PATH";
const INITIALIZE: &CStr = c"InitializeInjection";

/// Begins. Loads a tool that the environment names.
#[unsafe(no_mangle)]
extern "C" fn cuInit(flags: c_uint) -> c_int {
    static INJECTED: Once = Once::new();
    let settings = &sim().settings;
    if settings.init != 0 {
        return settings.init;
    }
    if settings.devices == 0 {
        return Error::NoDevice as c_int;
    }
    INJECTED.call_once(|| {
        nvml::enter();
        inject();
    });
    any_time(Function::new(0, c"cuInit"), |call| {
        if flags != 0 {
            return Err(Error::InvalidValue);
        }
        call.sim.is_ready.store(true, Relaxed);
        Ok(())
    })
}

fn inject() {
    let Some(path) = std::env::var(INJECTION).ok().and_then(|path| CString::new(path).ok()) else {
        return;
    };
    // SAFETY: the user names a library that is made to be loaded here.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if library.is_null() {
        return;
    }
    // SAFETY: the library was just loaded, and the name is a C string.
    let symbol = unsafe { libc::dlsym(library, INITIALIZE.as_ptr()) };
    if !symbol.is_null() {
        // SAFETY: by NVIDIA's documents the function of this name takes nothing and returns an int.
        let initialize: extern "C" fn() -> c_int = unsafe { std::mem::transmute(symbol) };
        initialize();
    }
}

/// The version of the driver.
#[unsafe(no_mangle)]
extern "C" fn cuDriverGetVersion(version: *mut c_int) -> c_int {
    any_time(Function::new(0, c"cuDriverGetVersion"), |call| {
        put(version, call.sim.settings.version.cast_signed())
    })
}

/// The name of a code.
#[unsafe(no_mangle)]
extern "C" fn cuGetErrorName(code: c_int, name: *mut *const c_char) -> c_int {
    words(code, name, |(name, _)| name)
}

/// The sentence of a code.
#[unsafe(no_mangle)]
extern "C" fn cuGetErrorString(code: c_int, sentence: *mut *const c_char) -> c_int {
    words(code, sentence, |(_, sentence)| sentence)
}

fn words(
    code: c_int,
    to: *mut *const c_char,
    of: fn((&'static CStr, &'static CStr)) -> &'static CStr,
) -> c_int {
    let known = Error::words(code);
    let text = known.map_or(std::ptr::null(), |words| of(words).as_ptr());
    match put(to, text).and(known.map(|_| ()).ok_or(Error::InvalidValue)) {
        Ok(()) => 0,
        Err(error) => error as c_int,
    }
}

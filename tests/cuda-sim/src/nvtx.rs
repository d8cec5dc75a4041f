//! A tool that listens to NVTX ranges: what Nsight Systems does, as far as its protocol with the program goes. Ranges are in the
//! log of what really happened: `op` is `push`, with a name, or `pop`.
#![expect(unsafe_code, reason = "a C interface: pointers of its callers are written and read")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use crate::driver::call::thread_id;
use crate::sim::sim;

const CALLBACKS: u32 = 1;
const CORE: c_int = 1;
const PUSH: usize = 9;
const POP: usize = 11;

#[repr(C)]
struct Callbacks {
    bytes: usize,
    get_table: unsafe extern "C" fn(c_int, *mut *mut *mut *mut c_void, *mut c_uint) -> c_int,
}

/// Called by the program that emits ranges.
#[unsafe(no_mangle)]
unsafe extern "C" fn InitializeInjectionNvtx2(
    export: extern "C" fn(u32) -> *const c_void,
) -> c_int {
    // SAFETY: by the protocol the table of this number begins like this, or is null.
    let Some(callbacks) = (unsafe { export(CALLBACKS).cast::<Callbacks>().as_ref() }) else {
        return 0;
    };
    let (mut table, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: both are places for what is written there.
    if unsafe { (callbacks.get_table)(CORE, &raw mut table, &raw mut size) } == 0
        || (size as usize) <= POP
    {
        return 0;
    }
    // SAFETY: the table holds so many pointers to slots.
    unsafe {
        **table.add(PUSH) = push as *mut c_void;
        **table.add(POP) = pop as *mut c_void;
    }
    1
}

unsafe extern "C" fn push(name: *const c_char) -> c_int {
    // SAFETY: by the protocol a C string.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    sim()
        .truth
        .write(format_args!("\"op\":\"push\",\"thread\":{},\"name\":\"{name}\"", thread_id()));
    0
}

extern "C" fn pop() -> c_int {
    sim().truth.write(format_args!("\"op\":\"pop\",\"thread\":{}", thread_id()));
    0
}

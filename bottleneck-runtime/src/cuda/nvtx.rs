//! Spans as NVTX ranges, for a tool that listens (Nsight Systems): where nothing is recorded by us.
//!
//! A tool names its library in [`LIBRARY_VARIABLE`]. By NVIDIA's protocol a program that emits ranges loads it and calls its
//! `InitializeInjectionNvtx2` with a function that gives tables; the tool writes its own functions into the slots that the table
//! of the core module points to. Polls of futures are no ranges, and keys are not shown.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::sync::atomic::{AtomicU32, Ordering};
use core::{mem, ptr};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::OnceLock;

use crate::format::Node;
use crate::os::library::Library;
use crate::site::Site;

/// What a tool names its library in.
const LIBRARY_VARIABLE: &str = "NVTX_INJECTION64_PATH";
const INITIALIZE: &CStr = c"InitializeInjectionNvtx2";
/// Version of the protocol that is spoken.
const VERSION: u32 = 3;

/// Tables by their numbers.
const CALLBACKS: u32 = 1;
const VERSION_INFO: u32 = 3;
/// The last of the modules: names for CUDA and the like, domains, locks.
const LAST_MODULE: c_int = 6;
/// The core module, its functions by their numbers, and how many there are; no other module has more.
const CORE: c_int = 1;
const PUSH: usize = 9;
const POP: usize = 11;
const FUNCTIONS: usize = 16;
/// The same number as C has it.
const SIZE: c_uint = 16;

type Function = *mut c_void;
type Push = unsafe extern "C" fn(*const c_char) -> c_int;
type Pop = unsafe extern "C" fn() -> c_int;

/// The functions of the tool, which it writes while it is initialized; null for what it does not want.
struct Slots(UnsafeCell<[Function; FUNCTIONS]>);

// SAFETY: written by the tool within `listener`, once, and only read behind that.
unsafe impl Sync for Slots {}

static SLOTS: Slots = Slots(UnsafeCell::new([ptr::null_mut(); FUNCTIONS]));
/// For the functions of all other modules.
static UNUSED_SLOTS: Slots = Slots(UnsafeCell::new([ptr::null_mut(); FUNCTIONS]));

/// Where the tool finds the slots: a pointer to each, and a null behind them.
struct Table(UnsafeCell<[*mut Function; FUNCTIONS + 1]>);

// SAFETY: filled within `listener`, once, before the tool sees it; read by the tool alone.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([ptr::null_mut(); FUNCTIONS + 1]));
static UNUSED_TABLE: Table = Table(UnsafeCell::new([ptr::null_mut(); FUNCTIONS + 1]));

#[repr(C)]
struct Callbacks {
    bytes: usize,
    get_table: unsafe extern "C" fn(c_int, *mut *mut *mut Function, *mut c_uint) -> c_int,
}

#[repr(C)]
struct VersionInfo {
    bytes: usize,
    version: u32,
    reserved: u32,
    set_version_of_tool: extern "C" fn(u32),
}

static EXPORTED_CALLBACKS: Callbacks = Callbacks { bytes: size_of::<Callbacks>(), get_table };
static EXPORTED_VERSION: VersionInfo = VersionInfo {
    bytes: size_of::<VersionInfo>(),
    version: VERSION,
    reserved: 0,
    set_version_of_tool,
};
/// What the tool says of itself. Kept for a debugger.
static VERSION_OF_TOOL: AtomicU32 = AtomicU32::new(0);

extern "C" fn set_version_of_tool(version: u32) {
    VERSION_OF_TOOL.store(version, Ordering::Relaxed);
}

unsafe extern "C" fn get_table(
    module: c_int,
    table: *mut *mut *mut Function,
    size: *mut c_uint,
) -> c_int {
    let own = match module {
        CORE => &TABLE,
        // Tools expect them, too: what they write there is never called.
        2..=LAST_MODULE => &UNUSED_TABLE,
        _ => return 0,
    };
    // SAFETY: the tool hands over places, or null where it does not want to know.
    unsafe {
        if let Some(size) = size.as_mut() {
            *size = SIZE;
        }
        if let Some(table) = table.as_mut() {
            *table = own.0.get().cast();
        }
    }
    1
}

extern "C" fn export(table: u32) -> *const c_void {
    match table {
        CALLBACKS => ptr::from_ref(&EXPORTED_CALLBACKS).cast(),
        VERSION_INFO => ptr::from_ref(&EXPORTED_VERSION).cast(),
        _ => ptr::null(),
    }
}

/// A tool that wants ranges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listener {
    push: Push,
    pop: Pop,
}

/// The tool, if there is one. Loaded at the first call.
pub(crate) fn listener() -> Option<Listener> {
    static LISTENER: OnceLock<Option<Listener>> = OnceLock::new();
    *LISTENER.get_or_init(load)
}

fn load() -> Option<Listener> {
    let path = std::env::var_os(LIBRARY_VARIABLE).filter(|path| !path.is_empty())?;
    let library = Library::open(&CString::new(path.as_bytes()).ok()?)?;
    let initialize = library.symbol(INITIALIZE)?;
    for (table, slots) in [(&TABLE, &SLOTS), (&UNUSED_TABLE, &UNUSED_SLOTS)] {
        for at in 0..FUNCTIONS {
            // SAFETY: nobody else has the tables or the slots yet: this runs once, and the tool is called below.
            unsafe { (*table.0.get())[at] = slots.0.get().cast::<Function>().add(at) };
        }
    }
    // SAFETY: by NVIDIA's headers the function of this name takes the function that gives tables, and returns an int.
    let initialize: unsafe extern "C" fn(extern "C" fn(u32) -> *const c_void) -> c_int =
        unsafe { mem::transmute(initialize.as_ptr()) };
    // SAFETY: as above.
    if unsafe { initialize(export) } == 0 {
        return None;
    }
    // SAFETY: the tool has written what it wants.
    let found = |at: usize| ptr::NonNull::new(unsafe { (*SLOTS.0.get())[at] });
    let (push, pop) = (found(PUSH)?, found(POP)?);
    // SAFETY: by NVIDIA's headers the tool's functions of these numbers have these types.
    unsafe {
        Some(Listener {
            push: mem::transmute::<Function, Push>(push.as_ptr()),
            pop: mem::transmute::<Function, Pop>(pop.as_ptr()),
        })
    }
}

impl Listener {
    /// A span begins on the calling thread.
    pub(crate) fn begin(self, site: &'static Site) {
        // SAFETY: a C string that stays.
        unsafe { (self.push)(name_of(site)) };
    }

    /// The innermost span of the calling thread ends.
    pub(crate) fn end(self) {
        // SAFETY: takes nothing.
        unsafe { (self.pop)() };
    }
}

/// What guards of such spans hold in place of a node.
pub(crate) fn range() -> &'static Node {
    // SAFETY: made of atomics, of which zeros are valid.
    static RANGE: Node = unsafe { mem::zeroed() };
    &RANGE
}

/// The name of a place as C wants it. Made at first sight, without a lock: two threads may make the same one, and one stays.
fn name_of(site: &'static Site) -> *const c_char {
    let known = site.c_name();
    // Acquire: pairs with the Release below.
    let name = known.load(Ordering::Acquire);
    if !name.is_null() {
        return name;
    }
    let name = CString::new(site.record().name.replace('\0', " ")).unwrap_or_default();
    let own = name.into_raw();
    // Release: pairs with the Acquire above, and with that of a thread which finds this one.
    match known.compare_exchange(ptr::null_mut(), own, Ordering::Release, Ordering::Acquire) {
        Ok(_) => own,
        Err(others) => {
            // SAFETY: it was made above, and nobody else has seen it.
            drop(unsafe { CString::from_raw(own) });
            others
        }
    }
}

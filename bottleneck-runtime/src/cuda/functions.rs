//! Functions of NVIDIA's libraries, found while the program runs: each may be missing.
//!
//! Their types are those of the public headers, by hand: no header and no binding is needed to build, and no version is fixed.

use core::ffi::{c_char, c_int, c_void};

use crate::os::library::Library;

/// A function each of a library, or `None`.
macro_rules! functions {
    ($(#[$meta:meta])* $name:ident { $( $(#[$field_meta:meta])* $field:ident = $symbol:literal : fn($($arg:ty),* $(,)?) -> $res:ty; )* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default)]
        pub(crate) struct $name {
            $( $(#[$field_meta])* pub(crate) $field: Option<unsafe extern "C" fn($($arg),*) -> $res>, )*
        }

        impl $name {
            /// What of it there is in a library.
            pub(crate) fn of(library: Library) -> Self {
                Self {
                    $( $field: library.symbol($symbol).map(|found| {
                        // SAFETY: by NVIDIA's headers the function of this name has this type, in every version that has it.
                        unsafe {
                            core::mem::transmute::<*mut c_void, unsafe extern "C" fn($($arg),*) -> $res>(found.as_ptr())
                        }
                    }), )*
                }
            }
        }
    };
}

/// A stream, an event or a context of the driver.
pub(crate) type Handle = *mut c_void;

/// Asks for a buffer.
pub(crate) type Requested = unsafe extern "C" fn(*mut *mut u8, *mut usize, *mut usize);
/// Takes a buffer back: context, stream, buffer, its size, and how much of it is records.
pub(crate) type Completed = unsafe extern "C" fn(Handle, u32, *mut u8, usize, usize);
/// Told of a call: own data, domain, number of the function, description.
pub(crate) type Listener = unsafe extern "C" fn(usize, u32, u32, *const c_void);

functions! {
    /// The driver.
    Driver {
        /// Its version, as `12080`.
        get_version = c"cuDriverGetVersion": fn(*mut c_int) -> c_int;
        /// The context of the calling thread.
        ctx_get_current = c"cuCtxGetCurrent": fn(*mut Handle) -> c_int;
        /// Whether a stream is captured into a graph.
        stream_is_capturing = c"cuStreamIsCapturing": fn(Handle, *mut u32) -> c_int;
        /// Makes an event.
        event_create = c"cuEventCreate": fn(*mut Handle, u32) -> c_int;
        /// Records it.
        event_record = c"cuEventRecord": fn(Handle, Handle) -> c_int;
        /// Whether it has happened.
        event_query = c"cuEventQuery": fn(Handle) -> c_int;
        /// Milliseconds between two.
        event_elapsed = c"cuEventElapsedTime": fn(*mut f32, Handle, Handle) -> c_int;
        /// The same, since 12.8.
        event_elapsed_v2 = c"cuEventElapsedTime_v2": fn(*mut f32, Handle, Handle) -> c_int;
        /// How calls of the thread affect captures of others.
        exchange_capture_mode = c"cuThreadExchangeStreamCaptureMode": fn(*mut u32) -> c_int;
        /// A property of a device.
        device_get_attribute = c"cuDeviceGetAttribute": fn(*mut c_int, u32, c_int) -> c_int;
        /// Its name.
        device_get_name = c"cuDeviceGetName": fn(*mut c_char, c_int, c_int) -> c_int;
        /// Whether its context was made. Makes none.
        primary_ctx_get_state = c"cuDevicePrimaryCtxGetState": fn(c_int, *mut u32, *mut c_int) -> c_int;
        /// How many there are.
        device_get_count = c"cuDeviceGetCount": fn(*mut c_int) -> c_int;
    }
}

impl Driver {
    /// Whether the program has made the context of a device, as every program does that uses one through the usual libraries.
    pub(crate) fn is_used(self) -> bool {
        let (Some(get_count), Some(get_state)) =
            (self.device_get_count, self.primary_ctx_get_state)
        else {
            return false;
        };
        let mut count = 0;
        // SAFETY: by NVIDIA's headers; a driver that was not initialized says so.
        if unsafe { get_count(&raw mut count) } != 0 {
            return false;
        }
        (0..count).any(|device| {
            let (mut flags, mut is_active) = (0, 0);
            // SAFETY: as above.
            let code = unsafe { get_state(device, &raw mut flags, &raw mut is_active) };
            code == 0 && is_active != 0
        })
    }
}

functions! {
    /// The profiling interface.
    Cupti {
        /// Its version.
        get_version = c"cuptiGetVersion": fn(*mut u32) -> c_int;
        /// Takes the place of the one tool that is told of calls.
        subscribe = c"cuptiSubscribe": fn(*mut usize, Listener, usize) -> c_int;
        /// Gives it back.
        unsubscribe = c"cuptiUnsubscribe": fn(usize) -> c_int;
        /// Is told of one function.
        enable_callback = c"cuptiEnableCallback": fn(u32, usize, u32, u32) -> c_int;
        /// The clock of records.
        register_timestamp = c"cuptiActivityRegisterTimestampCallback": fn(unsafe extern "C" fn() -> u64) -> c_int;
        /// Where buffers come from and go to.
        register_callbacks = c"cuptiActivityRegisterCallbacks": fn(Requested, Completed) -> c_int;
        /// How things are done.
        set_attribute = c"cuptiActivitySetAttribute": fn(u32, *mut usize, *mut c_void) -> c_int;
        /// Which number threads have in records.
        set_thread_id_type = c"cuptiSetThreadIdType": fn(u32) -> c_int;
        /// Wants records of a kind.
        enable = c"cuptiActivityEnable": fn(u32) -> c_int;
        /// Wants none any more.
        disable = c"cuptiActivityDisable": fn(u32) -> c_int;
        /// Wants records of one function of the driver.
        enable_driver_api = c"cuptiActivityEnableDriverApi": fn(u32, u8) -> c_int;
        /// The next record in a buffer.
        next_record = c"cuptiActivityGetNextRecord": fn(*mut u8, usize, *mut *mut u8) -> c_int;
        /// Records that were dropped.
        dropped = c"cuptiActivityGetNumDroppedRecords": fn(Handle, u32, *mut usize) -> c_int;
        /// The number of a node of a graph, which is in records.
        get_graph_node_id = c"cuptiGetGraphNodeId": fn(Handle, *mut u64) -> c_int;
        /// Hands over what is complete.
        flush_all = c"cuptiActivityFlushAll": fn(u32) -> c_int;
    }
}

/// What CUPTI says of something that comes or goes.
#[repr(C)]
pub(super) struct ResourceData {
    context: Handle,
    stream: Handle,
    pub(super) about: *const GraphData,
}

/// What it says of a node of a graph, as far as it is used.
#[repr(C)]
pub(super) struct GraphData {
    graph: Handle,
    original: Handle,
    pub(super) node: Handle,
    pub(super) original_node: Handle,
    pub(super) sort: u32,
}

//! Every call to the operating system, behind safe functions.
//!
//! Nothing here knows about spans. A refused call is an `errno`, never a panic.

#[cfg(target_arch = "x86_64")]
pub(crate) mod address_space;
#[cfg(target_arch = "x86_64")]
pub(crate) mod bare_call;
pub(crate) mod call;
pub(crate) mod cgroup;
#[cfg(target_arch = "x86_64")]
pub(crate) mod cpu_timer;
pub(crate) mod delay;
pub(crate) mod descriptor;
pub(crate) mod fork;
#[cfg(feature = "cuda")]
pub(crate) mod library;
pub(crate) mod map;
pub(crate) mod memory;
pub(crate) mod ring;
#[cfg(target_arch = "x86_64")]
pub(crate) mod signal;
pub(crate) mod target;
pub(crate) mod task;
pub(crate) mod thread;
pub(crate) mod time;
pub(crate) mod wakeup;

/// The error number of a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

impl Errno {
    /// The error of the call that has just failed on this thread.
    pub(crate) fn last() -> Self {
        // SAFETY: the address of the thread's `errno` is always valid.
        Self(unsafe { *libc::__errno_location() })
    }
}

impl core::fmt::Display for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        std::io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

//! Libraries that a machine may have or not, loaded while the program runs.

use core::ffi::{CStr, c_void};
use core::ptr::NonNull;

/// A loaded library. It stays: what was found in it is used until the process ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Library(NonNull<c_void>);

// SAFETY: the handle is a number to the loader, which locks by itself.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Library {
    /// Loads a library by its name or its path; `None` where it is not there, or cannot be loaded.
    pub(crate) fn open(name: &CStr) -> Option<Self> {
        // SAFETY: the name is a C string. Initializers of the library run: it is one that the program may load itself.
        NonNull::new(unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) })
            .map(Self)
    }

    /// The address of a function.
    pub(crate) fn symbol(self, name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: the library is loaded, and the name is a C string.
        NonNull::new(unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_there_or_not() {
        let own = Library::open(c"libc.so.6").unwrap();
        assert!(own.symbol(c"getpid").is_some() && own.symbol(c"no_such_function").is_none());
        assert!(Library::open(c"libno-such-library.so.1").is_none());
    }
}

//! Being told of a fork.

use super::Errno;

/// Calls `in_child` in every child that `fork` makes from now on, on the one thread that the child has.
pub(crate) fn after_fork_in_child(in_child: unsafe extern "C" fn()) -> Result<(), Errno> {
    // SAFETY: `in_child` is a function of this program and stays for the life of the process.
    match unsafe { libc::pthread_atfork(None, None, Some(in_child)) } {
        0 => Ok(()),
        error => Err(Errno(error)),
    }
}

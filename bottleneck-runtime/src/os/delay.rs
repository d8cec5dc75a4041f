//! How long a thread waited for a CPU, by the kernel's own account.

use super::descriptor::Descriptor;

/// `/proc/thread-self/schedstat`, kept open: field 2 is the time spent runnable but not running.
#[derive(Debug)]
pub(crate) struct Delays {
    fd: Descriptor,
}

impl Delays {
    /// Opens the account of the calling thread, whose id is `tid`. `None` where the kernel keeps none.
    pub(crate) fn of_this_thread(tid: u32) -> Option<Self> {
        let path = std::ffi::CString::new(format!("/proc/self/task/{tid}/schedstat")).ok()?;
        // SAFETY: `path` ends with a zero byte and lives through the call.
        let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
        (fd >= 0).then(|| Self { fd: Descriptor::new(fd) })
    }

    /// Nanoseconds so far. About 1 µs: a system call.
    pub(crate) fn read(&self) -> Option<u64> {
        let mut text = [0_u8; 96];
        // SAFETY: `text` has the length given.
        let n =
            unsafe { libc::pread(self.fd.unchecked(), text.as_mut_ptr().cast(), text.len(), 0) };
        parse(text.get(..usize::try_from(n).ok()?)?)
    }
}

fn parse(text: &[u8]) -> Option<u64> {
    core::str::from_utf8(text).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_field_is_the_delay() {
        assert_eq!(parse(b"1234 567 8\n"), Some(567));
        assert_eq!(parse(b""), None);
    }
}

//! Descriptors of our own in a program that may close any: a daemon that closes all it finds, and then opens its own files
//! under the same numbers, must not have those grown or closed by us.

/// A descriptor, and which file it was.
#[derive(Debug)]
pub(crate) struct Descriptor {
    fd: i32,
    file: Option<(u64, u64)>,
}

impl Descriptor {
    /// Takes a descriptor over that was just opened.
    pub(crate) fn new(fd: i32) -> Self {
        Self { fd, file: identity(fd) }
    }

    /// The number, if the file behind it is still ours.
    pub(crate) fn get(&self) -> Option<i32> {
        (self.file.is_some() && identity(self.fd) == self.file).then_some(self.fd)
    }

    /// Links to the file, if it still is ours.
    pub(crate) fn links(&self) -> Option<u64> {
        let file = status(self.fd).filter(|it| Some((it.st_dev, it.st_ino)) == self.file)?;
        #[expect(
            clippy::allow_attributes,
            reason = "whether this is a conversion depends on the architecture"
        )]
        #[allow(clippy::useless_conversion, reason = "as above")]
        Some(u64::from(file.st_nlink))
    }

    /// The number, without a look: for calls that do no harm to a foreign file.
    pub(crate) fn unchecked(&self) -> i32 {
        self.fd
    }
}

impl Descriptor {
    /// Closes it, if it is still ours; what is done with it afterwards fails.
    pub(crate) fn close(&self) {
        if let Some(fd) = self.get() {
            // SAFETY: ours by the look just taken.
            unsafe { libc::close(fd) };
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.close();
    }
}

/// Device and inode.
fn identity(fd: i32) -> Option<(u64, u64)> {
    status(fd).map(|file| (file.st_dev, file.st_ino))
}

fn status(fd: i32) -> Option<libc::stat> {
    // SAFETY: all zeros is a valid `stat`.
    let mut file: libc::stat = unsafe { core::mem::zeroed() };
    // SAFETY: `file` is a valid place for a `stat`.
    (unsafe { libc::fstat(fd, &raw mut file) } == 0).then_some(file)
}

/// Whether the process has a descriptor by which page faults are served (`userfaultfd`). About 1 µs for each descriptor.
#[cfg(target_arch = "x86_64")]
pub(crate) fn serves_page_faults() -> bool {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return false;
    };
    entries.flatten().any(|entry| {
        std::fs::read_link(entry.path())
            .is_ok_and(|target| target.as_os_str() == "anon_inode:[userfaultfd]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsRawFd as _, IntoRawFd as _};

    #[test]
    fn a_number_that_names_another_file_now_is_left_alone() {
        let ours = Descriptor::new(tempfile::tempfile().unwrap().into_raw_fd());
        assert_eq!(ours.get(), Some(ours.unchecked()));
        let theirs = tempfile::tempfile().unwrap();
        // SAFETY: both are open; our number names their file from here on, as after a daemon's closing and opening.
        unsafe { libc::dup2(theirs.as_raw_fd(), ours.unchecked()) };
        assert_eq!(ours.get(), None);
        let number = ours.unchecked();
        drop(ours);
        assert!(identity(number).is_some(), "their file was closed");
        // SAFETY: the duplicate made above.
        unsafe { libc::close(number) };
    }
}

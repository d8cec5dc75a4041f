//! A file in memory that grows: one reserved mapping, space taken before it is touched.
#![expect(
    clippy::cast_possible_wrap,
    reason = "offsets stay below the reserved length, far below `i64::MAX`"
)]

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::Errno;
use super::descriptor::Descriptor;

/// A file mapped shared, with more addresses reserved than it has bytes.
#[derive(Debug)]
pub(crate) struct FileMap {
    fd: Descriptor,
    base: *mut u8,
    reserved: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread; all access to its bytes is through atomics or by the one
// writer of a chunk that is not yet published.
unsafe impl Send for FileMap {}
// SAFETY: as above.
unsafe impl Sync for FileMap {}

impl FileMap {
    /// Makes the file, which must not exist, takes `bytes` for it, and maps it with room for `reserved`.
    pub(crate) fn create(path: &Path, bytes: usize, reserved: usize) -> Result<Self, Errno> {
        Self::open(path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, bytes, reserved)
    }

    /// The same with a file that exists, such as another process's memory file.
    pub(crate) fn adopt(path: &Path, bytes: usize, reserved: usize) -> Result<Self, Errno> {
        Self::open(path, libc::O_RDWR, bytes, reserved)
    }

    fn open(path: &Path, flags: i32, bytes: usize, reserved: usize) -> Result<Self, Errno> {
        let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
            return Err(Errno(libc::EINVAL));
        };
        // SAFETY: `path` ends with a zero byte and lives through the call.
        let fd = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o644) };
        if fd < 0 {
            return Err(Errno::last());
        }
        let mut map = Self { fd: Descriptor::new(fd), base: core::ptr::null_mut(), reserved };
        map.extend(0, bytes)?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no other memory.
        let base = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(core::ptr::null_mut(), reserved, access, libc::MAP_SHARED, fd, 0)
        };
        if base == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        map.base = base.cast();
        map.touch(0, bytes);
        Ok(map)
    }

    /// First byte of the mapping. Only bytes below the extended length may be touched.
    pub(crate) fn base(&self) -> *mut u8 {
        self.base
    }

    /// Bytes of address space; the file cannot grow beyond.
    pub(crate) fn reserved(&self) -> usize {
        self.reserved
    }

    /// Takes space for `bytes` from offset `at`, so that touching them cannot fail for want of space.
    pub(crate) fn extend(&self, at: usize, bytes: usize) -> Result<(), Errno> {
        if at + bytes > size_limit() {
            // The kernel would send SIGXFSZ, which ends the program.
            return Err(Errno(libc::EFBIG));
        }
        let Some(fd) = self.fd.get() else {
            return Err(Errno(libc::EBADF));
        };
        // SAFETY: plain system call on our own descriptor.
        while unsafe { libc::fallocate(fd, 0, at as libc::off_t, bytes as libc::off_t) } != 0 {
            match Errno::last() {
                Errno(libc::EINTR) => {}
                Errno(libc::EOPNOTSUPP | libc::ENOSYS) => return extend_by_writing(fd, at, bytes),
                error => return Err(error),
            }
        }
        Ok(())
    }

    /// Has the pages of this range, which has space, ready, so that the hot path does not fault them in. A kernel that cannot (before 5.14) lets them
    /// be faulted in, which is slower and otherwise the same.
    pub(crate) fn touch(&self, at: usize, bytes: usize) {
        const MADV_POPULATE_WRITE: i32 = 23;
        const PAGE: usize = 4096;
        // A page that is begun is touched as it is used.
        let from = at.next_multiple_of(PAGE);
        let bytes = (at + bytes).saturating_sub(from);
        if !self.base.is_null() && 0 < bytes && at + bytes <= self.reserved {
            // SAFETY: the range lies within the reserved mapping and behind it the file has space.
            unsafe { libc::madvise(self.base.add(from).cast(), bytes, MADV_POPULATE_WRITE) };
        }
    }

    /// Puts private zeros in place of the file, at the same addresses: in a child after `fork`, what the parent's guards
    /// still write must not reach the parent's profile.
    pub(crate) fn cut_off(&self) {
        // SAFETY: replaces exactly our own mapping. Only system calls, so it is allowed after a fork.
        unsafe {
            libc::mmap(
                self.base.cast(),
                self.reserved,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            );
        }
        self.fd.close();
    }
}

/// Where the file system cannot reserve: zeros, written for real.
fn extend_by_writing(fd: i32, at: usize, bytes: usize) -> Result<(), Errno> {
    let zeros = [0_u8; 4096];
    let mut done = 0;
    while done < bytes {
        let part = zeros.len().min(bytes - done);
        // SAFETY: `zeros` has `part` bytes.
        let n =
            unsafe { libc::pwrite(fd, zeros.as_ptr().cast(), part, (at + done) as libc::off_t) };
        match usize::try_from(n) {
            Ok(0) => return Err(Errno(libc::ENOSPC)),
            Ok(n) => done += n,
            Err(_) if Errno::last() == Errno(libc::EINTR) => {}
            Err(_) => return Err(Errno::last()),
        }
    }
    Ok(())
}

/// The longest file that this process may make (`ulimit -f`).
fn size_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for a `rlimit`.
    match unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) } {
        0 => usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX),
        _ => usize::MAX,
    }
}

impl Drop for FileMap {
    fn drop(&mut self) {
        // Reached only where making the map failed halfway: a session keeps its map for the life of the process.
        if !self.base.is_null() {
            // SAFETY: our own mapping, not used again.
            unsafe { libc::munmap(self.base.cast(), self.reserved) };
        }
    }
}

//! A read-only file mapped into memory, seen as `f32` values.
//!
//! One of the two modules with `unsafe`. The mapping never writes, and its slices live no longer than it does.

#![expect(unsafe_code, reason = "mapping a file has no safe interface in std")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::slice;

/// Fill the page table now: later page faults would be counted against whoever reads first.
#[cfg(target_os = "linux")]
const POPULATE: libc::c_int = libc::MAP_POPULATE;
#[cfg(not(target_os = "linux"))]
const POPULATE: libc::c_int = 0;

/// A whole file, mapped for reading.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the pages are mapped for reading only and nothing in this type changes after `new`, so threads may share it.
unsafe impl Send for Mapping {}
// SAFETY: as above; every method takes `&self` and only reads.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `file` from its first to its last byte, and reads all of it into memory where the system can do so at once.
    ///
    /// The file must not be cut while it is mapped (reading past the new end raises SIGBUS): map only files that are
    /// put in place by renaming and never written again.
    ///
    /// # Errors
    /// If the file is empty, its size cannot be read, or the kernel refuses the mapping.
    pub fn new(file: &File) -> io::Result<Self> {
        Self::with_flags(file, POPULATE)
    }

    /// Maps `file` as [`new`](Self::new) does, but reads nothing: a page is read when it is first used, and whoever uses
    /// it waits for the disk, within whatever looks like arithmetic. That is the default of most loaders.
    ///
    /// # Errors
    /// As of [`new`](Self::new).
    pub fn lazy(file: &File) -> io::Result<Self> {
        Self::with_flags(file, 0)
    }

    /// Has the kernel read single pages from now on, without reading ahead: for pages that are used in no order.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn expect_random_use(&self) -> io::Result<()> {
        // SAFETY: exactly the range of `new`; the advice changes when pages are read, never what they hold.
        let result =
            unsafe { libc::madvise(self.start.as_ptr().cast(), self.bytes, libc::MADV_RANDOM) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn with_flags(file: &File, flags: libc::c_int) -> io::Result<Self> {
        let bytes = usize::try_from(file.metadata()?.len()).map_err(|_| {
            io::Error::new(io::ErrorKind::FileTooLarge, "the file is larger than the address space")
        })?;
        if bytes == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty"));
        }
        // SAFETY: a fresh mapping at an address of the kernel's choice; the descriptor is open, the length is not zero.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ,
                libc::MAP_SHARED | flags,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast::<u8>())
            .ok_or_else(|| io::Error::other("mapped at address zero"))?;
        Ok(Self { start, bytes })
    }

    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Never true: an empty file is not mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The values from byte `offset` to the end of the file; a rest of fewer than four bytes is left out.
    ///
    /// # Panics
    /// If `offset` is not a multiple of four, or lies behind the end.
    #[must_use]
    pub fn floats(&self, offset: usize) -> &[f32] {
        assert!(
            offset.is_multiple_of(size_of::<f32>()) && offset <= self.bytes,
            "offset {offset} of {}",
            self.bytes
        );
        // SAFETY: within the mapping by the assertion; aligned, since the mapping starts at a page; every bit pattern
        // is an f32; the borrow of `self` keeps the pages mapped.
        unsafe {
            slice::from_raw_parts(
                self.start.as_ptr().add(offset).cast(),
                (self.bytes - offset) / size_of::<f32>(),
            )
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range of `new`, which no slice outlives.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_file_reads_as_the_values_written() {
        let path = std::env::temp_dir().join(format!("bottleneck-mapping-{}", std::process::id()));
        let bytes: Vec<u8> = [1.5f32, -2.0, 3.25].iter().flat_map(|v| v.to_ne_bytes()).collect();
        std::fs::write(&path, &bytes).unwrap();
        let mapping = Mapping::new(&File::open(&path).unwrap()).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(mapping.floats(0), [1.5, -2.0, 3.25]);
        assert_eq!(mapping.floats(4), [-2.0, 3.25]);
        assert_eq!(mapping.len(), 12);
    }

    #[test]
    fn a_lazy_mapping_holds_the_same_values() {
        let path = std::env::temp_dir().join(format!("bottleneck-lazy-{}", std::process::id()));
        std::fs::write(&path, 2.5f32.to_ne_bytes()).unwrap();
        let mapping = Mapping::lazy(&File::open(&path).unwrap()).unwrap();
        std::fs::remove_file(&path).unwrap();
        mapping.expect_random_use().unwrap();
        assert_eq!(mapping.floats(0), [2.5]);
    }

    #[test]
    fn an_empty_file_is_refused() {
        let path =
            std::env::temp_dir().join(format!("bottleneck-mapping-empty-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Mapping::new(&file).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}

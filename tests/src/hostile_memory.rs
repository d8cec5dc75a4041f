//! Memory that nobody but its program should touch: it comes and goes, is a device, or is filled in by the program itself.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd as _;
use std::ptr;

use crate::walk::walk_at;

const PAGE: usize = 4096;

/// A stretch of addresses in which nothing is mapped but by its games.
#[derive(Debug)]
pub struct Arena {
    start: usize,
    bytes: usize,
}

impl Arena {
    /// Reserves addresses.
    ///
    /// # Panics
    /// If there are none.
    pub fn reserve(bytes: usize) -> Self {
        // SAFETY: a new mapping touches no other memory.
        let start = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            libc::mmap(ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0)
        };
        assert_ne!(start, libc::MAP_FAILED);
        Self { start: start as usize, bytes }
    }

    /// First address.
    pub fn start(&self) -> usize {
        self.start
    }

    /// First address behind it.
    pub fn end(&self) -> usize {
        self.start + self.bytes
    }

    /// Three parts of it.
    pub fn thirds(&self) -> [Self; 3] {
        let bytes = self.bytes / 3 / PAGE * PAGE;
        [0, 1, 2].map(|at| Self { start: self.start + at * bytes, bytes })
    }

    /// Maps anonymous memory at an offset.
    fn map(&self, offset: usize, bytes: usize, access: i32) {
        assert!(offset + bytes <= self.bytes);
        // SAFETY: replaces a part of the arena, which the caller does not use.
        let mapped = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            libc::mmap((self.start + offset) as *mut _, bytes, access, flags, -1, 0)
        };
        assert_ne!(mapped, libc::MAP_FAILED);
    }

    fn protect(&self, offset: usize, bytes: usize, access: i32) {
        // SAFETY: a part of the arena that the caller has mapped.
        let failed = unsafe { libc::mprotect((self.start + offset) as *mut _, bytes, access) };
        assert_eq!(failed, 0);
    }
}

fn below(random: &mut u64, limit: usize) -> usize {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    (*random >> 20) as usize % limit
}

/// Maps memory somewhere in the arena, fills it, walks over it, protects and moves parts of it, and unmaps it.
///
/// # Panics
/// If a word is not what was written.
pub fn churn(arena: &Arena, random: &mut u64) {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let half = arena.bytes / 2 / PAGE;
    let pages = 64 + below(random, 448);
    let offset = below(random, half - pages) * PAGE;
    let bytes = pages * PAGE;
    arena.map(offset, bytes, access);
    let first = (arena.start + offset) as *mut u64;
    for at in 0..bytes / 8 {
        // SAFETY: mapped above.
        unsafe { first.add(at).write(1) };
    }
    arena.protect(offset, bytes, libc::PROT_READ);
    for _ in 0..16 {
        // SAFETY: mapped and readable.
        assert_eq!(unsafe { walk_at(first, bytes / 8, 1) }, bytes as u64 / 8);
    }
    arena.protect(offset, bytes, libc::PROT_NONE);
    arena.protect(offset, bytes, libc::PROT_READ);
    // Into the other half, at a random place.
    let moved = (half + below(random, half - pages)) * PAGE;
    // SAFETY: both places are parts of the arena that nobody uses.
    let now = unsafe {
        // Nothing may be missing meanwhile: the kernel would put memory of other threads there, which is then replaced below.
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
        libc::mremap(first.cast(), bytes, bytes, flags, (arena.start + moved) as *mut libc::c_void)
    };
    assert_ne!(now, libc::MAP_FAILED);
    for _ in 0..16 {
        // SAFETY: mapped there now.
        assert_eq!(unsafe { walk_at(now.cast(), bytes / 8, 1) }, bytes as u64 / 8);
    }
    arena.map(offset, bytes, libc::PROT_NONE);
    arena.map(moved, bytes, libc::PROT_NONE);
}

/// Walks over a shared mapping of a device for as long as `goes_on`, each time inside of `around`.
///
/// # Panics
/// If the device cannot be mapped.
pub fn device(arena: &Arena, goes_on: impl Fn() -> bool, around: impl Fn(&dyn Fn() -> u64) -> u64) {
    let file = OpenOptions::new().read(true).write(true).open("/dev/zero").expect("there is one");
    let bytes = 4 << 20;
    // SAFETY: replaces a part of the arena, which nobody uses.
    let mapped = unsafe {
        let (access, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
        libc::mmap(arena.start as *mut _, bytes, access, flags, file.as_raw_fd(), 0)
    };
    assert_ne!(mapped, libc::MAP_FAILED);
    // SAFETY: mapped above.
    let words = || unsafe { walk_at(mapped.cast(), bytes / 8, 8) };
    while goes_on() {
        assert_eq!(around(&words), 0);
    }
}

/// Has the first half of an arena served by a thread of this program: pages come when they are touched.
///
/// # Errors
/// The kernel does not let this user do so.
pub fn serve_faults(arena: &Arena) -> io::Result<&'static [u64]> {
    const USER_MODE_ONLY: i32 = 1;
    const API: u64 = 0xC018_AA3F;
    const REGISTER: u64 = 0xC020_AA00;
    const ZEROPAGE: u64 = 0xC020_AA04;
    let bytes = arena.bytes / 2;
    arena.map(0, bytes, libc::PROT_READ | libc::PROT_WRITE);
    // SAFETY: takes flags, returns a descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | USER_MODE_ONLY) };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let checked = |result: i32| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    let mut api = [0xAA_u64, 0, 0];
    // SAFETY: the place has the size of the request's structure.
    checked(unsafe { libc::ioctl(fd, API, api.as_mut_ptr()) })?;
    let start = arena.start as u64;
    // Range, and the mode: pages that are missing.
    let mut register = [start, bytes as u64, 1, 0];
    // SAFETY: as above.
    checked(unsafe { libc::ioctl(fd, REGISTER, register.as_mut_ptr()) })?;
    std::thread::spawn(move || {
        let mut message = [0_u64; 4];
        // SAFETY: the place has the size of a message.
        while unsafe { libc::read(fd, message.as_mut_ptr().cast(), 32) } == 32 {
            let page = message[2] & !(PAGE as u64 - 1);
            let mut zero = [page, PAGE as u64, 0, 0];
            // SAFETY: as above; a page that is there by now is left as it is.
            unsafe { libc::ioctl(fd, ZEROPAGE, zero.as_mut_ptr()) };
        }
    });
    // SAFETY: mapped above for good, and zeros where touched.
    Ok(unsafe { std::slice::from_raw_parts(arena.start as *const u64, bytes / 8) })
}

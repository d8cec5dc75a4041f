//! The calls to the kernel that the probes of this machine need, each wrapped so that the rest stays safe code.
//!
//! Nothing here judges or words anything: an error is the `io::Error` of the call.

use std::ffi::{CStr, c_int, c_long, c_ulong, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::slice;

use crate::units::Nanos;

/// Two mebibytes: the size of a huge page on x86-64 and on aarch64 with pages of 4 KiB.
pub(super) const HUGE_PAGE: usize = 2 << 20;

/// Anonymous memory, aligned to huge pages. It is zero, and not touched yet.
#[derive(Debug)]
pub(super) struct Pages {
    map: Map,
    offset: usize,
    len: usize,
}

impl Pages {
    /// Reserves `len` bytes. Costs microseconds; the first write to each page costs the rest.
    pub(super) fn new(len: usize) -> io::Result<Self> {
        Self::advised(len, libc::MADV_HUGEPAGE)
    }

    /// The same in pages of the usual size, as most programs have them.
    pub(super) fn small(len: usize) -> io::Result<Self> {
        Self::advised(len, libc::MADV_NOHUGEPAGE)
    }

    fn advised(len: usize, advice: c_int) -> io::Result<Self> {
        let whole = len.checked_add(HUGE_PAGE).ok_or(io::ErrorKind::OutOfMemory)?;
        let map = Map::new(
            None,
            whole,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        )?;
        let start = map.at.as_ptr().addr();
        let offset = start.next_multiple_of(HUGE_PAGE) - start;
        // SAFETY: `offset + len` is within the mapping, because `offset` is less than the huge page added above.
        // Advice that the kernel refuses costs speed only.
        unsafe { libc::madvise(map.at.as_ptr().byte_add(offset), len, advice) };
        Ok(Self { map, offset, len })
    }

    /// The memory.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: `offset + len` is within the mapping (see `new`), which lives as long as `self`, is readable, and
        // zero where it was not written.
        unsafe {
            slice::from_raw_parts(self.map.at.as_ptr().cast::<u8>().add(self.offset), self.len)
        }
    }

    /// The memory, to write.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `&mut self` makes it the only reference.
        unsafe {
            slice::from_raw_parts_mut(self.map.at.as_ptr().cast::<u8>().add(self.offset), self.len)
        }
    }
}

/// A mapping that is undone when dropped.
#[derive(Debug)]
pub(super) struct Map {
    at: ptr::NonNull<c_void>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread, and `Map` gives no access without `unsafe`.
unsafe impl Send for Map {}
// SAFETY: what is safe with `&Map` and `&Pages` only reads.
unsafe impl Sync for Map {}

impl Map {
    fn new(
        file: Option<BorrowedFd<'_>>,
        len: usize,
        protection: c_int,
        flags: c_int,
    ) -> io::Result<Self> {
        let fd = file.map_or(-1, |f| f.as_raw_fd());
        // SAFETY: no address is asked for, so no mapping of others is replaced.
        let at = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, fd, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = ptr::NonNull::new(at).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { at, len })
    }

    /// Maps the first `len` bytes of `file`, shared and writable. The file must be that long, or a later access faults.
    pub(super) fn shared(file: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        Self::new(Some(file), len, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED)
    }

    /// The memory.
    ///
    /// # Safety
    /// Nobody writes to it while it is borrowed: no kernel, and no holder of the file.
    pub(super) unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is so long, readable, and lives as long as `self`; nobody writes by the contract.
        unsafe { slice::from_raw_parts(self.at.as_ptr().cast(), self.len) }
    }

    /// Reads the word at byte `offset`, as another writer (a kernel, a file) left it.
    pub(super) fn word(&self, offset: usize) -> Option<u64> {
        if !offset.is_multiple_of(8) || offset.checked_add(8)? > self.len {
            return None;
        }
        // SAFETY: in bounds and aligned by the check; mappings are page-aligned.
        Some(unsafe { ptr::read_volatile(self.at.as_ptr().byte_add(offset).cast::<u64>()) })
    }

    /// Writes the word at byte 0.
    pub(super) fn set_first_word(&mut self, value: u64) {
        assert!(self.len >= 8, "a mapping is at least a page");
        // SAFETY: in bounds by the assertion, aligned because mappings are page-aligned, and mapped writable.
        unsafe { ptr::write_volatile(self.at.as_ptr().cast::<u64>(), value) };
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new`, and every borrow of it ends before `self`.
        unsafe { libc::munmap(self.at.as_ptr(), self.len) };
    }
}

/// The size of a page in bytes.
pub(super) fn page_size() -> usize {
    // SAFETY: reads a constant of the system.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// Ticks of `/proc/stat` in a second.
pub(super) fn ticks_per_second() -> u64 {
    // SAFETY: reads a constant of the system.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).ok().filter(|t| *t > 0).unwrap_or(100)
}

/// The CPUs that the calling thread may use, rising.
pub(super) fn affinity() -> io::Result<Vec<u32>> {
    // 1024 CPUs fit `cpu_set_t`; larger machines need a larger mask, and the kernel says so with EINVAL.
    let mut mask = vec![0_u64; 16];
    loop {
        let bytes = mask.len() * size_of::<u64>();
        // SAFETY: the mask is `bytes` long and outlives the call.
        let written =
            unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, bytes, mask.as_mut_ptr()) };
        if written >= 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINVAL) || mask.len() > 4096 {
            return Err(error);
        }
        mask.resize(mask.len() * 4, 0);
    }
    let cpus = (0_u32..).zip(mask.iter().flat_map(|word| (0..64).map(move |bit| word >> bit & 1)));
    Ok(cpus.filter(|(_, set)| *set == 1).map(|(cpu, _)| cpu).collect())
}

/// Ties the calling thread to one CPU.
pub(super) fn pin_to(cpu: u32) -> io::Result<()> {
    let mut mask = vec![0_u64; cpu as usize / 64 + 1];
    mask[cpu as usize / 64] = 1 << (cpu % 64);
    let bytes = mask.len() * size_of::<u64>();
    // SAFETY: the mask is `bytes` long and outlives the call, which only reads it.
    check(unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, bytes, mask.as_ptr()) })
        .map(|_| ())
}

/// CPU time of the calling thread.
pub(super) fn thread_cpu_time() -> io::Result<Nanos> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call.
    check(c_long::from(unsafe {
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time)
    }))?;
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Ok(Nanos(seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)))
}

/// How many pages the kernel has given to the calling thread at its first touch of them.
pub(super) fn thread_minor_faults() -> io::Result<u64> {
    // SAFETY: `rusage` is numbers only, for which zeros are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` outlives the call.
    check(c_long::from(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) }))?;
    Ok(u64::try_from(usage.ru_minflt).unwrap_or(0))
}

/// The id of the calling thread.
pub(super) fn thread_id() -> i32 {
    // SAFETY: takes and changes nothing.
    unsafe { libc::gettid() }
}

/// Gives up the processor for `time` (at most a second), so that the kernel switches away.
pub(super) fn nap(time: Nanos) {
    let nanos = c_long::try_from(time.0).unwrap_or(c_long::MAX).min(999_999_999);
    let nap = libc::timespec { tv_sec: 0, tv_nsec: nanos };
    // SAFETY: `nap` outlives the call; the rest of an interrupted nap is not asked for.
    unsafe { libc::nanosleep(&raw const nap, ptr::null_mut()) };
}

/// The soft limit on locked memory in bytes; `None` is no limit.
pub(super) fn locked_memory_limit() -> io::Result<Option<u64>> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` outlives the call.
    check(c_long::from(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) }))?;
    Ok((limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur))
}

/// An unnamed file in memory.
pub(super) fn memory_file(name: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: `name` ends with 0 and outlives the call.
    let fd = check(c_long::from(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) }))?;
    owned(fd)
}

/// Takes `len` bytes of disk for `file`, so that writing to a mapping of it cannot fail later.
pub(super) fn allocate(file: BorrowedFd<'_>, len: i64) -> io::Result<()> {
    // SAFETY: works on a descriptor that is open by its type.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, len) } {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// The argument of `perf_event_open`, as in `linux/perf_event.h` (`PERF_ATTR_SIZE_VER8`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PerfAttributes {
    pub(super) kind: u32,
    pub(super) size: u32,
    pub(super) config: u64,
    pub(super) period_or_frequency: u64,
    pub(super) sample_type: u64,
    pub(super) read_format: u64,
    pub(super) flags: u64,
    pub(super) wakeup: u32,
    pub(super) breakpoint_kind: u32,
    pub(super) config1: u64,
    pub(super) config2: u64,
    pub(super) branch_sample_type: u64,
    pub(super) user_registers: u64,
    pub(super) user_stack: u32,
    pub(super) clock: i32,
    pub(super) interrupt_registers: u64,
    pub(super) aux_watermark: u32,
    pub(super) max_stack: u16,
    pub(super) reserved1: u16,
    pub(super) aux_sample_size: u32,
    pub(super) reserved2: u32,
    pub(super) signal_data: u64,
    pub(super) config3: u64,
}

/// Opens an event for the calling thread on any CPU.
pub(super) fn open_perf_event(attributes: &PerfAttributes) -> io::Result<OwnedFd> {
    const CLOSE_ON_EXEC: c_ulong = 8;
    const SIZE: u32 = 136;
    const {
        assert!(
            size_of::<PerfAttributes>() == SIZE as usize,
            "the layout that the kernel knows by its size"
        );
    };
    let attributes = PerfAttributes { size: SIZE, ..*attributes };
    // SAFETY: the structure is as long as its `size` field says and outlives the call, which may write its size only.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            0,
            -1_i32,
            -1_i32,
            CLOSE_ON_EXEC,
        )
    };
    check(fd).and_then(owned)
}

/// Whether the dynamic linker finds `library`; the error is its own words. Runs the library's constructors.
pub(super) fn can_load(library: &CStr) -> Result<(), String> {
    // SAFETY: the name ends with 0. Constructors of a library installed on this machine run, as in any program
    // linked to it.
    let handle = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) };
    if !handle.is_null() {
        // SAFETY: the handle is from `dlopen` and is not used again.
        unsafe { libc::dlclose(handle) };
        return Ok(());
    }
    // SAFETY: no other `dl` call of this thread comes between; the text is copied before the next one.
    let words = unsafe { libc::dlerror() };
    if words.is_null() {
        return Err("the dynamic linker gave no reason".to_owned());
    }
    // SAFETY: `dlerror` returned a string that ends with 0.
    Err(unsafe { CStr::from_ptr(words) }.to_string_lossy().into_owned())
}

fn check(result: c_long) -> io::Result<c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(fd: c_long) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: called with what the kernel has just returned as a new descriptor, which nobody else holds.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn pages_are_aligned_zero_and_writable() {
        let mut pages = Pages::new(3 << 20).unwrap();
        assert_eq!(pages.bytes().len(), 3 << 20);
        assert_eq!(pages.bytes().as_ptr().addr() % HUGE_PAGE, 0);
        assert!(pages.bytes().iter().all(|b| *b == 0));
        pages.bytes_mut().fill(7);
        assert_eq!(pages.bytes()[(3 << 20) - 1], 7);
    }

    #[test]
    fn a_word_outside_a_mapping_is_none() {
        let file = memory_file(c"test").unwrap();
        allocate(file.as_fd(), 4096).unwrap();
        let mut map = Map::shared(file.as_fd(), 4096).unwrap();
        map.set_first_word(42);
        assert_eq!(map.word(0), Some(42));
        assert_eq!(map.word(4096), None);
        assert_eq!(map.word(usize::MAX - 7), None);
        assert_eq!(map.word(1), None);
    }

    #[test]
    fn a_thread_may_be_pinned_where_it_may_run() {
        std::thread::spawn(|| {
            let last = *affinity().unwrap().last().unwrap();
            pin_to(last).unwrap();
            assert_eq!(affinity().unwrap(), [last]);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_missing_library_is_named() {
        assert!(can_load(c"libno-such-thing.so.1").unwrap_err().contains("libno-such-thing"));
    }
}

//! The system calls that the standard library does not offer, each behind one safe function.
//!
//! The only module of the command line side with `unsafe`. Nothing here decides anything.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

/// What the kernel counted for a process that has ended and for the descendants that it waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// CPU time in user mode, in ns (the kernel counts in µs).
    pub user_ns: u64,
    /// CPU time in the kernel, in ns.
    pub system_ns: u64,
    /// Largest resident set, in bytes.
    pub max_rss_bytes: u64,
    /// Page faults served without I/O.
    pub minor_faults: u64,
    /// Page faults that needed I/O.
    pub major_faults: u64,
    /// Times that a thread gave up its CPU to wait.
    pub voluntary_switches: u64,
    /// Times that a thread was taken off its CPU.
    pub involuntary_switches: u64,
}

/// `CLOCK_MONOTONIC`, the clock that the recording uses too.
pub fn monotonic() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `time` is writable memory of the right type; the call writes nothing else.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr()) } != 0;
    assert!(!failed, "CLOCK_MONOTONIC exists on every kernel that Rust runs on");
    // SAFETY: the call succeeded, so it has filled `time`.
    let time = unsafe { time.assume_init() };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Blocks until process `pid`, a child of this one, has ended, and leaves it as a zombie: its id stays taken.
///
/// # Errors
/// `ECHILD` if it is not a child of this process.
pub fn wait_until_ended(pid: u32) -> io::Result<()> {
    loop {
        let mut info = MaybeUninit::<libc::siginfo_t>::uninit();
        // SAFETY: `info` is writable memory of the right type.
        let result = unsafe {
            libc::waitid(libc::P_PID, pid, info.as_mut_ptr(), libc::WEXITED | libc::WNOWAIT)
        };
        if result == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Takes the status and the usage of process `pid`, which has ended, and frees its id.
///
/// # Errors
/// `ECHILD` if it is not a child of this process or was reaped before.
pub fn reap(pid: u32) -> io::Result<(std::process::ExitStatus, Usage)> {
    use std::os::unix::process::ExitStatusExt as _;
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are writable memory of the right type.
    let result = unsafe { libc::wait4(as_pid(pid), &raw mut status, 0, usage.as_mut_ptr()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `rusage` is made of integers, and the call or `zeroed` has filled every one.
    let usage = unsafe { usage.assume_init() };
    let ns = |time: libc::timeval| {
        time.tv_sec.unsigned_abs() * 1_000_000_000
            + u64::try_from(time.tv_usec).unwrap_or(0) * 1_000
    };
    let count = |n: libc::c_long| u64::try_from(n).unwrap_or(0);
    let usage = Usage {
        user_ns: ns(usage.ru_utime),
        system_ns: ns(usage.ru_stime),
        max_rss_bytes: count(usage.ru_maxrss) * 1024,
        minor_faults: count(usage.ru_minflt),
        major_faults: count(usage.ru_majflt),
        voluntary_switches: count(usage.ru_nvcsw),
        involuntary_switches: count(usage.ru_nivcsw),
    };
    Ok((std::process::ExitStatus::from_raw(status), usage))
}

/// Sends `signal` to process `pid`; one that has ended already is no error that anybody could act on.
pub fn send_signal(pid: u32, signal: i32) {
    // SAFETY: `kill` touches no memory; the caller holds `pid` as a child that it has not reaped.
    unsafe { libc::kill(as_pid(pid), signal) };
}

/// Ends this process by `signal`, as if it had never been handled. Returns only if the signal is blocked.
pub fn die_by(signal: i32) {
    set_handler(signal, libc::SIG_DFL);
    // SAFETY: `raise` touches no memory.
    unsafe { libc::raise(signal) };
}

/// Whether `signal` was ignored when this process began, as `nohup` and background jobs do it.
pub fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action only asks; `action` is writable memory of the right type.
    let failed = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } != 0;
    // SAFETY: all-zero bytes are a valid `sigaction`, and the call only overwrites them with another one.
    !failed && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// Write end of the pipe that [`on_signal`] reports to; -1 while there is none.
static SIGNAL_PIPE: AtomicI32 = AtomicI32::new(-1);

/// Reports that [`on_signal`] has written.
static SIGNALS_REPORTED: AtomicU64 = AtomicU64::new(0);

/// How many signals have been reported to the pipe so far. A signal that arrived before a wait for a child returned is
/// among them, since its handler runs first.
pub fn signals_reported() -> u64 {
    // Acquire: pairs with the Release in `on_signal`; whoever sees the count finds the report in the pipe.
    SIGNALS_REPORTED.load(Ordering::Acquire)
}

/// Opens the pipe that reports the signals of [`catch`]: two bytes each, the number and 1 if a process sent it (0 if the
/// kernel did, for a terminal that every process of the foreground group hears). Called once per process.
///
/// # Errors
/// If the process may open no more files.
pub fn signal_pipe() -> io::Result<File> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // Release: pairs with the Acquire in `on_signal`. The write end is never closed, so it stays valid there.
    SIGNAL_PIPE.store(ends[1], Ordering::Release);
    // SAFETY: the kernel has just given this descriptor, and nobody else has it.
    Ok(unsafe { File::from_raw_fd(ends[0]) })
}

/// From now on `signal` is reported to the pipe of [`signal_pipe`] and does nothing else. A program started later gets
/// the default action again, which is why this is not `SIG_IGN`: that would survive `exec`.
pub fn catch(signal: i32) {
    set_handler(signal, on_signal as *const () as libc::sighandler_t);
}

extern "C" fn on_signal(signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid `info`; the check is for a handler that was set differently.
    let is_from_process = !info.is_null() && unsafe { (*info).si_code } <= 0;
    let report = [u8::try_from(signal).unwrap_or(0), u8::from(is_from_process)];
    // Acquire: pairs with the Release in `signal_pipe`.
    let pipe = SIGNAL_PIPE.load(Ordering::Acquire);
    // SAFETY: `__errno_location` gives the errno of this thread, which `write` may change and the interrupted code may
    // be about to read; `write` is async-signal-safe, and `report` outlives the call.
    unsafe {
        let errno = libc::__errno_location();
        let saved = *errno;
        if libc::write(pipe, report.as_ptr().cast(), report.len()) == report.len().cast_signed() {
            // Release: pairs with the Acquire in `signals_reported`.
            SIGNALS_REPORTED.fetch_add(1, Ordering::Release);
        }
        *errno = saved;
    }
}

fn set_handler(signal: i32, handler: libc::sighandler_t) {
    // SAFETY: all-zero bytes are a valid `sigaction`: default action, empty mask, no flags.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
    // SAFETY: `action` is initialized, and its handler, if any, is async-signal-safe (`on_signal`).
    unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
}

/// Makes a file without a name, in memory, which another process can open through `/proc/<pid>/fd/<n>`.
///
/// # Errors
/// If the kernel has no `memfd_create` or the process may open no more files.
pub fn memory_file(name: &CStr) -> io::Result<File> {
    // SAFETY: `name` ends with a zero byte.
    let descriptor = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given this descriptor, and nobody else has it.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

/// Locks an open file or folder for this process, until it is closed.
///
/// # Errors
/// `WouldBlock` if another process has locked it; others where the file system knows no locks.
pub fn try_lock(file: &File) -> io::Result<()> {
    // SAFETY: only passes a descriptor that `file` keeps open.
    let failed = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Tries what the recording will do with its file: reserve `length` bytes, map them shared, write the first one.
///
/// # Errors
/// If the file system cannot reserve space or cannot be mapped shared.
pub fn try_shared_map(file: &File, length: usize) -> io::Result<()> {
    let space = libc::off_t::try_from(length).map_err(io::Error::other)?;
    // SAFETY: only passes a descriptor that `file` keeps open.
    let error = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, space) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping of an open file at an address of the kernel's choice; nothing else is touched.
    let map = unsafe {
        libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    if map == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `map` is `length` writable bytes that only this function knows, backed by the space reserved above, and
    // is not used after it is unmapped.
    unsafe {
        map.cast::<u8>().write_volatile(1);
        libc::munmap(map, length);
    }
    Ok(())
}

fn as_pid(pid: u32) -> libc::pid_t {
    // Process ids fit in 22 bits on Linux; -1 or 0 would mean other processes, so an impossible id becomes one that no
    // process has.
    libc::pid_t::try_from(pid).ok().filter(|&pid| 0 < pid).unwrap_or(libc::pid_t::MAX)
}

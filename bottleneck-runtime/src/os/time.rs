//! Reading clocks.

/// Nanoseconds of a clock. 0 if the kernel does not know it, which for the clocks below does not happen.
fn read(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid place for a `timespec`.
    if unsafe { libc::clock_gettime(clock, &raw mut now) } != 0 {
        return 0;
    }
    #[expect(clippy::cast_sign_loss, reason = "these clocks do not run below zero")]
    let nanoseconds = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
    nanoseconds
}

/// `CLOCK_MONOTONIC`.
pub(crate) fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Wall clock, since 1970.
pub(crate) fn unix_ns() -> u64 {
    read(libc::CLOCK_REALTIME)
}

/// CPU time of the calling thread. About 0.5 µs: a system call.
pub(crate) fn thread_cpu_ns() -> u64 {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU time of the process, all of its threads.
pub(crate) fn process_cpu_ns() -> u64 {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// CPU time of another thread of this process; 0 if it is gone.
pub(crate) fn cpu_ns_of(tid: u32) -> u64 {
    // The kernel's encoding of a per-thread CPU clock (MAKE_THREAD_CPUCLOCK with CPUCLOCK_SCHED).
    read((!(tid.cast_signed()) << 3) | 6)
}

/// Page faults of the calling thread: served without I/O, and from a disk.
pub(crate) fn thread_faults() -> (u64, u64) {
    // SAFETY: all zeros is a valid `rusage`.
    let mut usage: libc::rusage = unsafe { core::mem::zeroed() };
    // SAFETY: `usage` is a valid place for a `rusage`.
    if unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) } != 0 {
        return (0, 0);
    }
    (usage.ru_minflt.cast_unsigned(), usage.ru_majflt.cast_unsigned())
}

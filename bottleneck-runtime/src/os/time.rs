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

/// Time that the hypervisor gave to others since the machine began, summed over its CPUs, in ns. `None` where the kernel does
/// not tell. To the accuracy of the kernel's ticks, 10 ms.
pub(crate) fn stolen_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    // SAFETY: takes a number, returns one.
    let ticks_per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).ok()?;
    Some(stolen_ticks(&text)?.saturating_mul(1_000_000_000u64.checked_div(ticks_per_second)?))
}

/// The eighth figure of the line of all CPUs.
fn stolen_ticks(text: &str) -> Option<u64> {
    let mut fields = text.lines().next()?.split_ascii_whitespace();
    if fields.next()? != "cpu" {
        return None;
    }
    fields.nth(7)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::stolen_ticks;

    #[test]
    fn stolen_time_is_the_eighth_figure() {
        assert_eq!(stolen_ticks("cpu  1 2 3 4 5 6 7 88 9 10\ncpu0 1 2 3\n"), Some(88));
        assert_eq!(stolen_ticks("cpu  1 2 3 4\n"), None);
        assert_eq!(stolen_ticks("intr 1 2 3 4 5 6 7 8 9\n"), None);
        assert_eq!(stolen_ticks(""), None);
    }
}

//! System calls for signal handlers: without the C library, so that `errno` stays as the interrupted code left it, and without
//! anything that is kept by thread. A failed call is a negative number.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "arguments of system calls are words, whatever is in them"
)]

use core::arch::asm;

/// Makes a system call with up to three arguments.
///
/// # Safety
/// The call does what the caller may do, and its pointers are valid for it.
#[inline(always)]
unsafe fn call(number: libc::c_long, arguments: [usize; 4]) -> isize {
    let result: isize;
    // SAFETY: by contract of this function; the kernel changes no registers but these.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Whether the page at `address`, which is a multiple of its size, is in memory: reading it asks no disk and no other process.
///
/// Of a file that this user may neither write nor own the kernel says so always.
pub(crate) fn is_resident(page: u64) -> bool {
    let mut state = 0_u8;
    // SAFETY: the kernel checks the address, and writes one byte for one page.
    let result =
        unsafe { call(libc::SYS_mincore, [page as usize, 4096, (&raw mut state) as usize, 0]) };
    result == 0 && state & 1 != 0
}

/// What the kernel has done for a thread so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Page faults of both sorts.
    pub(crate) faults: u64,
    /// CPU time inside the kernel, in µs.
    pub(crate) kernel_us: u64,
    /// All CPU time, in µs.
    pub(crate) cpu_us: u64,
}

/// What the kernel has done for the calling thread; zeros if it does not tell.
pub(crate) fn thread_usage() -> Usage {
    /// Places of `ru_utime` and `ru_stime` (seconds, microseconds), `ru_minflt` and `ru_majflt` in `struct rusage`, in words.
    const OWN_AT: [usize; 2] = [0, 1];
    const KERNEL_AT: [usize; 2] = [2, 3];
    const FAULTS_AT: [usize; 2] = [8, 9];
    let mut usage = [0_u64; 18];
    // SAFETY: the place has the size of a `struct rusage`, 144 bytes.
    let result = unsafe {
        let place = usage.as_mut_ptr() as usize;
        call(libc::SYS_getrusage, [libc::RUSAGE_THREAD as usize, place, 0, 0])
    };
    if result != 0 {
        return Usage::default();
    }
    let micros = |at: [usize; 2]| {
        let [seconds, micros] = at.map(|at| usage[at]);
        seconds.wrapping_mul(1_000_000).wrapping_add(micros)
    };
    let (own_us, kernel_us) = (micros(OWN_AT), micros(KERNEL_AT));
    let [minor, major] = FAULTS_AT.map(|at| usage[at]);
    Usage { faults: minor.wrapping_add(major), kernel_us, cpu_us: own_us.wrapping_add(kernel_us) }
}

/// The address of the function that handles a signal; `None` if the kernel does not tell. What has no function has 0 or 1.
pub(crate) fn handler_of(signal: i32) -> Option<usize> {
    // `struct sigaction` of the kernel: handler, flags, restorer, mask.
    let mut action = [0_usize; 4];
    // SAFETY: nothing is changed, and the place has the size of the kernel's structure with a mask of 8 bytes.
    let result = unsafe {
        let place = action.as_mut_ptr() as usize;
        call(libc::SYS_rt_sigaction, [signal as usize, 0, place, 8])
    };
    (result == 0).then_some(action[0])
}

/// An `ioctl` whose argument is a place.
///
/// # Safety
/// `place` is valid for what the request reads and writes.
pub(crate) unsafe fn ioctl(fd: i32, request: u64, place: *mut u8) -> isize {
    // SAFETY: by contract.
    unsafe { call(libc::SYS_ioctl, [fd as usize, request as usize, place as usize, 0]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_touched_is_resident_and_what_is_not_mapped_is_not() {
        let data = vec![1_u8; 8192];
        assert!(is_resident(data.as_ptr() as u64 & !4095));
        assert!(!is_resident(4096));
    }

    #[test]
    fn faults_rise_with_fresh_pages() {
        let before = thread_usage().faults;
        let mut data = vec![0_u8; 64 << 20];
        for at in (0..data.len()).step_by(4096) {
            data[at] = 1;
        }
        assert!(before < thread_usage().faults, "{}", data.len());
    }

    #[test]
    fn a_signal_without_a_handler_has_none() {
        assert_eq!(handler_of(libc::SIGWINCH), Some(libc::SIG_DFL));
        assert_eq!(handler_of(9999), None);
    }
}

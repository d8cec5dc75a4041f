//! What wakes the background thread: a time, or a ring that fills.

use super::Errno;

/// Rings that are told of at once; the others at the next wait.
const MOST: usize = 16;

/// Why a wait ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Woken {
    /// The time is over, or a signal came.
    ByTime,
    /// By these; the places that are not used are 0.
    By([u64; MOST]),
    /// What is to be waited for is not ours any more, or never was: a program may close every descriptor.
    Broken,
}

/// What rings are watched by; -1 where it cannot be had.
pub(crate) fn new() -> i32 {
    // SAFETY: takes a flag, returns a descriptor or -1.
    unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }
}

/// Has `wait` end with `name` when `fd` becomes readable.
pub(crate) fn watch(wakeups: i32, fd: i32, name: u64) {
    // Once for every time that it becomes so: the ring of a thread that vanished without a word is readable for good.
    let events = (libc::EPOLLIN | libc::EPOLLET).cast_unsigned();
    let mut event = libc::epoll_event { events, u64: name };
    // SAFETY: `event` is valid for the call. The kernel forgets `fd` when it is closed.
    unsafe { libc::epoll_ctl(wakeups, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
}

/// Waits for so long at most, to the accuracy of the kernel's timers: 50 µs, or 1 ms before Linux 5.11.
///
/// Not by polling the epoll itself: a ring tells only the first who asks that it fills.
pub(crate) fn wait(wakeups: i32, for_ns: u64) -> Woken {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; MOST];
    let time = timespec(for_ns);
    // SAFETY: `events` has room for 16, the time is valid, and there is no change of the signal mask.
    let mut n = unsafe {
        let (place, no_mask) = (events.as_mut_ptr(), core::ptr::null::<libc::sigset_t>());
        libc::syscall(libc::SYS_epoll_pwait2, wakeups, place, 16, &raw const time, no_mask, 8)
    };
    if n < 0 && matches!(Errno::last(), Errno(libc::ENOSYS | libc::EPERM)) {
        let milliseconds = i32::try_from(for_ns.div_ceil(1_000_000)).unwrap_or(i32::MAX);
        // SAFETY: `events` has room for 16.
        n = unsafe { libc::epoll_wait(wakeups, events.as_mut_ptr(), 16, milliseconds) }.into();
    }
    match usize::try_from(n) {
        Ok(0) => Woken::ByTime,
        Ok(n) => {
            let mut names = [0; MOST];
            for (name, event) in names.iter_mut().zip(events.iter().take(n)) {
                *name = event.u64;
            }
            Woken::By(names)
        }
        Err(_) if Errno::last() == Errno(libc::EINTR) => Woken::ByTime,
        Err(_) => Woken::Broken,
    }
}

/// Sleeps for so long at most.
pub(crate) fn sleep(for_ns: u64) {
    let time = timespec(for_ns);
    // SAFETY: a valid time; what is left of it is not asked for.
    unsafe { libc::nanosleep(&raw const time, core::ptr::null_mut()) };
}

#[expect(clippy::cast_possible_wrap, reason = "2^63 ns are three centuries")]
fn timespec(ns: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: (ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    }
}

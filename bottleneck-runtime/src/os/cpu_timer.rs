//! Timers that send a thread a signal each time it has used so much CPU time.
//!
//! Their signals interrupt no system call: since Linux 5.10 such a timer expires on x86 on the thread's way back to user mode,
//! so a call that sleeps or works goes on, and the signal comes when it is done.

use super::Errno;

/// The signal. Its default action is to be ignored: nothing breaks in a program that resets it.
pub(crate) const SIGNAL: i32 = libc::SIGURG;
/// CPU time of a thread between two signals, in ns.
pub(crate) const PERIOD_NS: u64 = 4_000_000;
/// The first kernel that behaves as the module's description says.
const SINCE: (u32, u32) = (5, 10);

/// `struct sigevent` as the kernel has it.
#[repr(C)]
struct Event {
    value: u64,
    signal: i32,
    notify: i32,
    tid: i32,
    padding: [i32; 11],
}

/// A timer of one thread. It is deleted by whoever drops it, on any thread of the process.
#[derive(Debug)]
pub(crate) struct CpuTimer {
    id: i32,
}

impl CpuTimer {
    /// Makes one for a thread of this process, which is sent `value` with each signal.
    #[expect(clippy::cast_possible_wrap, reason = "4 ms fit any time")]
    pub(crate) fn start(tid: u32, value: u64) -> Result<Self, Errno> {
        let mut event = Event {
            value,
            signal: SIGNAL,
            notify: libc::SIGEV_THREAD_ID,
            tid: tid.cast_signed(),
            padding: [0; 11],
        };
        // The kernel's encoding of a thread's CPU clock (MAKE_THREAD_CPUCLOCK with CPUCLOCK_SCHED).
        let clock = (!tid.cast_signed() << 3) | 6;
        let mut id = 0_i32;
        // SAFETY: both places are valid for the call.
        let made =
            unsafe { libc::syscall(libc::SYS_timer_create, clock, &raw mut event, &raw mut id) };
        if made != 0 {
            return Err(Errno::last());
        }
        let timer = Self { id };
        let period = libc::timespec { tv_sec: 0, tv_nsec: PERIOD_NS as libc::c_long };
        let times = libc::itimerspec { it_interval: period, it_value: period };
        // SAFETY: a valid time; what was set before is not asked for.
        let set = unsafe {
            let no_old = core::ptr::null_mut::<libc::itimerspec>();
            libc::syscall(libc::SYS_timer_settime, id, 0_i32, &raw const times, no_old)
        };
        if set == 0 { Ok(timer) } else { Err(Errno::last()) }
    }
}

impl Drop for CpuTimer {
    fn drop(&mut self) {
        // SAFETY: takes a number; ours, since it is known to this value alone.
        unsafe { libc::syscall(libc::SYS_timer_delete, self.id) };
    }
}

/// Why this kernel's timers are not used, if they are not.
pub(crate) fn problem() -> Option<String> {
    let release = release();
    if version(&release).is_none_or(|version| version < SINCE) {
        return Some(format!(
            "timers of this kernel ({release}) interrupt system calls; Linux {}.{} and later ones do not",
            SINCE.0, SINCE.1
        ));
    }
    None
}

fn release() -> String {
    // SAFETY: all zeros is a valid `utsname`.
    let mut name: libc::utsname = unsafe { core::mem::zeroed() };
    // SAFETY: `name` is a valid place.
    unsafe { libc::uname(&raw mut name) };
    let bytes: Vec<u8> = name
        .release
        .iter()
        .take_while(|&&byte| byte != 0)
        .map(|byte| byte.cast_unsigned())
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The first two numbers of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_not_texts() {
        assert_eq!(version("6.18.44-fc-v5"), Some((6, 18)));
        assert_eq!(version("5.9.0"), Some((5, 9)));
        assert!(version("5.10.0-1") >= Some(SINCE) && version("4.19") < Some(SINCE));
        assert_eq!(version("unknown"), None);
    }

    #[test]
    fn a_timer_is_made_and_deleted() {
        drop(CpuTimer::start(crate::os::thread::tid(), 0).unwrap());
        assert!(CpuTimer::start(u32::MAX >> 2, 0).is_err());
    }
}

//! System calls by their number: which kind of wait they are, for what, and whether they end by themselves.
//!
//! The numbers are those of the architecture that this is built for. Those that newer architectures never had are x86's.

use super::task::RawCall;
use crate::format::snapshot::Call;

/// What a system call says of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) call: Call,
    /// The address of a futex, the number of a descriptor, or the call's first argument.
    pub(crate) argument: u64,
    /// What a futex is expected to hold; the number of a call that has no kind of its own.
    pub(crate) value: u32,
    /// It ends by itself after some time.
    pub(crate) is_timed: bool,
    /// The descriptor that it waits for.
    pub(crate) descriptor: Option<i32>,
    /// Descriptors of a `poll`: address of the list, and how many there are.
    pub(crate) polled: Option<(u64, u64)>,
}

impl Wait {
    /// Nothing is known.
    pub(crate) const UNKNOWN: Self = Self {
        call: Call::Unknown,
        argument: 0,
        value: 0,
        is_timed: false,
        descriptor: None,
        polled: None,
    };
}

/// Where the limit of time is, if the call can have one.
#[derive(Clone, Copy)]
enum Limit {
    None,
    Always,
    /// This argument points to a time, or is zero.
    Pointer(usize),
    /// This argument is a number of milliseconds, or negative.
    Milliseconds(usize),
}

/// What a kind of call waits for.
#[derive(Clone, Copy)]
enum For {
    Nothing,
    /// The descriptor in this argument.
    Descriptor(usize),
    /// The list that the first two arguments describe.
    Polled,
}

/// What is known of a call by its number.
type Row = (Call, For, Limit);

/// Reads a system call.
pub(crate) fn wait(raw: &RawCall) -> Wait {
    let number = i64::from(raw.number);
    let argument = |at: usize| raw.arguments.get(at).copied().unwrap_or(0);
    if let Some((value_at, limit)) = futex(number, argument(1)) {
        return Wait {
            call: Call::Futex,
            argument: argument(0),
            value: low_half(argument(value_at)),
            is_timed: is_limited(limit, raw),
            ..Wait::UNKNOWN
        };
    }
    let Some((call, waits_for, limit)) = row(number) else {
        return Wait {
            call: Call::Other,
            argument: argument(0),
            value: raw.number,
            ..Wait::UNKNOWN
        };
    };
    let descriptor = match waits_for {
        For::Descriptor(at) => Some(low_half(argument(at)).cast_signed()),
        For::Nothing | For::Polled => None,
    };
    Wait {
        call,
        argument: descriptor
            .map_or(argument(0), |descriptor| u64::from(descriptor.cast_unsigned())),
        value: 0,
        is_timed: is_limited(limit, raw),
        descriptor,
        polled: matches!(waits_for, For::Polled).then_some((argument(0), argument(1))),
    }
}

/// For a wait for a futex: which argument is the expected value, and where the limit of time is.
fn futex(number: i64, operation: u64) -> Option<(usize, Limit)> {
    /// Linux 6.7; the number is the same on every architecture.
    const SYS_FUTEX_WAIT: i64 = 455;
    /// The bits that say which operation it is.
    const OPERATION: u64 = 0x7f;
    if number == libc::SYS_futex {
        let can_end = matches!(
            i32::try_from(operation & OPERATION),
            Ok(libc::FUTEX_WAIT
                | libc::FUTEX_WAIT_BITSET
                | libc::FUTEX_LOCK_PI
                | libc::FUTEX_LOCK_PI2
                | libc::FUTEX_WAIT_REQUEUE_PI)
        );
        return Some((2, if can_end { Limit::Pointer(3) } else { Limit::None }));
    }
    (number == SYS_FUTEX_WAIT).then_some((1, Limit::Pointer(4)))
}

fn is_limited(limit: Limit, raw: &RawCall) -> bool {
    let argument = |at: usize| raw.arguments.get(at).copied().unwrap_or(0);
    match limit {
        Limit::None => false,
        Limit::Always => true,
        Limit::Pointer(at) => argument(at) != 0,
        Limit::Milliseconds(at) => 0 <= low_half(argument(at)).cast_signed(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "an `int` lies in the low half of its word")]
fn low_half(word: u64) -> u32 {
    word as u32
}

/// The table.
fn row(number: i64) -> Option<Row> {
    use For::{Descriptor, Nothing, Polled};
    use libc as sys;
    let none = Limit::None;
    Some(match number {
        sys::SYS_nanosleep | sys::SYS_clock_nanosleep => (Call::Sleeping, Nothing, Limit::Always),
        sys::SYS_read
        | sys::SYS_readv
        | sys::SYS_pread64
        | sys::SYS_preadv
        | sys::SYS_preadv2
        | sys::SYS_getdents64 => (Call::Reading, Descriptor(0), none),
        sys::SYS_sendfile => (Call::Reading, Descriptor(1), none),
        sys::SYS_splice | sys::SYS_tee | sys::SYS_copy_file_range => {
            (Call::Reading, Descriptor(0), none)
        }
        sys::SYS_write
        | sys::SYS_writev
        | sys::SYS_pwrite64
        | sys::SYS_pwritev
        | sys::SYS_pwritev2
        | sys::SYS_vmsplice
        | sys::SYS_ftruncate
        | sys::SYS_fallocate => (Call::Writing, Descriptor(0), none),
        sys::SYS_recvfrom | sys::SYS_recvmsg => (Call::Receiving, Descriptor(0), none),
        sys::SYS_recvmmsg => (Call::Receiving, Descriptor(0), Limit::Pointer(4)),
        sys::SYS_sendto | sys::SYS_sendmsg | sys::SYS_sendmmsg => {
            (Call::Sending, Descriptor(0), none)
        }
        sys::SYS_ppoll => (Call::Polling, Polled, Limit::Pointer(2)),
        sys::SYS_pselect6 => (Call::Polling, Nothing, Limit::Pointer(4)),
        sys::SYS_epoll_pwait => (Call::Polling, Descriptor(0), Limit::Milliseconds(3)),
        sys::SYS_epoll_pwait2 => (Call::Polling, Descriptor(0), Limit::Pointer(3)),
        sys::SYS_accept | sys::SYS_accept4 => (Call::Accepting, Descriptor(0), none),
        sys::SYS_connect => (Call::Connecting, Descriptor(0), none),
        sys::SYS_fsync | sys::SYS_fdatasync | sys::SYS_sync_file_range | sys::SYS_syncfs => {
            (Call::Flushing, Descriptor(0), none)
        }
        sys::SYS_sync | sys::SYS_msync => (Call::Flushing, Nothing, none),
        sys::SYS_wait4 | sys::SYS_waitid => (Call::Reaping, Nothing, none),
        sys::SYS_ioctl => (Call::Ioctl, Descriptor(0), none),
        sys::SYS_io_uring_enter => (Call::IoUring, Descriptor(0), none),
        sys::SYS_io_getevents => (Call::IoUring, Nothing, Limit::Pointer(4)),
        sys::SYS_openat
        | sys::SYS_openat2
        | sys::SYS_newfstatat
        | sys::SYS_statx
        | sys::SYS_statfs
        | sys::SYS_faccessat
        | sys::SYS_readlinkat
        | sys::SYS_unlinkat
        | sys::SYS_renameat
        | sys::SYS_renameat2
        | sys::SYS_mkdirat
        | sys::SYS_linkat
        | sys::SYS_symlinkat
        | sys::SYS_truncate
        | sys::SYS_chdir
        | sys::SYS_execve => (Call::Naming, Nothing, none),
        sys::SYS_close => (Call::Naming, Descriptor(0), none),
        sys::SYS_mmap
        | sys::SYS_munmap
        | sys::SYS_mremap
        | sys::SYS_mprotect
        | sys::SYS_madvise
        | sys::SYS_brk
        | sys::SYS_mlock
        | sys::SYS_mlock2
        | sys::SYS_munlock => (Call::Mapping, Nothing, none),
        sys::SYS_sched_yield => (Call::Yielding, Nothing, none),
        _ => return legacy(number),
    })
}

/// Calls that only x86 has.
#[cfg(target_arch = "x86_64")]
fn legacy(number: i64) -> Option<Row> {
    use libc as sys;
    let none = Limit::None;
    Some(match number {
        sys::SYS_pause => (Call::Sleeping, For::Nothing, none),
        sys::SYS_poll => (Call::Polling, For::Polled, Limit::Milliseconds(2)),
        sys::SYS_select => (Call::Polling, For::Nothing, Limit::Pointer(4)),
        sys::SYS_epoll_wait => (Call::Polling, For::Descriptor(0), Limit::Milliseconds(3)),
        sys::SYS_getdents => (Call::Reading, For::Descriptor(0), none),
        sys::SYS_open
        | sys::SYS_creat
        | sys::SYS_stat
        | sys::SYS_lstat
        | sys::SYS_access
        | sys::SYS_readlink
        | sys::SYS_unlink
        | sys::SYS_rename
        | sys::SYS_mkdir
        | sys::SYS_rmdir
        | sys::SYS_link
        | sys::SYS_symlink => (Call::Naming, For::Nothing, none),
        _ => return None,
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn legacy(_number: i64) -> Option<Row> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: libc::c_long, arguments: [u64; 6]) -> Wait {
        wait(&RawCall { number: u32::try_from(number).unwrap(), arguments })
    }

    #[test]
    fn a_futex_has_its_address_its_value_and_its_limit() {
        let locked = of(libc::SYS_futex, [0x7f00, 0x80, 2, 0, 0, 0]);
        assert_eq!(
            (locked.call, locked.argument, locked.value, locked.is_timed),
            (Call::Futex, 0x7f00, 2, false)
        );
        assert_eq!((locked.descriptor, locked.polled), (None, None));
        assert!(of(libc::SYS_futex, [0x7f00, 0x189, u64::MAX, 0x10, 0, 0]).is_timed);
        // `FUTEX_WAKE` does not wait: what lies in its fourth argument is no time.
        assert!(!of(libc::SYS_futex, [0x7f00, 0x81, 1, 0x10, 0, 0]).is_timed);
        let newer = of(455, [0x7f00, 3, 0, 0, 0x10, 0]);
        assert_eq!((newer.call, newer.value, newer.is_timed), (Call::Futex, 3, true));
    }

    #[test]
    fn a_limit_of_minus_one_is_none() {
        let endless = u64::from(u32::MAX);
        assert!(!of(libc::SYS_epoll_pwait, [5, 0, 0, endless, 0, 0]).is_timed);
        assert!(of(libc::SYS_epoll_pwait, [5, 0, 0, 0, 0, 0]).is_timed);
        assert!(!of(libc::SYS_ppoll, [0x7f00, 1, 0, 0, 0, 0]).is_timed);
        assert!(of(libc::SYS_ppoll, [0x7f00, 1, 0x7f10, 0, 0, 0]).is_timed);
        assert!(of(libc::SYS_clock_nanosleep, [0; 6]).is_timed);
    }

    #[test]
    fn calls_on_descriptors_name_them() {
        for (number, call) in [
            (libc::SYS_read, Call::Reading),
            (libc::SYS_write, Call::Writing),
            (libc::SYS_recvfrom, Call::Receiving),
            (libc::SYS_sendto, Call::Sending),
            (libc::SYS_accept4, Call::Accepting),
            (libc::SYS_connect, Call::Connecting),
            (libc::SYS_fsync, Call::Flushing),
            (libc::SYS_ioctl, Call::Ioctl),
            (libc::SYS_io_uring_enter, Call::IoUring),
            (libc::SYS_epoll_pwait, Call::Polling),
        ] {
            let wait = of(number, [7, 1, 2, 3, 4, 5]);
            assert_eq!((wait.call, wait.argument), (call, 7), "{number}");
            assert_eq!(wait.descriptor, Some(7), "{number}");
        }
        assert_eq!(of(libc::SYS_sendfile, [1, 9, 0, 0, 0, 0]).descriptor, Some(9));
        assert_eq!(of(libc::SYS_ppoll, [0x7f00, 2, 0, 0, 0, 0]).polled, Some((0x7f00, 2)));
    }

    #[test]
    fn what_has_no_kind_keeps_its_number() {
        let other = of(libc::SYS_getrandom, [1, 2, 3, 0, 0, 0]);
        assert_eq!(
            (other.call, other.value),
            (Call::Other, u32::try_from(libc::SYS_getrandom).unwrap())
        );
        assert_eq!(of(9999, [0; 6]).value, 9999);
        assert_eq!(of(libc::SYS_wait4, [0; 6]).call, Call::Reaping);
        assert_eq!(of(libc::SYS_mmap, [0; 6]).call, Call::Mapping);
        assert_eq!(of(libc::SYS_openat, [0; 6]).call, Call::Naming);
    }
}

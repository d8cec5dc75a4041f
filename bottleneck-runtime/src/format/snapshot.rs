//! Snapshots: what every task of the process did at certain moments.
//!
//! # The chunk
//!
//! One chunk of kind [`super::ChunkKind::Snapshots`] holds a [`Snapshots`] record and behind it two tables of [`TABLE_BYTES`]
//! each. Only the active table counts. When it is full, every other snapshot is copied into the other one, which then is
//! the active one: the times between snapshots double, and a program killed meanwhile still has the full table.
//!
//! # A snapshot
//!
//! ```text
//! 0   u64  CLOCK_MONOTONIC, ns; rises from snapshot to snapshot
//! 8   u16  entries
//! 10  u16  asynchronous calls of sites marked `request` that have begun and not ended
//! 12  u32  time since the snapshot before in which the process had no CPU although it could have run, in µs
//! 16  entries of 24 bytes
//! ```
//!
//! # An entry: one task
//!
//! ```text
//! 0   u32  index of the task in the chunks of kind `Tasks`
//! 4   u32  reference of its innermost open node; 0 where none is open
//! 8   u64  first argument of the call: the address of a futex, the number of a descriptor
//! 16  u8   `State`
//! 17  u8   `Call`
//! 18  u8   `Target`
//! 19  u8   flags: `ENTRY_TIMED`
//! 20  u32  value that a futex wait expects (mutexes of the standard library and of glibc: 2; a join in glibc: the thread's
//!          id); the number of the call where `Call::Other`; else 0
//! ```
//!
//! Tasks that wait without a span, and without anything that can end by itself, may be left out of a snapshot: what is
//! absent waits for others.

use super::record;

/// Bytes of each of the two tables.
pub const TABLE_BYTES: usize = 512 << 10;
/// Bytes of a snapshot before its entries.
pub const SNAPSHOT_HEAD_BYTES: usize = 16;
/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 24;
/// Entry flag: the call ends by itself after some time.
pub const ENTRY_TIMED: u8 = 1;
/// What a contended mutex of the standard library or of glibc waits for.
pub const CONTENDED_MUTEX: u32 = 2;

record! {
    /// The head of the tables.
    Snapshots,
    /// A copy of a [`Snapshots`].
    SnapshotsData, 64, 64,
    {
        /// The table that counts: 0 or 1. Stored with Release after the table's bytes.
        active: u32 @ 0,
        /// Snapshots that were thinned out so far.
        halvings: u32 @ 4,
        /// Bytes of table 0 that hold snapshots. Stored with Release after the snapshot.
        used_0: u64 @ 8,
        /// The same of table 1.
        used_1: u64 @ 16,
        /// Present time between snapshots, in ns: what the tables and the budget of CPU time allow.
        period_ns: u64 @ 24,
        /// Snapshots taken, thinned out or not.
        taken: u64 @ 32,
        /// CPU time that snapshots took, in ns; part of `Header::recorder_cpu_ns`.
        cpu_ns: u64 @ 40,
        /// Tasks that did not fit into a snapshot.
        left_out: u64 @ 48,
    }
}

/// What a task did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// It had a CPU, or had to give it to the recorder just then.
    Running = 1,
    /// It could have run and had no CPU: taken away from it.
    Preempted = 2,
    /// It could have run and had no CPU: not given back after a wait.
    Woken = 3,
    /// It waited.
    Blocked = 4,
    /// It could run; whether it had a CPU is not known.
    Runnable = 5,
}

impl State {
    /// The state with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Running, Self::Preempted, Self::Woken, Self::Blocked, Self::Runnable]
            .into_iter()
            .find(|&state| state as u8 == number)
    }
}

/// The system call in which a task waits. No name is one of the standard library: the compiler would spell that one out in
/// full in the errors of a program that uses this crate (`std::marker::Send`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Call {
    /// It does not wait, or the kernel does not tell.
    Unknown = 0,
    /// None: it waits for a page of memory.
    Fault = 1,
    /// `futex`: locks, channels, parked threads, joins.
    Futex = 2,
    /// `nanosleep`, `clock_nanosleep`, `pause`.
    Sleeping = 3,
    /// `read` and its relatives.
    Reading = 4,
    /// `write` and its relatives.
    Writing = 5,
    /// `recvfrom` and its relatives.
    Receiving = 6,
    /// `sendto` and its relatives.
    Sending = 7,
    /// `poll`, `select`, `epoll_wait`.
    Polling = 8,
    /// `accept`.
    Accepting = 9,
    /// `connect`.
    Connecting = 10,
    /// `fsync` and its relatives.
    Flushing = 11,
    /// `wait4`, `waitid`.
    Reaping = 12,
    /// `ioctl`.
    Ioctl = 13,
    /// `io_uring_enter`, `io_getevents`.
    IoUring = 14,
    /// `open`, `stat` and other calls on names of files.
    Naming = 15,
    /// `mmap`, `munmap`, `madvise` and other calls on the address space.
    Mapping = 16,
    /// `sched_yield`.
    Yielding = 17,
    /// Another one; its number is the entry's value.
    Other = 18,
}

impl Call {
    /// Every call, in the order of its number.
    pub const ALL: [Self; 19] = [
        Self::Unknown,
        Self::Fault,
        Self::Futex,
        Self::Sleeping,
        Self::Reading,
        Self::Writing,
        Self::Receiving,
        Self::Sending,
        Self::Polling,
        Self::Accepting,
        Self::Connecting,
        Self::Flushing,
        Self::Reaping,
        Self::Ioctl,
        Self::IoUring,
        Self::Naming,
        Self::Mapping,
        Self::Yielding,
        Self::Other,
    ];

    /// The call with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// What the descriptor of a call names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Target {
    /// No descriptor, or it is not known.
    Unknown = 0,
    /// A file or a block device.
    PlainFile = 1,
    /// A socket whose peer is another machine, or not known.
    DistantSocket = 2,
    /// A socket whose peer is on this machine.
    NearSocket = 3,
    /// A Unix socket.
    UnixSocket = 4,
    /// A pipe.
    PipeEnd = 5,
    /// A terminal or another character device.
    Character = 6,
    /// An `eventfd`, `epoll`, `timerfd` or the like.
    Anonymous = 7,
    /// A device of a GPU driver.
    Gpu = 8,
    /// A socket that listens.
    Listener = 9,
}

impl Target {
    /// Every target, in the order of its number.
    pub const ALL: [Self; 10] = [
        Self::Unknown,
        Self::PlainFile,
        Self::DistantSocket,
        Self::NearSocket,
        Self::UnixSocket,
        Self::PipeEnd,
        Self::Character,
        Self::Anonymous,
        Self::Gpu,
        Self::Listener,
    ];

    /// The target with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, State, Target};

    #[test]
    fn numbers_name_what_they_were_made_of() {
        for call in Call::ALL {
            assert_eq!(Call::from_number(call as u8), Some(call));
        }
        for target in Target::ALL {
            assert_eq!(Target::from_number(target as u8), Some(target));
        }
        assert_eq!(State::from_number(State::Runnable as u8), Some(State::Runnable));
        assert_eq!(State::from_number(0), None);
        assert_eq!(Call::from_number(19), None);
    }
}

//! What a thread waits for, as far as its system call tells: one table, the first row that holds.
//!
//! Amounts of waits are exact; their causes are sampled, so a cause is what a thread was seen in at one moment.

use crate::kind::Kind;
use crate::profile::Doing;
use crate::profile::snapshots::{CONTENDED_MUTEX, Call, Target};

use super::subkind::Subkind;

/// Why a thread does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// A page of a mapping that is not in memory, whatever the kernel calls the fault.
    Fault,
    /// A file.
    File,
    /// A file that is made safe on the disk.
    Sync,
    /// A socket.
    Network,
    /// A pipe or a Unix socket.
    Pipe,
    /// The end of a child process.
    Child,
    /// The next of several events: `epoll`, `poll`.
    Events,
    /// Time to pass.
    Timer,
    /// A mutex that another thread holds.
    Lock,
    /// Another thread: a channel, a condition variable, a join.
    Thread,
    /// It was woken and has no CPU yet, though one is free.
    Wakeup,
    /// A connection to accept: somebody who wants something.
    Listener,
    /// A person, or what stands for one.
    Input,
    /// A call that does not tell.
    Unknown,
}

/// One row of the table.
#[derive(Debug)]
struct Row {
    when: fn(&Doing) -> bool,
    cause: Cause,
}

/// The table; the last row always holds.
static CAUSES: &[Row] = &[
    Row { when: |d| d.call == Call::Fault, cause: Cause::Fault },
    Row { when: |d| d.call == Call::Sleeping, cause: Cause::Timer },
    Row { when: |d| d.call == Call::Futex && d.is_timed, cause: Cause::Timer },
    Row { when: |d| d.call == Call::Futex && d.value == CONTENDED_MUTEX, cause: Cause::Lock },
    Row { when: |d| d.call == Call::Futex, cause: Cause::Thread },
    Row {
        when: |d| d.call == Call::Accepting || d.target == Target::Listener,
        cause: Cause::Listener,
    },
    Row { when: |d| moves_bytes(d.call) && d.target == Target::PipeEnd, cause: Cause::Pipe },
    Row { when: |d| moves_bytes(d.call) && d.target == Target::UnixSocket, cause: Cause::Pipe },
    Row { when: |d| d.call == Call::Reading && d.target == Target::Character, cause: Cause::Input },
    Row {
        when: |d| d.call == Call::Reading && d.target == Target::Anonymous,
        cause: Cause::Events,
    },
    Row { when: |d| moves_bytes(d.call) && d.target == Target::PlainFile, cause: Cause::File },
    Row { when: |d| d.call == Call::Flushing, cause: Cause::Sync },
    Row { when: |d| d.call == Call::Naming, cause: Cause::File },
    Row {
        when: |d| {
            moves_bytes(d.call) && matches!(d.target, Target::DistantSocket | Target::NearSocket)
        },
        cause: Cause::Network,
    },
    Row {
        when: |d| matches!(d.call, Call::Receiving | Call::Sending | Call::Connecting),
        cause: Cause::Network,
    },
    Row { when: |d| d.call == Call::Polling, cause: Cause::Events },
    Row { when: |d| d.call == Call::Reaping, cause: Cause::Child },
    Row { when: |_| true, cause: Cause::Unknown },
];

fn moves_bytes(call: Call) -> bool {
    matches!(call, Call::Reading | Call::Writing | Call::Receiving | Call::Sending)
}

impl Cause {
    /// The cause of a wait.
    pub fn of(doing: &Doing) -> Self {
        CAUSES.iter().find(|row| (row.when)(doing)).map_or(Self::Unknown, |row| row.cause)
    }

    /// The kind of a wait that nobody in the program can end; `None` where it depends on what others do meanwhile, or where
    /// nothing is known.
    pub fn kind(self) -> Option<(Kind, Subkind)> {
        Some(match self {
            Self::Fault | Self::File => (Kind::Io, Subkind::Disk),
            Self::Sync => (Kind::Io, Subkind::Sync),
            Self::Network | Self::Events => (Kind::Io, Subkind::Network),
            Self::Pipe => (Kind::Io, Subkind::Pipe),
            Self::Child => (Kind::Io, Subkind::ChildProcess),
            Self::Timer => (Kind::Scheduling, Subkind::Timer),
            Self::Wakeup => (Kind::Scheduling, Subkind::Wakeup),
            Self::Lock | Self::Thread | Self::Listener | Self::Input | Self::Unknown => {
                return None;
            }
        })
    }

    /// Whether the wait ends by itself although no thread of the program runs. Where several do, the earlier one is what
    /// limits: the order of the variants.
    pub fn ends_by_itself(self) -> bool {
        self.kind().is_some()
    }

    /// Whether it waits for somebody outside who wants something of the program.
    pub fn is_for_the_next_request(self) -> bool {
        matches!(self, Self::Listener | Self::Input | Self::Events)
    }

    /// Whether it waits for another thread of the program.
    pub fn is_for_a_thread(self) -> bool {
        matches!(self, Self::Lock | Self::Thread)
    }

    /// What is waited for, in a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Fault => "pages of a mapped file",
            Self::File => "a file",
            Self::Sync => "data to be safe on the disk",
            Self::Network => "a socket",
            Self::Pipe => "a pipe",
            Self::Child => "a child process",
            Self::Events => "events",
            Self::Timer => "a timer",
            Self::Lock => "a lock",
            Self::Thread => "another thread",
            Self::Wakeup => "its turn after waking up",
            Self::Listener => "a connection",
            Self::Input => "input",
            Self::Unknown => "something unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::snapshots::State;
    use crate::profile::{RowIdx as _, TaskIdx};

    fn doing(call: Call, target: Target, is_timed: bool, value: u32) -> Doing {
        Doing {
            task: TaskIdx::from_position(0),
            span: None,
            state: State::Blocked,
            call,
            target,
            is_timed,
            argument: 0,
            value,
        }
    }

    #[test]
    fn every_row_has_a_case() {
        let cases = [
            (doing(Call::Fault, Target::Unknown, false, 0), Cause::Fault),
            (doing(Call::Sleeping, Target::Unknown, true, 0), Cause::Timer),
            (doing(Call::Futex, Target::Unknown, true, 2), Cause::Timer),
            (doing(Call::Futex, Target::Unknown, false, 2), Cause::Lock),
            (doing(Call::Futex, Target::Unknown, false, u32::MAX), Cause::Thread),
            (doing(Call::Accepting, Target::Listener, false, 0), Cause::Listener),
            (doing(Call::Reading, Target::PipeEnd, false, 0), Cause::Pipe),
            (doing(Call::Receiving, Target::UnixSocket, false, 0), Cause::Pipe),
            (doing(Call::Reading, Target::Character, false, 0), Cause::Input),
            (doing(Call::Reading, Target::Anonymous, false, 0), Cause::Events),
            (doing(Call::Reading, Target::PlainFile, false, 0), Cause::File),
            (doing(Call::Flushing, Target::PlainFile, false, 0), Cause::Sync),
            (doing(Call::Naming, Target::Unknown, false, 0), Cause::File),
            (doing(Call::Reading, Target::DistantSocket, false, 0), Cause::Network),
            (doing(Call::Connecting, Target::Unknown, false, 0), Cause::Network),
            (doing(Call::Polling, Target::Anonymous, false, 0), Cause::Events),
            (doing(Call::Reaping, Target::Unknown, false, 0), Cause::Child),
            (doing(Call::IoUring, Target::Unknown, false, 0), Cause::Unknown),
        ];
        assert_eq!(cases.len(), CAUSES.len());
        for (at, (doing, cause)) in cases.iter().enumerate() {
            assert_eq!(Cause::of(doing), *cause, "{doing:?}");
            assert_eq!(CAUSES.iter().position(|row| (row.when)(doing)), Some(at), "{doing:?}");
        }
    }
}

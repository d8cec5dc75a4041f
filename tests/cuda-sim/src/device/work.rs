//! What a stream can be given, and what comes of it.

use crate::engine::{Interval, Ns};

/// A copy from pageable memory of up to so many bytes is taken over by the driver before the call returns.
pub const STAGED_BYTES: u64 = 64 << 10;

/// Which way a copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Host to device.
    HostToDevice,
    /// Device to host.
    DeviceToHost,
    /// Within the device.
    DeviceToDevice,
}

/// What is submitted to a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    /// A kernel that takes so long alone, on this part of the processors.
    Kernel {
        /// Its length.
        length: Ns,
        /// 0 to 1.
        occupancy: f64,
    },
    /// A copy.
    Copy {
        /// Which way.
        direction: Direction,
        /// How much.
        bytes: u64,
        /// The memory of the host is pinned.
        is_pinned: bool,
        /// The call promises to return when the copy is done.
        is_synchronous: bool,
    },
    /// Memory is set.
    Set {
        /// How much.
        bytes: u64,
    },
    /// A function of the program, which takes as long as it takes: until [`finish`](super::Device::finish).
    Host,
    /// Something that has its place in the order of the stream, and takes no time.
    Mark,
}

impl Work {
    /// The call that submits it does not return before it is done.
    pub fn holds_caller(self) -> bool {
        match self {
            Self::Copy { is_synchronous: true, .. }
            | Self::Copy { direction: Direction::DeviceToHost, is_pinned: false, .. } => true,
            Self::Copy { direction: Direction::HostToDevice, is_pinned: false, bytes, .. } => {
                STAGED_BYTES < bytes
            }
            _ => false,
        }
    }
}

/// Number of something that a stream was given: later ones are larger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What came of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is known when it runs.
    Placed(Placed),
    /// A host function that has not returned is before it, or it is one: [`finish`](super::Device::finish) says when it ran.
    Held(Ticket),
}

/// When something runs. What takes no time runs when it happens: a wait for an event when the event does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// When its stream and what it waits for allowed it to run.
    pub ready: Ns,
    /// When it runs.
    pub runs: Interval,
    /// Until when the call does not return.
    pub host_until: Ns,
}

/// When an event happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Then.
    At(Ns),
    /// When its turn comes, behind a host function that has not returned.
    Held(Ticket),
}

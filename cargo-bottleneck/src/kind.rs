//! The kinds of bottleneck.

use serde::{Deserialize, Serialize};

/// What limits a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The compute units wait for DRAM or caches.
    Memory,
    /// The arithmetic itself is the limit.
    Compute,
    /// Data travels too slowly between components.
    Io,
    /// Work is divided badly over threads or streams.
    Scheduling,
    /// Unclassified: the evidence does not tell.
    Other,
}

impl Kind {
    /// Every kind, in the order in which reports list them.
    pub const ALL: [Kind; 5] =
        [Kind::Memory, Kind::Compute, Kind::Io, Kind::Scheduling, Kind::Other];

    /// Position in [`Kind::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Three letters for labels, so that meaning never rests on color.
    pub fn tag(self) -> &'static str {
        match self {
            Kind::Memory => "MEM",
            Kind::Compute => "CMP",
            Kind::Io => "I/O",
            Kind::Scheduling => "SCH",
            Kind::Other => "---",
        }
    }

    /// The word for running text.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Memory => "memory",
            Kind::Compute => "compute",
            Kind::Io => "I/O",
            Kind::Scheduling => "scheduling",
            Kind::Other => "other",
        }
    }
}

//! How long one timed load takes from each level of the caches and from memory, and what follows for a load of the program's
//! data: near, far, or in between.
//!
//! The data only; `residency` measures them. They are times of `bottleneck_runtime`'s `time_load`, fences included, and
//! say nothing about loads that overlap.

use serde::{Deserialize, Serialize};

use super::ceilings::Measurement;
use crate::units::{Bytes, Hertz, Ratio};

/// Timed loads on this machine, in ticks of its time-stamp counter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadTimes {
    /// Ticks of the counter in a second.
    pub tick_rate: Hertz,
    /// The least difference between two times that the counter can show, in ticks.
    pub step: u32,
    /// From the innermost cache to memory, in that order.
    pub levels: Vec<LevelTime>,
    /// A load of fewer ticks was answered by a cache of the core's own.
    pub near: Threshold,
    /// A load of at least so many ticks was answered by memory.
    pub far: Threshold,
    /// How far behind the load that a thread waits for it is seen; `None` where it could not be measured.
    pub skid: Option<Skid>,
    /// Why nothing may be concluded from timed loads here; `None` where they are good evidence.
    pub off: Option<String>,
    /// How and when, without the skid.
    pub measurement: Measurement,
}

/// Timed loads from one level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelTime {
    /// 1 is the cache next to the core; `None` is memory.
    pub level: Option<u8>,
    /// Size of the data that the loads were spread over.
    pub data: Bytes,
    /// A tenth of the loads took at most so many ticks.
    pub p10: u32,
    /// Half of them took at most so many.
    pub median: u32,
    /// Nine of ten took at most so many.
    pub p90: u32,
}

/// A line between two levels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// From so many ticks on it is the outer one.
    pub ticks: u32,
    /// The part of the loads from the inner level that took longer.
    pub inner_mistaken: Ratio,
    /// The part of the loads from the outer level that took less.
    pub outer_mistaken: Ratio,
}

/// Where a thread that waits for a load is seen when a timer interrupts it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Skid {
    /// So many instructions behind the load in most samples.
    pub instructions: u32,
    /// The part of the samples that were just there.
    pub share: Ratio,
    /// How many samples.
    pub samples: u32,
}

impl LoadTimes {
    /// The times of a level; `None` is memory.
    pub fn of(&self, level: Option<u8>) -> Option<&LevelTime> {
        self.levels.iter().find(|times| times.level == level)
    }
}

//! What every task did at certain moments, and which instructions were sampled, as the analysis needs it.

use std::ops::Range;

use super::{Column, SpanIdx, TaskIdx, ThreadIdx};

pub use bottleneck_runtime::format::snapshot::{CONTENDED_MUTEX, Call, State, Target};

/// The snapshots of a run, in order. Empty where none were taken.
#[derive(Clone, Debug, Default)]
pub struct Snapshots {
    /// The threads that they name, annotated or not.
    pub tasks: Column<TaskIdx, Task>,
    /// The moments.
    pub moments: Vec<Moment>,
    /// What the tasks did, moment by moment.
    pub doings: Vec<Doing>,
    /// Snapshots that were taken; more than there are moments where the table was thinned out.
    pub taken: u64,
    /// Time between snapshots at the end of the run, in ns.
    pub period_ns: u64,
    /// CPU time that they cost, in ns.
    pub cpu_ns: u64,
    /// Tasks that did not fit.
    pub left_out: u64,
}

/// A thread of the process.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// Its tree; `None` where it has no span.
    pub thread: Option<ThreadIdx>,
    /// The recorder's own thread.
    pub is_recorder: bool,
    /// The thread that the process began with.
    pub is_main: bool,
    /// Id of the newest thread with this record.
    pub tid: u32,
    /// CPU time of a thread without spans, in ns; 0 where it is not known.
    pub cpu_ns: u64,
}

/// One snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since the start of the recording, in ns.
    pub at_ns: u64,
    /// The time that it stands for: since the snapshot before, in ns.
    pub weight_ns: u64,
    /// The part of it in which the process had no CPU although it could have run, in ns; at most `weight_ns`.
    pub stalled_ns: u64,
    /// Asynchronous requests that had begun and not ended.
    pub async_requests: u32,
    /// Positions in [`Snapshots::doings`].
    pub doings: Range<usize>,
}

/// What one task did at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doing {
    /// The task.
    pub task: TaskIdx,
    /// Its innermost open span.
    pub span: Option<SpanIdx>,
    /// Whether it ran, could have, or waited.
    pub state: State,
    /// The call that it waited in.
    pub call: Call,
    /// What the call's descriptor names.
    pub target: Target,
    /// The call ends by itself after some time.
    pub is_timed: bool,
    /// First argument of the call: address of a futex, number of a descriptor.
    pub argument: u64,
    /// What a futex wait expects; the number of [`Call::Other`].
    pub value: u32,
}

/// Samples of the instructions of one path, without the paths inside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampled {
    /// Samples.
    pub n: u64,
    /// Those next to a spin-wait hint.
    pub spinning: u64,
}

/// What the machine and the control group took from the process; `None` where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Share of the machine's CPU time that its hypervisor gave to others, in 1/1 000 000.
    pub steal_ppm: Option<u32>,
    /// Throttling of the control group.
    pub throttling: Option<Throttling>,
    /// CPUs of the affinity mask.
    pub affinity: Option<u32>,
}

/// A limit of CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// CPU time in a period, in ns; 0 without a limit.
    pub quota_ns: u64,
    /// Length of the period, in ns.
    pub period_ns: u64,
    /// Periods that passed.
    pub periods: u64,
    /// Those in which it was throttled.
    pub throttled_periods: u64,
    /// Time that its CPUs were throttled, in ns.
    pub throttled_ns: u64,
}

impl Snapshots {
    /// What the tasks did at a moment.
    pub fn doings(&self, moment: &Moment) -> &[Doing] {
        self.doings.get(moment.doings.clone()).unwrap_or_default()
    }
}

//! A recorded run in memory: threads, and under each the tree of its paths of spans.
//!
//! [`load()`] turns any bytes into a [`Profile`] or says that they are not one. Whatever the bytes: no panic, no endless
//! loop, no recursion, no allocation beyond a small multiple of the file; and in every profile that comes out, the times
//! of the children of a path fit into it, and everything fits into the life of the process.

mod clock;
mod convert;
pub mod device;
mod device_chunks;
mod index;
mod load;
mod moments;
mod sampled;
pub mod sampling;
pub mod snapshots;
mod tree;
mod warning;

#[cfg(any(test, feature = "test-kit"))]
pub mod builder;
#[cfg(test)]
mod damage;
#[cfg(any(test, feature = "test-kit"))]
pub mod image;

use std::ops::Range;
use std::sync::Arc;

pub use index::{Column, RowIdx, SiteIdx, SpanIdx, TaskIdx, ThreadIdx};
pub use load::load;
pub use sampling::Sampling;
pub use snapshots::{Conditions, Doing, Moment, Sampled, Snapshots, Task};
pub use warning::{Damage, NotAProfile, Warning};

use crate::kind::Kind;

/// One recorded process. Times are in ns; instants are ns since the start of the recording.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Process id.
    pub pid: u32,
    /// Tells two builds of a program apart; 0 where it is not known. See `crate::symbols`.
    pub build_id: u64,
    /// `CLOCK_MONOTONIC` when recording began.
    pub start_ns: u64,
    /// Wall clock when recording began, since 1970.
    pub start_unix_ns: u64,
    /// From the start of the recording to the end of the run.
    pub life_ns: u64,
    /// The run did not end by itself, or has not ended yet.
    pub is_cut: bool,
    /// Ticks could not be converted: times are only in proportion to each other.
    pub is_uncalibrated: bool,
    /// The annotated places.
    pub sites: Column<SiteIdx, Site>,
    /// The threads: main first, then by name.
    pub threads: Column<ThreadIdx, Thread>,
    /// The paths of all threads, each before its children, the threads one behind the other.
    pub spans: Column<SpanIdx, Path>,
    /// What could be observed where the program ran.
    pub capabilities: Vec<Capability>,
    /// What the command wrote down about the run.
    pub run: Option<serde_json::Value>,
    /// What was not recorded.
    pub losses: Losses,
    /// CPU time of the recorder's own thread.
    pub recorder_cpu_ns: u64,
    /// CPU time of the whole process; `None` where it was not recorded.
    pub process_cpu_ns: Option<u64>,
    /// CPUs that the process could use; `None` where it was not recorded.
    pub cpus: Option<u32>,
    /// Cost of one empty span; `None` where it was not measured.
    pub span_cost_ns: Option<f64>,
    /// What every task did at certain moments.
    pub snapshots: Snapshots,
    /// Samples of instructions, by path; `None` where they could not be taken.
    pub samples: Option<Column<SpanIdx, Sampled>>,
    /// The samples themselves, the code that they are of, and the data that they waited for; `None` where there are none.
    pub sampling: Option<Sampling>,
    /// What the machine and the control group took.
    pub conditions: Conditions,
    /// What devices did; `None` where nothing was recorded of them.
    pub devices: Option<Arc<device::Devices>>,
}

/// One annotated place of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Stable from run to run of the same source.
    pub id: u64,
    /// The function's name, or the one given.
    pub name: String,
    /// Module path.
    pub module: String,
    /// Type of the `impl` block, or empty.
    pub owner: String,
    /// Source file; empty where it is not known.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Marks what a user waits for.
    pub is_request: bool,
    /// The site is an asynchronous function.
    pub is_async: bool,
    /// The author's assertion.
    pub asserted: Option<Kind>,
    /// Type of the operations that it declares.
    pub dtype: Dtype,
}

/// Where a thread's off-CPU time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffCpuSource {
    /// The kernel's context-switch records: exact, for each wait.
    Switches,
    /// The thread's CPU clock around longer spans.
    ThreadClock,
    /// Nowhere: all time counts as on the CPU.
    Unknown,
}

/// One thread's tree, or that of several threads which came one after the other under one name.
#[derive(Clone, Debug)]
pub struct Thread {
    /// The thread's name.
    pub name: String,
    /// Id of the thread that had the tree last.
    pub tid: u32,
    /// The thread that the process began with.
    pub is_main: bool,
    /// The recorder's own tree (calibration): not a part of the program.
    pub is_recorder: bool,
    /// Where its off-CPU time comes from.
    pub source: OffCpuSource,
    /// Threads that had the tree.
    pub lives: u64,
    /// How long they lived and how much of it they were on the CPU, as far as both are known.
    pub clock: Option<CpuClock>,
    /// The wait that the thread was in when the run was cut.
    pub pending: Option<Pending>,
    /// Why there are no context-switch records.
    pub refusal: Option<Refusal>,
    /// Its paths.
    pub spans: Range<usize>,
}

/// A stretch of wall time and the thread's CPU time in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuClock {
    /// Wall time.
    pub wall_ns: u64,
    /// CPU time in it; at most `wall_ns`.
    pub cpu_ns: u64,
}

/// A wait that had not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// How long it had lasted.
    pub lasted_ns: u64,
    /// The thread could have run.
    pub is_preempted: bool,
}

/// A refused system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its name.
    pub call: &'static str,
    /// The `errno` that it gave.
    pub errno: u32,
}

/// Type of declared operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dtype {
    /// 32-bit floating point.
    F32,
    /// IEEE half precision.
    F16,
    /// Brain float.
    Bf16,
    /// 8-bit integers.
    I8,
}

impl Dtype {
    /// The type with this number in the file.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::F32),
            1 => Some(Self::F16),
            2 => Some(Self::Bf16),
            3 => Some(Self::I8),
            _ => None,
        }
    }

    /// The name for running text.
    pub fn word(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I8 => "i8",
        }
    }
}

/// Work that the program declared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// Operations; 0 where none were declared.
    pub flops: f64,
    /// Compulsory bytes; 0 where none were declared.
    pub bytes: f64,
    /// Type of the operations.
    pub dtype: Dtype,
}

/// One path of sites within a thread's tree, and everything counted on it.
#[derive(Clone, Debug)]
pub struct Path {
    /// Its thread.
    pub thread: ThreadIdx,
    /// The path around it.
    pub parent: Option<SpanIdx>,
    /// First position behind the paths inside it.
    pub end: usize,
    /// Paths around it.
    pub depth: u32,
    /// Its site.
    pub site: SiteIdx,
    /// Text of its key.
    pub key: Option<Arc<str>>,
    /// Calls that ended.
    pub calls: u64,
    /// Time inside, children and the open call included; for an asynchronous site the time in polls.
    pub total_ns: u64,
    /// Time that the open call has lasted; it is in `total_ns`.
    pub open_ns: Option<u64>,
    /// Shortest call.
    pub min_ns: Option<u64>,
    /// Longest call.
    pub max_ns: Option<u64>,
    /// Median call.
    pub p50_ns: Option<u64>,
    /// 99th percentile of the calls.
    pub p99_ns: Option<u64>,
    /// Time off the CPU while this path was innermost and the thread waited, as recorded.
    pub blocked_ns: u64,
    /// Waits in `blocked_ns`; 0 where they were not counted.
    pub waits: u64,
    /// The part of `blocked_ns` after the wake-up, waiting for a CPU, in ns.
    pub wakeup_ns: u64,
    /// Time off the CPU while this path was innermost and the thread could have run, as recorded.
    pub preempted_ns: u64,
    /// What the thread's CPU clock said around calls, children included.
    pub clock: Option<CpuClock>,
    /// Declared work.
    pub work: Option<Work>,
    /// Figures of an asynchronous site.
    pub polling: Option<Polling>,
}

/// What an asynchronous site has beside its time in polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polling {
    /// Polls.
    pub polls: u64,
    /// Time between polls: in no thread's wall time.
    pub waiting_ns: u64,
    /// Futures that were dropped before they were ready.
    pub cancelled: u64,
}

/// Something that could be observed, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Its name: `context_switches`.
    pub name: String,
    /// Whether it was there.
    pub is_available: bool,
    /// Why not, and what would help; empty where there is nothing to say.
    pub reason: String,
}

/// What was not recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Spans that could not be recorded.
    pub spans: u64,
    /// Calls on new paths for which there was no room: the budget of paths or the disk was used up.
    pub refused: u64,
    /// Guards dropped out of order.
    pub out_of_order: u64,
    /// Context-switch records.
    pub switches: u64,
    /// `errno` of the refused growth of the file, where there was one.
    pub full_errno: Option<u32>,
}

impl Profile {
    /// The threads of the program, without the recorder's.
    pub fn program_threads(&self) -> impl Iterator<Item = (ThreadIdx, &Thread)> {
        self.threads.iter().filter(|(_, thread)| !thread.is_recorder)
    }

    /// The paths directly inside `span`, in the order in which they were first entered.
    pub fn children(&self, span: SpanIdx) -> impl Iterator<Item = SpanIdx> {
        self.siblings(span.position() + 1..self.spans[span].end)
    }

    /// The outermost paths of a thread.
    pub fn outermost(&self, thread: ThreadIdx) -> impl Iterator<Item = SpanIdx> {
        self.siblings(self.threads[thread].spans.clone())
    }

    /// `span` and everything inside it.
    pub fn subtree(&self, span: SpanIdx) -> impl DoubleEndedIterator<Item = SpanIdx> + use<> {
        (span.position()..self.spans[span].end).map(SpanIdx::from_position)
    }

    /// Whether a call on this path had not ended when the run did.
    pub fn is_open(&self, span: SpanIdx) -> bool {
        self.spans[span].open_ns.is_some()
    }

    fn siblings(&self, range: Range<usize>) -> impl Iterator<Item = SpanIdx> {
        let mut at = range.start;
        std::iter::from_fn(move || {
            let span = SpanIdx::from_position((at < range.end).then_some(at)?);
            // A subtree ends behind its first row; the maximum only keeps a mistake from becoming an endless loop.
            at = self.spans[span].end.max(at + 1);
            Some(span)
        })
    }
}

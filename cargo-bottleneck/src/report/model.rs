//! What a report says, as plain data: the only thing that the renderers see.
//!
//! [`Summary`] is the contract of `summary.json`: fields are added, never renamed or removed within [`SCHEMA`]; times are
//! whole nanoseconds; `None` becomes `null` and means unknown, not zero.

pub mod gpu;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::kind::Kind;
use gpu::Gpu;

/// Version of `summary.json`.
pub const SCHEMA: u32 = 1;

/// Everything that a report says. Serialized, it is `summary.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the program.
    pub program: String,
    /// The command line.
    pub command: Vec<String>,
    /// How it ended; both `None` when that is not known (a profile brought from elsewhere).
    pub exit: Exit,
    /// From start to end of the process, in ns.
    pub wall_ns: u64,
    /// The machine that it ran on.
    pub machine: MachineView,
    /// Verdict for the whole program.
    pub verdict: Verdict,
    /// What limits the time in flight, the largest first, each with what to do; the verdict rests on the largest of its kind.
    pub findings: Vec<Finding>,
    /// What was looked at and found to be no problem.
    pub checked: Vec<String>,
    /// What was not looked at, and why.
    pub skipped: Vec<String>,
    /// Verdict for each `key`.
    pub phases: Vec<Phase>,
    /// Time in which something was asked of the program, in ns.
    pub in_flight_ns: u64,
    /// The rest of the time since recording began, in ns.
    pub idle_ns: u64,
    /// The run did not end by itself, nor when its time was up.
    pub cut: bool,
    /// The program was stopped after so many ns, as the user had asked; `null` if not.
    pub stopped_after_ns: Option<u64>,
    /// Process id.
    pub pid: u32,
    /// Samples behind the shares; `n` is 0 where they are exact.
    pub samples: Samples,
    /// Where on-CPU time comes from: `context switches`, `thread clock`, `none`.
    pub on_cpu_source: String,
    /// Blamed wall time by kind: `memory`, `compute`, `io`, `scheduling`, `other`. Shares sum to 1.
    pub kinds: BTreeMap<&'static str, Share>,
    /// Thread time by kind.
    pub thread_kinds: BTreeMap<&'static str, Share>,
    /// What devices did; `None` where the program has no support of devices.
    pub gpu: Option<Gpu>,
    /// Every path of spans.
    pub spans: Vec<Span>,
    /// Paths of the spans that were open when the run was cut.
    pub open_spans: Vec<Vec<String>>,
    /// What was not recorded.
    pub lost: Lost,
    /// What recording cost.
    pub overhead: Overhead,
    /// What the reader should know, each with the way out.
    pub warnings: Vec<String>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Exit {
    /// Exit code.
    pub code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
}

/// The machine, as far as a report needs it. Ceilings and capabilities are those of the `machine` module, serialized.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MachineView {
    /// Cores that the program could use; `None` where unknown.
    pub cores: Option<u32>,
    /// Measured ceilings.
    pub ceilings: serde_json::Value,
    /// What could be measured, and what not and why.
    pub capabilities: serde_json::Value,
}

/// Samples behind sampled shares.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Samples {
    /// How many.
    pub n: u64,
    /// Half width of the 95 % interval of a share.
    pub interval: f64,
}

/// A part of a whole.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Share {
    /// In ns.
    pub ns: u64,
    /// 0 to 1.
    pub share: f64,
}

/// What a verdict can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VerdictKind {
    /// See [`Kind::Memory`].
    Memory,
    /// See [`Kind::Compute`].
    Compute,
    /// See [`Kind::Io`].
    Io,
    /// See [`Kind::Scheduling`].
    Scheduling,
    /// Two kinds are about as large.
    Mixed,
    /// The evidence does not tell; `next` says what would.
    Inconclusive,
    /// Nothing was limited.
    None,
}

/// How sure a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// One weak signal.
    Weak,
    /// One good measurement.
    Moderate,
    /// Several agree, or one that leaves no room.
    Strong,
}

/// The judgement of the program or of a phase.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The kind.
    pub kind: VerdictKind,
    /// What of it: `bandwidth`, `vector`, ...
    pub subkind: Option<String>,
    /// Share of the largest kind, 0 to 1.
    pub share: f64,
    /// What it is a share of: `time in flight`.
    pub of: String,
    /// How sure.
    pub confidence: Confidence,
    /// [`Span::id`] of the span to start at.
    pub span: Option<String>,
    /// `file:line` of it.
    pub site: Option<String>,
    /// One line in plain words.
    pub headline: String,
    /// One imperative next step.
    pub next: String,
    /// Estimated speed-up of the whole, end to end; `None` when it cannot be estimated or is below 1.03.
    pub gain: Option<f64>,
    /// Amdahl's bound of `gain`.
    pub bound: Option<f64>,
    /// The measurements it rests on.
    pub evidence: Vec<Evidence>,
    /// What could not be seen, and why.
    pub not_seen: Vec<String>,
}

/// Time in flight that one place spends on one kind of bottleneck.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The kind.
    pub kind: Kind,
    /// What of it: `bandwidth`, `vector`, ...
    pub subkind: Option<String>,
    /// How sure.
    pub confidence: Confidence,
    /// [`Span::id`] of the path where most of it is.
    pub span: String,
    /// Names from the outermost span to that one.
    pub path: Vec<String>,
    /// `file:line` of it.
    pub site: String,
    /// The time on all paths that end here, in ns.
    pub ns: u64,
    /// What part of the time in flight that is, 0 to 1.
    pub share: f64,
    /// The measurements it rests on.
    pub evidence: Vec<Evidence>,
    /// What could not be seen, and why.
    pub not_seen: Vec<String>,
    /// The functions that the time is spent in, the largest first; empty for time that is not on the CPU.
    pub leaves: Vec<Leaf>,
    /// One imperative next step.
    pub next: String,
    /// As [`Verdict::gain`].
    pub gain: Option<f64>,
    /// As [`Verdict::bound`].
    pub bound: Option<f64>,
}

/// One named measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// What was measured.
    pub what: String,
    /// Its value.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// The reference, in the same unit.
    pub of: Option<f64>,
    /// Where the value comes from.
    pub source: Source,
}

/// Where a number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Measured in this run or on this machine.
    Measured,
    /// A hardware counter.
    Counter,
    /// The author of the program said so.
    Declared,
    /// The maker of the hardware said so.
    #[serde(rename = "data sheet")]
    DataSheet,
    /// Follows from other numbers.
    Inferred,
}

/// One `key`: prefill, decode.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// The key.
    pub key: String,
    /// Time in spans with this key, in ns.
    pub total_ns: u64,
    /// Share of the time in flight.
    pub share: f64,
    /// Its verdict.
    pub verdict: Verdict,
    /// Its time by kind.
    pub kinds: BTreeMap<&'static str, Share>,
}

/// One path of spans.
#[derive(Clone, Debug, Serialize)]
pub struct Span {
    /// Stable from run to run: a hash of the path of sites and keys.
    pub id: String,
    /// Names from the outermost span to this one.
    pub path: Vec<String>,
    /// Name of this span, with its type: `Linear::forward`.
    pub name: String,
    /// The key.
    pub key: Option<String>,
    /// `file:line`.
    pub site: String,
    /// Name of the thread (digits removed), where several have spans.
    pub thread: String,
    /// Calls that ended.
    pub calls: u64,
    /// Time inside, children included, in ns.
    pub total_ns: u64,
    /// The same without children, in ns: `on_cpu_ns + blocked_ns + preempted_ns`.
    pub self_ns: u64,
    /// Self time on the CPU, in ns.
    pub on_cpu_ns: u64,
    /// Self time waiting, in ns.
    pub blocked_ns: u64,
    /// Self time able to run but not running, in ns.
    pub preempted_ns: u64,
    /// The part of `blocked_ns` after the wake-up, waiting for a CPU, in ns.
    pub wakeup_ns: u64,
    /// What `blocked_ns` was for, the most first: the amount is exact, the division sampled. Empty where it was not seen.
    pub waits: Vec<Wait>,
    /// For an asynchronous span: time between polls, in ns; in no other sum.
    pub waiting_ns: Option<u64>,
    /// For an asynchronous span: polls.
    pub polls: Option<u64>,
    /// Median call, in ns.
    pub p50_ns: Option<u64>,
    /// 99th percentile, in ns.
    pub p99_ns: Option<u64>,
    /// Shortest call, in ns.
    pub min_ns: Option<u64>,
    /// Longest call, in ns.
    pub max_ns: Option<u64>,
    /// Kind of the self time.
    pub kind: Kind,
    /// The author's assertion (`kind = "io"`), where there is one.
    pub asserted: Option<Kind>,
    /// How sure `kind` is.
    pub confidence: Confidence,
    /// Self time by kind: `memory_ns`, ...
    pub kinds: BTreeMap<&'static str, u64>,
    /// Declared operations.
    pub flops: Option<f64>,
    /// Declared bytes.
    pub bytes: Option<f64>,
    /// The measurements of this span.
    pub evidence: Vec<Evidence>,
    /// The functions that `on_cpu_ns` is spent in, the largest first; then those that threads without spans spend their time
    /// in for this one. Empty where there were no samples.
    pub leaves: Vec<Leaf>,
    /// A call was open when the run was cut.
    pub open: bool,
}

/// A function that a span spends its own time in, from samples of instructions.
#[derive(Clone, Debug, Serialize)]
pub struct Leaf {
    /// Its name without modules; `[libm.so.6+0x1234]` where it has none, `other functions` for the small ones together.
    pub function: String,
    /// Source file of the line that was sampled most.
    pub file: Option<String>,
    /// That line.
    pub line: Option<u32>,
    /// Samples.
    pub samples: u64,
    /// Part of the samples of the span, 0 to 1; adopted ones are apart, and sum to 1 themselves.
    pub share: f64,
    /// That part of the span's own time on the CPU, in ns; for adopted ones the CPU time that the samples stand for.
    pub ns: u64,
    /// What limits it, where that is known by function.
    pub kind: Option<Kind>,
    /// The samples are of threads without spans, which work for the span.
    pub adopted: bool,
}

/// A part of a path's waits.
#[derive(Clone, Debug, Serialize)]
pub struct Wait {
    /// What was waited for: `a lock`, `a socket`, ...
    pub cause: String,
    /// How long, in ns.
    pub ns: u64,
    /// The part of the path's waits, 0 to 1.
    pub share: f64,
}

/// What was not recorded.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Lost {
    /// Spans.
    pub spans: u64,
    /// Calls on new paths for which there was no room: the budget of paths or the disk was used up.
    pub refused: u64,
    /// Context-switch records.
    pub switches: u64,
}

/// What recording cost.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Overhead {
    /// Estimated share of the program's CPU time; `None` where it cannot be told.
    pub share: Option<f64>,
    /// Cost of one span measured at the start, in ns.
    pub span_ns: Option<f64>,
    /// CPU time of the recorder's thread, in ns.
    pub recorder_ns: u64,
    /// Time inside the signal handler of samples, in ns; that of delivering the signals is not in it.
    pub sampling_ns: u64,
}

/// One box of the flame graph. `self_ns` is `total_ns` minus the totals of `children` and has exactly one kind: what of a
/// span's self time is of another kind (waits, preemption) is a child of its own.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The label.
    pub name: String,
    /// [`Span::id`] of the span it belongs to.
    pub span: Option<String>,
    /// `file:line`.
    pub site: Option<String>,
    /// Width, in ns.
    pub total_ns: u64,
    /// Width that no child covers, in ns.
    pub self_ns: u64,
    /// Kind of `self_ns`.
    pub kind: Kind,
    /// The thread did not run: drawn with a hatch.
    pub is_wait: bool,
    /// Calls.
    pub calls: u64,
    /// Lines for the tooltip: evidence, what to do.
    pub notes: Vec<String>,
    /// The functions that `self_ns` is spent in: parts of it, no more than it together.
    pub leaves: Vec<FrameLeaf>,
    /// Boxes below.
    pub children: Vec<Frame>,
}

/// A function within the own time of a box.
#[derive(Clone, Debug)]
pub struct FrameLeaf {
    /// The label.
    pub name: String,
    /// `file:line`.
    pub site: Option<String>,
    /// Width, in ns.
    pub ns: u64,
    /// What limits it; `None`: that of the box.
    pub kind: Option<Kind>,
    /// Most of it are copies that were inlined into other functions.
    pub is_inlined: bool,
    /// Lines for the tooltip.
    pub notes: Vec<String>,
}

//! What a report says of devices: a part of [`super::Summary`], under the same contract.

use serde::Serialize;

use super::{Evidence, Frame, Share};
use crate::kind::Kind;

/// What is known of devices. `None` in a report of a program that was built without GPU support.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Gpu {
    /// How much could be seen: `none`, `events`, `activity`, `counters`.
    pub level: String,
    /// Why not more; `None` where everything could be.
    pub reason: Option<String>,
    /// Devices that did something.
    pub devices: Vec<Device>,
    /// Kernels by name and span, the most time first; at most [`MOST_KERNELS`].
    pub kernels: Vec<Kernel>,
    /// Copies by direction, memory of the host, and size.
    pub copies: Vec<Copies>,
    /// Waits of the host.
    pub waits: Vec<Waits>,
    /// Times of streams around calls of spans that name one; where single operations are not recorded.
    pub spans: Vec<Elapsed>,
    /// How kernels were handed over.
    pub launches: Launches,
    /// What is wrong with how devices are used, the most time at stake first.
    pub rules: Vec<Rule>,
    /// Until when everything is known, in ns since recording began: the log was full then, and the report is about the time
    /// before. `None` if that is the end.
    pub until_ns: Option<u64>,
    /// Records that were lost.
    pub lost: u64,
    /// Why no verdict rests on the records; empty if one can.
    pub problems: Vec<String>,
    /// Why kernels cannot be held against what a device reaches; empty if they can.
    pub held_back: Vec<String>,
    /// The graph of device time: a box for each device. In pictures only.
    #[serde(skip)]
    pub frames: Vec<Frame>,
}

/// More are not listed.
pub const MOST_KERNELS: usize = 100;

/// A device from its first work to its last.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Device {
    /// Its number.
    pub number: u32,
    /// Its name; empty where it is not known.
    pub name: String,
    /// From its first work to its last, in ns.
    pub in_use_ns: u64,
    /// Time in which kernels run, in ns.
    pub kernels_ns: u64,
    /// Time in which data are copied and no kernel runs, in ns.
    pub exposed_copies_ns: u64,
    /// The part of the time of copies in which kernels run too, 0 to 1.
    pub copy_overlap: Option<f64>,
    /// Time in which memory is set and nothing else happens, in ns.
    pub sets_ns: u64,
    /// Time in which it has nothing to run, in ns.
    pub idle_ns: u64,
    /// Why, the most first: shares of `in_use_ns`.
    pub idle: Vec<Idle>,
    /// Which of its parts were in use; `None` where nothing was counted.
    pub counters: Option<Counters>,
    /// Why nothing was counted, where something could have been.
    pub not_counted: Option<String>,
}

/// Parts of a device in use, as the device's own counters have it: means over windows in which it worked, kernels or not, each
/// 0 to 1 of what it could do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counters {
    /// How many windows.
    pub windows: u64,
    /// The time of all windows, in ns.
    pub ns: u64,
    /// Bandwidth of its memory.
    pub memory: f64,
    /// Multiprocessors that have work, however little; `None` where they are not counted.
    pub busy: Option<f64>,
    /// Units that compute, as far as they are counted, the most used first.
    pub units: Vec<Unit>,
}

/// Units of a multiprocessor that compute.
#[derive(Clone, Debug, Serialize)]
pub struct Unit {
    /// Which: `matrix units`, `f64 units`, `f32 units`, `f16 units`, `integer units`.
    pub name: String,
    /// The part of what they could do, 0 to 1.
    pub share: f64,
}

/// A cause for which a device had nothing to run.
#[derive(Clone, Debug, Serialize)]
pub struct Idle {
    /// In words.
    pub cause: String,
    /// How long, and which part of the time that the device is in use.
    #[serde(flatten)]
    pub share: Share,
}

/// Kernels of one name, launched in one span.
#[derive(Clone, Debug, Serialize)]
pub struct Kernel {
    /// Its name, demangled.
    pub name: String,
    /// [`super::Span::id`] of the span; `None` outside of spans.
    pub span: Option<String>,
    /// How many.
    pub count: u64,
    /// Their times, one after the other, in ns.
    pub ns: u64,
    /// The median of them, in ns.
    pub median_ns: u64,
    /// What limits them, by the work that their span declares, or by counters of the device.
    pub kind: Kind,
    /// The measurements behind it.
    pub evidence: Vec<Evidence>,
}

/// Copies of one direction, memory and size.
#[derive(Clone, Debug, Serialize)]
pub struct Copies {
    /// `H2D`, `D2H`, `D2D`, `P2P`, `other`.
    pub direction: String,
    /// Memory of the host: `pageable`, `pinned`, `managed`; `device` for copies within devices.
    pub memory: String,
    /// The class of their sizes, in words.
    pub size: String,
    /// How many.
    pub count: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// Their times, one after the other, in ns.
    pub ns: u64,
    /// The part of it in which no kernel runs, in ns.
    pub exposed_ns: u64,
    /// Median of the bytes per second.
    pub bytes_per_s: Option<f64>,
}

/// Waits of the host for devices.
#[derive(Clone, Debug, Serialize)]
pub struct Waits {
    /// For what: `a stream`, `an event`, `a context`.
    pub of: String,
    /// How many.
    pub count: u64,
    /// Time of the calls, in ns.
    pub ns: u64,
    /// Those that had nothing to wait for, because nothing was submitted since the one before.
    pub redundant: u64,
}

/// Time of a stream between an event before the calls of a span and one behind them. Waiting for the host is in it.
#[derive(Clone, Debug, Serialize)]
pub struct Elapsed {
    /// [`super::Span::id`] of the span.
    pub span: String,
    /// Its name.
    pub name: String,
    /// How many calls were timed.
    pub calls: u64,
    /// All of their times, in ns.
    pub stream_elapsed_ns: u64,
}

/// How kernels were handed over.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Launches {
    /// Kernels and graphs whose calls are known.
    pub count: u64,
    /// Median of the calls, in ns.
    pub call_ns: u64,
    /// Median of the kernels, in ns.
    pub kernel_ns: u64,
    /// Median from the end of the call to the beginning of the kernel, in ns.
    pub delay_ns: u64,
    /// Works that are submitted and not done, on average.
    pub queued: f64,
}

/// One thing that is wrong with how devices are used.
#[derive(Clone, Debug, Serialize)]
pub struct Rule {
    /// Its name, which stays.
    pub rule: String,
    /// What kind of bottleneck it is.
    pub kind: Kind,
    /// What of the kind.
    pub subkind: String,
    /// What happens.
    pub what: String,
    /// The time at stake, in ns.
    pub ns: u64,
    /// The part of the time that devices are in use, 0 to 1.
    pub share: f64,
    /// [`super::Span::id`] of the span that it happens in most.
    pub span: Option<String>,
    /// The measurements it rests on.
    pub evidence: Vec<Evidence>,
    /// What to do.
    pub next: String,
}

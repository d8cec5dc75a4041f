//! The recorders that are compared, each in a module of its own, none of which knows of another.
//!
//! A process starts at most one of them.

pub mod bottleneck;
#[cfg(feature = "fastrace")]
pub mod fastrace;
pub mod floor;
#[cfg(feature = "hotpath")]
pub mod hotpath;
#[cfg(feature = "micromegas")]
pub mod micromegas;
#[cfg(feature = "puffin")]
pub mod puffin;
#[cfg(feature = "tracing")]
pub mod tracing;

use std::any::Any;
use std::path::Path;

use crate::functions::Function;

/// Every recorder by its name, in the order of the table. The first two record nothing: they are the scale.
pub const ALL: &[(&str, Start)] = &[
    ("empty call", floor::empty),
    (FLOOR, floor::two_reads),
    (OURS, bottleneck::start),
    #[cfg(feature = "micromegas")]
    ("micromegas-tracing 0.33", micromegas::start),
    #[cfg(feature = "hotpath")]
    ("hotpath 0.30", hotpath::start),
    #[cfg(feature = "puffin")]
    ("puffin 0.20", puffin::start),
    #[cfg(feature = "tracing")]
    ("tracing 0.1, no-op layer", tracing::start),
    #[cfg(feature = "fastrace")]
    ("fastrace 0.7", fastrace::start),
];

/// Switches a recorder on. What it writes goes to the folder.
pub type Start = fn(&Path) -> Result<Recorder, String>;

/// What a clock at both ends costs, and nothing else.
pub const FLOOR: &str = "two TSC reads";
/// The recorder that the others are compared with.
pub const OURS: &str = "bottleneck";

/// A recorder that is switched on.
pub struct Recorder {
    pub spans: Spans,
    /// Switches the recorder off and says how many spans came out of it, where it can say so.
    pub finish: Finish,
}

/// See [`Recorder::finish`].
pub type Finish = Box<dyn FnOnce() -> Result<Option<u64>, String>>;

/// How to make spans.
#[derive(Clone, Copy)]
pub struct Spans {
    /// One span.
    pub flat: Function,
    /// Eight spans, one inside the other.
    pub deep: Function,
    /// Held by a thread while it records.
    pub on_thread: fn() -> Box<dyn Any>,
    /// Runs a batch of spans, within what the recorder wants around many spans: a root, a frame.
    pub around: fn(&mut dyn FnMut()),
    /// Spans that `around` adds to each batch.
    pub added: u64,
}

impl Spans {
    /// Spans that want nothing around them.
    pub fn plain(flat: Function, deep: Function) -> Self {
        Self { flat, deep, on_thread: || Box::new(()), around: |batch| batch(), added: 0 }
    }
}

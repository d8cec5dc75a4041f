//! What one source of evidence says about a path's time on the CPU.
//!
//! Sources do not know of each other; [`super::classify`] hears them in the order of their authority, lets those that agree
//! strengthen each other, and shows it where they do not. A source that cannot tell says nothing.

use crate::profile::SpanIdx;
use crate::report::model::{Confidence, Evidence};

use super::mixture::Mixture;

/// Whose time on the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The path's own thread.
    Own,
    /// Threads without spans that work for it.
    Helpers,
}

/// What a source says.
#[derive(Clone, Debug, PartialEq)]
pub struct Testimony {
    /// What the time is made of.
    pub mixture: Mixture,
    /// Share of the time that waits for DRAM, where that was seen.
    pub dram_stall: Option<f64>,
    /// How sure the source is of the largest kind.
    pub confidence: Confidence,
    /// Its measurements, each with its reference.
    pub evidence: Vec<Evidence>,
    /// What it could not see.
    pub not_seen: Vec<String>,
}

/// A source of evidence about time on the CPU: sampled data today, hardware counters where a machine has them.
pub trait Witness: std::fmt::Debug {
    /// What it has seen of a path; `None` if too little.
    fn testify(&self, span: SpanIdx, whose: Whose) -> Option<&Testimony>;

    /// What would let it say something of the path, where it says nothing.
    fn lacks(&self, span: SpanIdx, whose: Whose) -> Option<String>;

    /// The part of the path's own time on the CPU in which it does nothing but wait, from 0 to 1.
    fn spinning(&self, span: SpanIdx) -> f64;

    /// The part of the path's own time on the CPU that is in the driver of a device, from 0 to 1.
    fn in_driver(&self, span: SpanIdx) -> f64;

    /// Whether the path's own time on the CPU is mostly arithmetic on vectors: work that a model does.
    fn is_numeric(&self, span: SpanIdx) -> bool;
}

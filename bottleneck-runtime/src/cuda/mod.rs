//! Devices: what they did, and for which span.
//!
//! With the feature `cuda` a recording holds every kernel, copy and wait that NVIDIA's profiling library (CUPTI) tells of, where
//! that is to be had; where not, copies and waits that are made through [`Stream`] are spans. Nothing here fails a program, or
//! keeps it from running where there is no driver: libraries are found while it runs, every function of theirs may be missing,
//! and what cannot be had is noted in the recording with its reason.

#[doc(hidden)]
pub mod activity;
mod buffers;
mod calls;
pub(crate) mod collector;
#[cfg(test)]
mod cost_test;
mod device_facts;
#[cfg(not(bottleneck_injection))]
mod events;
mod functions;
mod graph_nodes;
mod level;
#[cfg(not(bottleneck_injection))]
pub(crate) mod nvtx;
#[cfg(not(bottleneck_injection))]
mod stream;
mod works;

#[cfg(not(bottleneck_injection))]
pub use events::{StreamTimer, TimedHandle, TimedSpan, TimedStream, time_on};
#[cfg(not(bottleneck_injection))]
pub use stream::Stream;

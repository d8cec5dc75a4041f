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
mod events;
mod functions;
mod level;
mod stream;
mod works;

pub use events::{StreamTimer, TimedHandle, TimedSpan, TimedStream, time_on};
pub use stream::Stream;

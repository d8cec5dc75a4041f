//! The machine: what it is, how fast it can be, and what it lets us observe.
//!
//! A [`Machine`] travels in the profile file, so that a report made elsewhere still knows the ceilings and can say why
//! something was not seen. What is missing carries its reason; nothing is ever a silent zero.

mod cgroup;
mod interval;
mod kernels;
mod sys;
mod topology;

pub use interval::Interval;
pub use kernels::VectorWidth;
pub use topology::{Cache, Topology, stolen_time};

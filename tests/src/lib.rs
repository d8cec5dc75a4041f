//! What the tests that run real programs share.

mod at_site;
pub mod command;
pub mod gpu;
pub mod hostile;
#[cfg(target_arch = "x86_64")]
pub mod hostile_memory;
pub mod label;
pub mod neighbors;
#[cfg(target_arch = "x86_64")]
pub mod partner;
pub mod picture;
pub mod recorded;
pub mod seen;
pub mod summary;
#[cfg(target_arch = "x86_64")]
pub mod walk;

pub use at_site::AtSite;
pub use recorded::{Recorded, profiles};
pub use seen::Seen;
#[cfg(target_arch = "x86_64")]
pub use walk::walk;

/// Exit code of `confined` where the machine does not allow what it should do.
pub const NOT_ALLOWED_HERE: u8 = 77;

/// What the names of the control groups begin with that `confined` makes.
pub const GROUP_PREFIX: &str = "bottleneck-test-";

/// The examples of the project's page, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

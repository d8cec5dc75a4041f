//! What the tests that run real programs share.

pub mod executor;
pub mod profile;
pub mod recorded;

pub use recorded::{Recorded, profiles};

/// The examples of the project's page, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

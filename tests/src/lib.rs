//! Helpers of the tests that run real programs.

pub mod executor;
pub mod profile;

//! What the tests that run real programs share.

pub mod executor;
pub mod profile;
pub mod recorded;

pub use recorded::{Recorded, profiles};

//! `cargo bottleneck`: says why a program is slow.

pub mod kind;
pub mod profile;
pub mod report;

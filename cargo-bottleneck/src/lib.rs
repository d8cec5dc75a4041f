//! `cargo bottleneck`: says why a program is slow.

pub mod analysis;
pub mod kind;
pub mod machine;
pub mod number;
pub mod profile;
pub mod report;
pub mod units;

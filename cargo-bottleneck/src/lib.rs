//! `cargo bottleneck`: says why a program is slow.

pub mod kind;
pub mod machine;
pub mod report;
pub mod units;

//! `cargo bottleneck`: says why a program is slow.

pub mod machine;
pub mod units;

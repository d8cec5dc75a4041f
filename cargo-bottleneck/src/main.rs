//! The `cargo-bottleneck` binary.

fn main() {}

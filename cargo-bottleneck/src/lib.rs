//! `cargo bottleneck`: says why a program is slow.

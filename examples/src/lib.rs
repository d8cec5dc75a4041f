//! What the example programs share: numeric kernels, facts about the host, files, clocks, work of a chosen duration,
//! and how a bottleneck is taken away.
//!
//! Every program here has a bottleneck that is known by construction; `README.md` lists them.
//! Nothing in this library prints, but [`trial`] tells errors. `unsafe` is kept to [`clocks`], [`cold_file`],
//! [`kernels`] and [`mapping`].

#![deny(unsafe_code)]

pub mod clocks;
pub mod cold_file;
pub mod declared;
pub mod host;
pub mod kernels;
pub mod mapping;
pub mod portion;
pub mod random;
pub mod trial;

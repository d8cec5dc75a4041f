//! What the example programs share: numeric kernels, facts about the host, mapped files.
//!
//! Every program here has a bottleneck that is known by construction; `README.md` lists them.
//! Nothing in this library prints, and `unsafe` is kept to [`kernels`] and [`mapping`].

#![deny(unsafe_code)]

pub mod host;
pub mod kernels;
pub mod mapping;
pub mod random;

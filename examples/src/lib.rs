//! What the example programs share: numeric kernels, facts about the host, mapped files, work of
//! a chosen duration, and how a bottleneck is taken away.
//!
//! Every program here has a bottleneck that is known by construction; `README.md` lists them.
//! Nothing in this library prints, except [`trial::run`], and `unsafe` is kept to [`kernels`] and [`mapping`].

#![deny(unsafe_code)]

pub mod host;
pub mod kernels;
pub mod mapping;
pub mod portion;
pub mod random;
pub mod trial;

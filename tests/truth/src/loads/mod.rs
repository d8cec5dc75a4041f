//! Work of a chosen kind and a chosen time, of which programs, mixes and pairs are made.
//!
//! Sizes come from the caches of this machine, times from a measurement when a load is made, outside of every span.
//! Nothing here is a span, so that a program can put any load into any span.

mod compute;
mod gather;
mod stream;

pub(crate) use compute::Compute;
pub(crate) use gather::Gather;
pub(crate) use stream::{COLS, Stream};

//! What the programs of `ui` and those of the other tests share.

pub mod executor;

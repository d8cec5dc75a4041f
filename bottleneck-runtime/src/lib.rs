//! Records where the time of a program goes.

pub mod format;

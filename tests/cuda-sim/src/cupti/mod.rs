//! The part of CUPTI that is simulated.

pub mod collector;
mod functions;
pub mod listeners;
pub mod records;

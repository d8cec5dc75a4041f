//! The truth suite: programs of which one cause takes most of the time by construction, and the judge of what the command
//! says of them.
//!
//! A program checks its own label on this machine before it is recorded ([`oracle`]), and gives up where the label does
//! not hold. Nothing here is tuned to a verdict: a program knows neither the command nor its thresholds.

#![deny(unsafe_code)]

pub mod data;
mod loads;
pub mod options;
pub mod oracle;
pub mod programs;
pub mod removal;
pub mod runner;
pub mod table;
pub mod trial;
mod widest;

/// Exit code of a program whose label does not hold on this machine now.
pub const DENIED: u8 = 77;

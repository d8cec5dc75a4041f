//! What each subcommand does. Each file reads as the product: build, launch, report.
//!
//! The only modules that start programs and write reports.

pub mod doctor;
pub mod latest;
pub mod open;
pub mod pipeline;
pub mod present;
pub mod report;
pub mod run;
pub mod target;

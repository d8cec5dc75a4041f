//! Runs the programs under the command, at every tier of evidence, and judges what it says of them.
//!
//! It reads `summary.json` only, as any user of the command can. It never looks at how a verdict came about.

pub mod achieved;
pub mod arguments;
pub mod cost;
pub mod judge;
pub mod page;
pub mod pairs;
pub mod run;
pub mod session;
pub mod tally;
pub mod tier;

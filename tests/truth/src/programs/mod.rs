//! The programs: one module for each family of them. A module lists its programs, each with its oracle and its spans.

use crate::table::Program;

pub mod gemv;

/// The programs of all modules, in the order of their numbers.
pub const FAMILIES: &[&[Program]] = &[gemv::PROGRAMS];

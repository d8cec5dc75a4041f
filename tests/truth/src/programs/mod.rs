//! The programs: one module for each family of them. A module lists its programs, each with its oracle and its spans.

use crate::table::Program;

pub mod arrays;
pub mod attention;
pub mod gemm;
pub mod gemv;
pub mod lookup;
pub mod near;
pub mod quantized;
pub mod sharing;

/// The programs of all modules, in the order of their numbers.
pub const FAMILIES: &[&[Program]] = &[
    gemv::PROGRAMS,
    gemm::PROGRAMS,
    quantized::PROGRAMS,
    attention::PROGRAMS,
    lookup::PROGRAMS,
    near::PROGRAMS,
    sharing::PROGRAMS,
    arrays::PROGRAMS,
];

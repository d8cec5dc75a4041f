//! The programs: one module for each family of them. A module lists its programs, each with its oracle and its spans.

use crate::table::Program;

pub mod arrays;
pub mod attention;
pub mod churn;
pub mod cold_mapping;
pub mod controls;
pub mod divided;
pub mod gemm;
pub mod gemv;
pub mod locks;
pub mod lookup;
pub mod mixes;
pub mod near;
pub mod oversubscription;
pub mod pools;
pub mod quantized;
pub mod quota;
pub mod reactor;
pub mod reading;
pub mod remote_tokens;
pub mod request_log;
pub mod sharing;
pub mod starvation;
pub mod waiting;
pub mod weights;

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
    cold_mapping::PROGRAMS,
    reading::PROGRAMS,
    request_log::PROGRAMS,
    remote_tokens::PROGRAMS,
    divided::PROGRAMS,
    locks::PROGRAMS,
    starvation::PROGRAMS,
    oversubscription::PROGRAMS,
    waiting::PROGRAMS,
    reactor::PROGRAMS,
    quota::PROGRAMS,
    churn::PROGRAMS,
    weights::PROGRAMS,
    pools::PROGRAMS,
    mixes::PROGRAMS,
    controls::PROGRAMS,
];

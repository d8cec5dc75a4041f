//! The programs: one module for each family of them. A module lists its programs, each with its oracle and its spans.

use crate::table::Program;

pub mod churn;
pub mod cold_mapping;
pub mod controls;
pub mod divided;
pub mod gemv;
pub mod locks;
pub mod mixes;
pub mod oversubscription;
pub mod pools;
pub mod quota;
pub mod reactor;
pub mod reading;
pub mod remote_tokens;
pub mod request_log;
pub mod starvation;
pub mod waiting;
pub mod weights;

/// The programs of all modules, in the order of their numbers.
pub const FAMILIES: &[&[Program]] = &[
    gemv::PROGRAMS,
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

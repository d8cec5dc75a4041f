//! Residency where loads cannot be timed: the reason.

use crate::machine::caches::Residency;
use crate::machine::load_times::LoadTimes;
use crate::machine::topology::Topology;

/// Why it cannot be measured on this architecture.
pub(super) const WHY_NOT: Option<&str> = Some(
    "single loads are timed on x86-64 only, whose programs may flush a cache line and read a counter of every tick",
);

/// Nothing.
///
/// # Errors
/// Always: the reason.
pub(super) fn measure(_topology: &Topology) -> Result<Residency, String> {
    Err(WHY_NOT.unwrap_or_default().to_owned())
}

/// Nothing.
///
/// # Errors
/// Always: the reason.
pub(super) fn time_again(_holds: &[f64], _earlier: &LoadTimes) -> Result<LoadTimes, String> {
    Err(WHY_NOT.unwrap_or_default().to_owned())
}

/// There is nothing to compare.
pub(super) fn agrees(_earlier: &LoadTimes, _now: &LoadTimes) -> bool {
    false
}

//! The conditions that the process ran under: what the machine and the control group took from it.
//!
//! One chunk of kind [`super::ChunkKind::Conditions`]. Sums since recording began, brought up to date once a second and at
//! the end; a `*_start` is what the system's own account said when recording began, so that the difference is ours.

use super::record;

/// [`Conditions::known`]: the steal time of the machine is known.
pub const KNOWS_STEAL: u32 = 1;
/// [`Conditions::known`]: the throttling of the control group is known.
pub const KNOWS_THROTTLING: u32 = 2;

record! {
    /// What was taken from the process.
    Conditions,
    /// A copy of a [`Conditions`].
    ConditionsData, 128, 64,
    {
        /// `KNOWS_*`.
        known: u32 @ 0,
        /// CPUs of the machine, to which `steal_ns` is summed.
        cpus: u32 @ 4,
        /// Time that the hypervisor gave to others, summed over the CPUs of the machine, in ns.
        steal_ns: u64 @ 8,
        /// Periods in which the control group was throttled.
        throttled_periods: u64 @ 16,
        /// Periods of the control group that have passed.
        periods: u64 @ 24,
        /// Time that its CPUs were throttled, in ns.
        throttled_ns: u64 @ 32,
        /// CPU time that the control group may use in a period, in ns; 0 without a limit.
        quota_ns: u64 @ 40,
        /// Length of that period, in ns.
        period_ns: u64 @ 48,
        /// CPUs that the process could use at the last look (its affinity mask).
        affinity: u64 @ 56,
        /// `CLOCK_MONOTONIC` of the last look, in ns.
        seen_ns: u64 @ 64,
    }
}

//! The lines between one judgement and another, all in one place, each with where it comes from.
//!
//! Shares are parts of a path's time on the CPU. Those of residency were fixed on programs of known kind before they were
//! tried on others (`docs/TRUTH.md`); none was moved for a single program.

/// From this share of stalls for DRAM on, all of the time is memory's; a ramp leads from [`PARTLY_STALLED`] to here, so that
/// a share at the edge does not turn the whole judgement. Trials on 27 kernels: memory-bound ones had at least 0.44,
/// compute-bound ones at most 0.18.
pub(super) const STALLED: f64 = 0.40;
/// Below this share of stalls for DRAM none of the time is memory's.
pub(super) const PARTLY_STALLED: f64 = 0.20;
/// Stalls for DRAM and for a cache beyond the core's own, together: from here on what DRAM does not explain is the cache's.
pub(super) const CACHE_STALLED: f64 = 0.50;
/// Below this none of it is.
pub(super) const PARTLY_CACHE_STALLED: f64 = 0.35;
/// With fewer samples of its instructions nothing is said of a path.
pub(super) const LEAST_SAMPLES: u64 = 50;
/// Unless most of them are in system calls that say what they do; then so many suffice for a weak word.
pub(super) const LEAST_IN_CALLS: u64 = 10;
/// With fewer samples of its instructions nobody is taken for a model.
pub(super) const LEAST_NUMERIC: u64 = 10;
/// Nor with less of them on vectors.
pub(super) const NUMERIC: f64 = 0.6;
/// With fewer timed loads nothing is said of it, unless hardly an instruction of it is held up by memory:
pub(super) const LEAST_PROBES: u64 = 24;
/// below this share of instructions that wait for data, no load needs to be timed. Trials: compute-bound kernels without
/// data in memory 0 to 0.22.
pub(super) const HARDLY_LOADS: f64 = 0.25;
/// From this share of forward steps on, accesses are a stream, which the hardware fetches ahead.
pub(super) const STREAMING: f64 = 0.20;
/// So much may a stream stall relative to the share of the bandwidth that it draws: what is fetched in time stalls nobody.
pub(super) const STALL_PER_BANDWIDTH: f64 = 1.3;
/// A stream that would be so much faster than DRAM is none.
pub(super) const FASTER_THAN_DRAM: f64 = 1.5;
/// Two accesses of one call are compared if no more time is between them.
pub(super) const PAIR_NS: u64 = 9_000_000;
/// Fewer pairs say nothing of a stream.
pub(super) const LEAST_PAIRS: usize = 12;
/// From this share of page faults on they are an own part of the time.
pub(super) const FAULTING: f64 = 0.10;
/// From this share on, compute-bound time is named after its branches or its divisions.
pub(super) const OFTEN: f64 = 0.40;
/// From this share of samples in loops that only wait on, a path spins.
pub(super) const SPINNING: f64 = 0.50;
/// From here on it does nothing else.
pub(super) const ONLY_SPINS: f64 = 0.90;
// Declared work against ceilings: shares of what was measured with the same number of threads. 0.6 and 0.5 are what kernels of
// known kind reach that nobody tuned (good generators draw 0.65 to 0.70 of a bandwidth).

/// From here on the DRAM bandwidth is the limit.
pub(super) const BANDWIDTH_BOUND: f64 = 0.6;
/// From here on the arithmetic units are the limit.
pub(super) const COMPUTE_BOUND: f64 = 0.5;
/// Below this a ceiling is far away.
pub(super) const FAR: f64 = 0.3;
/// Beyond this a ceiling is broken: measurement leaves room for five percent.
pub(super) const BROKEN: f64 = 1.05;

// Verdicts: shares of the time in flight.

/// Kinds within so many points of each other are about as large.
pub(super) const MIXED: f64 = 0.05;
/// A server that waits for requests for this part of the run is not limited. One that is busy outside of requests, with
/// loading its weights for example, does not wait.
pub(super) const MOSTLY_QUIET: f64 = 0.9;
/// Intervals wider than this make a verdict no stronger than moderate, and kinds are not called mixed for it.
pub(super) const WIDEST_MARGIN: f64 = 0.15;
/// Fewer moments than this make a weak verdict.
pub(super) const FEW_MOMENTS: u64 = 30;

/// 95 % of a normal distribution lie within so many standard deviations.
pub(super) const Z: f64 = 1.96;

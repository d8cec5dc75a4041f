//! Measures what changes slowly: the multiply-add peak of each vector width, the clock, the caches.
//!
//! Each figure is checked against the clock of the core, because a wrong peak looks as stable as a right one. `kept` writes
//! them to a file by machine, so that later runs need a check of a few milliseconds only.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::caches::{self, Known};
use super::ceilings::{Ceilings, FmaPeak, Measurement, Unavailable};
use super::interval::Interval;
use super::kernels::{self, VectorWidth, Width};
use super::topology::Topology;
use super::windows::{self, Plan, Work};
use crate::units::{FlopsPerSec, Hertz, Nanos};

/// A peak is right within 5 % after 0.2 to 1 ms.
const WINDOW: Duration = Duration::from_millis(1);
/// Windows for each figure, of which the best three count: a slower one was disturbed.
pub(super) const PLAN: Plan =
    Plan { clean: 8, at_most: 32, budget: Duration::ZERO, patience: Duration::from_millis(40) };
const BEST: usize = 3;
/// For the check of a stored result.
const SHORT_PLAN: Plan =
    Plan { clean: 3, at_most: 9, budget: Duration::ZERO, patience: Duration::from_millis(9) };
/// A stored peak that differs by more from a fresh one is measured again.
const STILL_HOLDS: f64 = 0.10;
/// 6 cycles of two units in a round: about 15 µs between two looks at the clock.
const ROUNDS: u64 = 8192;

/// Adds to `res` the multiply-add peak of every vector width, the clock, and the speed of `caches` (from the innermost on), for
/// one thread and for as many as run at once.
///
/// Costs about 9 ms for each width and number of threads, and for each cache: 120 to 180 ms
/// and up to four times that on a busy machine.
pub(super) fn measure_compute(
    topology: &Topology,
    caches: &[Known],
    mut res: Ceilings,
) -> Ceilings {
    let begin = Instant::now();
    let clock = measure_clock(topology, PLAN);
    match clock
        .as_ref()
        .map_err(|error| format!("the probe could not run: {error}"))
        .and_then(|c| plausible_clock(*c))
    {
        Ok(clock) => res.clock = Some(clock),
        Err(reason) => res.unavailable.push(Unavailable { what: "clock".to_owned(), reason }),
    }
    let mut counts = vec![1, topology.parallelism()];
    counts.dedup();
    for threads in counts {
        for width in kernels::widths() {
            match measure_peak(topology, width, threads, res.clock) {
                Ok(peak) => res.fma_f32.push(peak),
                Err(reason) => {
                    let what =
                        format!("{} multiply-add peak of {threads} threads", width.width.name());
                    res.unavailable.push(Unavailable { what, reason });
                }
            }
        }
    }
    for (index, cache) in caches.iter().enumerate() {
        match caches::read(topology, caches, index) {
            Ok(read) => res.cache_read.push(read),
            Err(reason) => {
                res.unavailable.push(Unavailable {
                    what: format!("level {} cache bandwidth", cache.level),
                    reason,
                });
            }
        }
    }
    let method = "windows of 1 ms, the best three of eight; operations in registers, checked against the clock";
    res.compute = Some(Measurement::now(method.to_owned(), Nanos::from(begin.elapsed())));
    res
}

/// Whether one fresh measurement of the best width agrees.
pub(super) fn still_holds(topology: &Topology, stored: &Ceilings) -> bool {
    let Some(best) = stored.best_fma_f32(1) else { return false };
    let width = Width { width: best.width, fused: best.fused };
    let fresh = windows::measure(1, &topology.cpus, SHORT_PLAN, || Ok(MultiplyAdd(width)));
    let fresh = fresh.ok().and_then(|rates| rates.per_second.into_iter().reduce(f64::max));
    fresh.is_some_and(|rate| (rate / best.peak.max.get() - 1.0).abs() <= STILL_HOLDS)
}

/// The best windows as an interval.
pub(super) fn best_of(rates: &windows::Rates) -> Option<Interval<f64>> {
    let mut sorted = rates.per_second.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted.truncate(BEST);
    Interval::of(&sorted)
}

fn measure_clock(topology: &Topology, plan: Plan) -> io::Result<Option<Interval<Hertz>>> {
    let rates = windows::measure(1, &topology.cpus, plan, || Ok(AddChain))?;
    Ok(best_of(&rates).map(|adds| adds.map(Hertz)))
}

fn plausible_clock(clock: Option<Interval<Hertz>>) -> Result<Interval<Hertz>, String> {
    let clock = clock.ok_or("no window of the probe was measured")?;
    let hertz = clock.max.get();
    // No core in use is slower or faster; adds that are not dependent, or emulated, would look so.
    if (2e8..=1e10).contains(&hertz) {
        Ok(clock)
    } else {
        Err(format!("a chain of dependent adds ran at {}, which no core does", clock.max))
    }
}

fn measure_peak(
    topology: &Topology,
    kind: Width,
    threads: u32,
    clock: Option<Interval<Hertz>>,
) -> Result<FmaPeak, String> {
    let rates = windows::measure(threads, &topology.cpus, PLAN, || Ok(MultiplyAdd(kind)))
        .map_err(|error| format!("the probe could not run: {error}"))?;
    let Width { width, fused } = kind;
    let peak = best_of(&rates).ok_or("no window of the probe was measured")?.map(FlopsPerSec);
    let clock = clock.ok_or("without the clock it cannot be checked")?;
    let per_cycle = peak.max.per_cycle(clock.max).unwrap_or(0.0) / f64::from(threads);
    plausible_peak(per_cycle, width, fused, threads)?;
    Ok(FmaPeak { width, fused, threads, peak, per_cycle })
}

/// One unit at least, four at most, with a tenth for a clock that moved. Several threads may share cores, so that only
/// one thread has a lower bound.
fn plausible_peak(
    per_cycle: f64,
    width: VectorWidth,
    fused: bool,
    threads: u32,
) -> Result<(), String> {
    let one_unit = f64::from(width.lanes()) * if fused { 2.0 } else { 1.0 };
    let least = if threads == 1 { 0.8 * one_unit } else { 0.0 };
    let most = 4.0 * one_unit * 1.1;
    if (least..=most).contains(&per_cycle) {
        return Ok(());
    }
    Err(format!(
        "{per_cycle:.1} FLOP in a cycle are not plausible: {one_unit:.0} to {:.0} are",
        4.0 * one_unit
    ))
}

/// Whether a window of 1 ms, or of the group, is over.
pub(super) fn over(begin: Instant, stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed) || begin.elapsed() >= WINDOW
}

/// Amount: floating-point operations.
struct MultiplyAdd(Width);

impl Work for MultiplyAdd {
    fn run(&mut self, stop: &AtomicBool) -> u64 {
        let begin = Instant::now();
        let mut done = 0;
        while !over(begin, stop) {
            done += kernels::multiply_add(self.0, ROUNDS);
        }
        done
    }
}

/// Amount: dependent adds, one a cycle.
struct AddChain;

impl Work for AddChain {
    fn run(&mut self, stop: &AtomicBool) -> u64 {
        let begin = Instant::now();
        let mut done = 0;
        while !over(begin, stop) {
            done += kernels::add_chain(ROUNDS / 4);
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spilled_accumulator_is_not_believed() {
        // Zen 4 does 32 FLOP a cycle at 512 bit; a kernel that spilled gave 9.
        assert_eq!(plausible_peak(31.7, VectorWidth::Bits512, true, 1), Ok(()));
        assert!(
            plausible_peak(9.1, VectorWidth::Bits512, true, 1).unwrap_err().contains("9.1 FLOP")
        );
        assert!(plausible_peak(9.1, VectorWidth::Scalar, true, 1).is_err());
        assert_eq!(plausible_peak(2.0, VectorWidth::Scalar, false, 1), Ok(()));
        assert_eq!(plausible_peak(9.1, VectorWidth::Bits512, true, 8), Ok(()));
    }

    #[test]
    fn a_clock_of_nothing_real_is_not_believed() {
        let clock = |hertz| plausible_clock(Some(Interval::exactly(Hertz(hertz))));
        assert!(clock(3.6e9).is_ok());
        assert!(clock(2.2e10).unwrap_err().contains("22.0 GHz"));
        assert!(plausible_clock(None).is_err());
    }
}

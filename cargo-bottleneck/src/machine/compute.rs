//! Measures what changes slowly: the multiply-add peak of each vector width, the clock, the caches.
//!
//! Each figure is checked against the clock of the core, because a wrong peak looks as stable as a right one. Written to
//! a file by machine, so that later runs need a check of a few milliseconds only.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::ceilings::{CacheRead, Ceilings, FmaPeak, Measurement, Unavailable};
use super::interval::Interval;
use super::kernels::{self, VectorWidth, Width};
use super::sys::Pages;
use super::topology::{Cache, Topology};
use super::windows::{self, Plan, Work};
use crate::units::{Bytes, BytesPerSec, FlopsPerSec, Hertz, Nanos};

/// A peak is right within 5 % after 0.2 to 1 ms.
const WINDOW: Duration = Duration::from_millis(1);
/// Windows for each figure, of which the best three count: a slower one was disturbed.
const PLAN: Plan =
    Plan { clean: 8, at_most: 32, budget: Duration::ZERO, patience: Duration::from_millis(40) };
const BEST: usize = 3;
/// For the check of a stored result.
const SHORT_PLAN: Plan =
    Plan { clean: 3, at_most: 9, budget: Duration::ZERO, patience: Duration::from_millis(9) };
/// A stored peak that differs by more from a fresh one is measured again.
const STILL_HOLDS: f64 = 0.10;
/// 6 cycles of two units in a round: about 15 µs between two looks at the clock.
const ROUNDS: u64 = 8192;

/// Measures the multiply-add peak of every vector width, the clock and the caches, for one thread and for as many as
/// run at once.
///
/// Costs about 9 ms for each width and number of threads, and for each cache: 120 to 180 ms
/// and up to four times that on a busy machine.
pub fn measure_compute(topology: &Topology) -> Ceilings {
    let begin = Instant::now();
    let mut res = Ceilings::default();
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
    for cache in &topology.caches {
        match measure_cache(topology, *cache) {
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

/// The same, from the file of an earlier measurement in `folder` where a check of about 8 ms finds that it still holds.
///
/// A file that cannot be read or written costs time only; a result with anything unavailable is not stored.
pub fn cached_compute(topology: &Topology, folder: &Path) -> Ceilings {
    let begin = Instant::now();
    let key = Key::of(topology);
    let path = folder.join(key.file_name());
    if let Some(mut ceilings) = load(&path, &key)
        && still_holds(topology, &ceilings)
    {
        if let Some(measurement) = &mut ceilings.compute {
            measurement.cached = true;
            measurement.took = Nanos::from(begin.elapsed());
        }
        return ceilings;
    }
    let ceilings = measure_compute(topology);
    if ceilings.unavailable.is_empty() {
        // Measured again next time, which is all that a lost file costs.
        let _ = store(&path, &Stored { key, ceilings: ceilings.clone() });
    }
    ceilings
}

/// What a stored result holds for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Key {
    version: String,
    cpu_model: String,
    cpus: Vec<u32>,
    quota: Option<f64>,
    caches: Vec<Cache>,
}

impl Key {
    fn of(topology: &Topology) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cpu_model: topology.cpu_model.clone(),
            cpus: topology.cpus.clone(),
            quota: topology.quota,
            caches: topology.caches.clone(),
        }
    }

    /// Each key has its own file, so that runs on different CPUs, or machines with one home, do not replace each other's.
    /// The key inside the file decides; a hash that differs between builds costs one measurement.
    fn file_name(&self) -> String {
        let mut hasher = DefaultHasher::new();
        format!("{self:?}").hash(&mut hasher);
        format!("ceilings-{:016x}.json", hasher.finish())
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    key: Key,
    ceilings: Ceilings,
}

fn load(path: &Path, key: &Key) -> Option<Ceilings> {
    let stored: Stored = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    (stored.key == *key).then_some(stored.ceilings)
}

/// Written beside and renamed, because two runs may start at once.
fn store(path: &Path, stored: &Stored) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = PathBuf::from(format!("{}.{}", path.display(), std::process::id()));
    fs::write(&beside, serde_json::to_vec_pretty(stored)?)?;
    fs::rename(&beside, path).inspect_err(|_| drop(fs::remove_file(&beside)))
}

/// Whether one fresh measurement of the best width agrees.
fn still_holds(topology: &Topology, stored: &Ceilings) -> bool {
    let Some(best) = stored.best_fma_f32(1) else { return false };
    let width = Width { width: best.width, fused: best.fused };
    let fresh = windows::measure(1, &topology.cpus, SHORT_PLAN, || Ok(MultiplyAdd(width)));
    let fresh = fresh.ok().and_then(|rates| rates.per_second.into_iter().reduce(f64::max));
    fresh.is_some_and(|rate| (rate / best.peak.max.get() - 1.0).abs() <= STILL_HOLDS)
}

/// The best windows as an interval.
fn best_of(rates: &windows::Rates) -> Option<Interval<f64>> {
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

fn measure_cache(topology: &Topology, cache: Cache) -> Result<CacheRead, String> {
    let inner = topology
        .caches
        .iter()
        .filter(|c| c.level < cache.level)
        .map(|c| c.size.get())
        .fold(0.0, f64::max);
    let bytes = data_size(cache.size.get(), inner);
    let rates = windows::measure(1, &topology.cpus, PLAN, || ReadAgain::new(bytes))
        .map_err(|error| format!("the probe could not run: {error}"))?;
    let bandwidth = best_of(&rates).ok_or("no window of the probe was measured")?.map(BytesPerSec);
    Ok(CacheRead { level: cache.level, data: Bytes(bytes as f64), bandwidth })
}

/// Half of the cache, for there is other data in it; of a large outer one four times the inner cache, which is enough to
/// miss that one, and quickly touched.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the size of a cache, positive"
)]
fn data_size(cache: f64, inner: f64) -> usize {
    let wanted = if inner > 0.0 { (inner * 4.0).min(cache / 2.0) } else { cache / 2.0 };
    let steps = wanted as usize / kernels::READ_STEP;
    steps.max(1) * kernels::READ_STEP
}

/// Whether a window of 1 ms, or of the group, is over.
fn over(begin: Instant, stop: &AtomicBool) -> bool {
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

/// Amount: bytes read from a buffer that was read before.
struct ReadAgain(Pages);

impl ReadAgain {
    /// Between two looks at the clock: 2 to 10 µs.
    const CHUNK: usize = 256 << 10;

    fn new(bytes: usize) -> io::Result<Self> {
        let mut pages = Pages::new(bytes)?;
        pages.bytes_mut().fill(1);
        Ok(Self(pages))
    }
}

impl Work for ReadAgain {
    fn prepare(&mut self) {
        black_box(kernels::read_sum(self.0.bytes(), 1));
    }

    fn run(&mut self, stop: &AtomicBool) -> u64 {
        let bytes = self.0.bytes();
        let repeats = (Self::CHUNK / bytes.len()).max(1) as u64;
        let begin = Instant::now();
        let mut done = 0;
        while !over(begin, stop) {
            // Of a small cache many passes, of a large one all its parts in turn.
            for chunk in bytes.chunks(Self::CHUNK) {
                black_box(kernels::read_sum(chunk, repeats));
                done += (chunk.len() / kernels::READ_STEP * kernels::READ_STEP) as u64 * repeats;
            }
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

    #[test]
    fn each_cache_is_read_with_data_that_its_inner_one_lacks_room_for() {
        let kib = 1024.0;
        assert_eq!(data_size(48.0 * kib, 0.0), 24 << 10);
        assert_eq!(data_size(2048.0 * kib, 48.0 * kib), 192 << 10);
        assert_eq!(data_size(1024.0 * 260.0 * kib, 2048.0 * kib), 8 << 20);
        assert_eq!(data_size(100.0, 0.0), kernels::READ_STEP);
    }

    #[test]
    fn a_stored_result_holds_for_its_machine_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/ceilings.json");
        let topology = Topology::read().unwrap();
        let key = Key::of(&topology);
        let ceilings =
            Ceilings { clock: Some(Interval::exactly(Hertz(3e9))), ..Ceilings::default() };
        store(&path, &Stored { key: key.clone(), ceilings: ceilings.clone() }).unwrap();
        assert_eq!(load(&path, &key), Some(ceilings));
        let other = Key { quota: Some(0.5), ..key.clone() };
        assert_eq!(load(&path, &other), None);
        assert_ne!(other.file_name(), key.file_name());
        fs::write(&path, b"{\"key\": 3").unwrap();
        assert_eq!(load(&path, &key), None);
    }
}

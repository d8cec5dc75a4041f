//! The ceilings of a machine: what its memory, caches and arithmetic units reach when nothing else limits them.
//!
//! The data and what follows from them; the measuring is in `compute`, `caches`, `bandwidth`, `residency` and `paging`. A ceiling that could not be
//! measured is absent, and `unavailable` says why.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::interval::Interval;
use super::kernels::VectorWidth;
use super::load_times::LoadTimes;
use crate::units::{Bytes, BytesPerSec, FlopsPerSec, Hertz, Intensity, Nanos};

/// What was measured of the speed of a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ceilings {
    /// Reading memory, by rising number of threads; the rate is that of all threads together.
    pub dram_read: Vec<DramRead>,
    /// Reading caches with one thread, by rising level.
    pub cache_read: Vec<CacheRead>,
    /// Multiply-adds of `f32`, by rising number of threads and width; the rate is that of all threads together.
    pub fma_f32: Vec<FmaPeak>,
    /// The clock of a core at work.
    pub clock: Option<Interval<Hertz>>,
    /// When and for how long `cache_read`, `fma_f32` and `clock` were measured.
    pub compute: Option<Measurement>,
    /// One load that waits for the one before it, by rising level; the last are memory.
    #[serde(default)]
    pub latency: Vec<LoadLatency>,
    /// What the time of one load says of where its data are; measured again before every run.
    #[serde(default)]
    pub load_times: Option<LoadTimes>,
    /// The first touch of a page, by rising size; sizes that the kernel does not give are absent.
    #[serde(default)]
    pub first_touch: Vec<FirstTouch>,
    /// Copying files from the page cache with one thread.
    #[serde(default)]
    pub page_cache_read: Option<Interval<BytesPerSec>>,
    /// When and for how long `latency`, `first_touch`, `page_cache_read` and the skid of `load_times` were measured.
    #[serde(default)]
    pub memory: Option<Measurement>,
    /// The ceilings that are absent, and why.
    pub unavailable: Vec<Unavailable>,
}

/// How fast so many threads read memory together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DramRead {
    /// The number of threads.
    pub threads: u32,
    /// Least, median and greatest window, of all threads together.
    pub bandwidth: Interval<BytesPerSec>,
    /// How and when.
    pub measurement: Measurement,
    /// What makes the figure less certain, as sentences.
    pub limits: Vec<String>,
}

/// How fast one thread reads a cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheRead {
    /// 1 is next to the core.
    pub level: u8,
    /// The size of the data that were read, which is less than the cache.
    pub data: Bytes,
    /// Least, median and greatest window.
    pub bandwidth: Interval<BytesPerSec>,
    /// The largest data that it keeps, by how long loads take: less than its size where others share it. `None` where that
    /// was not measured.
    #[serde(default)]
    pub holds: Option<Bytes>,
    /// It may hold more: that was the largest size that was tried.
    #[serde(default)]
    pub may_hold_more: bool,
}

/// How long a load takes whose address comes from the load before it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadLatency {
    /// The cache that answers it, 1 is next to the core; `None` is memory.
    pub level: Option<u8>,
    /// The size of the data that the loads go through in random order.
    pub data: Bytes,
    /// The size of their pages: in small ones the time contains that of finding translations.
    pub page: Bytes,
    /// Least, median and greatest window, in ns.
    pub latency_ns: Interval<f64>,
}

/// What it costs to touch a page for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FirstTouch {
    /// Size of the page.
    pub page: Bytes,
    /// Least, median and greatest window, in ns for one page.
    pub cost_ns: Interval<f64>,
}

/// How fast so many threads multiply and add `f32` together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FmaPeak {
    /// How many numbers an instruction works on.
    pub width: VectorWidth,
    /// One instruction multiplies and adds; otherwise they are two.
    pub fused: bool,
    /// The number of threads.
    pub threads: u32,
    /// The best three windows, of all threads together.
    pub peak: Interval<FlopsPerSec>,
    /// Operations for each cycle of one core, by the clock measured beside it.
    pub per_cycle: f64,
}

/// How a ceiling was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The method, in words.
    pub method: String,
    /// When, in seconds since 1970; of merged probes the first.
    pub at_unix_s: u64,
    /// How long the measuring took, in all.
    pub took: Nanos,
    /// Read from a file that an earlier run wrote, after a short check that it still holds.
    pub cached: bool,
}

/// A ceiling that could not be measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unavailable {
    /// Which, in words.
    pub what: String,
    /// Why, as a sentence fragment.
    pub reason: String,
}

/// [`Unavailable::what`] where single loads could not be timed.
pub const LOADS: &str = "time of one load";

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot measure the {}: {}", self.what, self.reason)
    }
}

impl std::error::Error for Unavailable {}

impl Measurement {
    pub(super) fn now(method: String, took: Nanos) -> Self {
        let at_unix_s =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { method, at_unix_s, took, cached: false }
    }
}

impl Ceilings {
    /// The memory bandwidth of so many threads: that number if it was measured, else the next larger, else the largest.
    pub fn dram_read(&self, threads: u32) -> Option<&DramRead> {
        let at_least =
            self.dram_read.iter().filter(|r| r.threads >= threads).min_by_key(|r| r.threads);
        at_least.or_else(|| self.dram_read.iter().max_by_key(|r| r.threads))
    }

    /// The multiply-add peak of a width: of that number of threads if it was measured, else the next larger, else the
    /// largest; with fused instructions where the machine has them.
    pub fn fma_f32(&self, width: VectorWidth, threads: u32) -> Option<&FmaPeak> {
        self.peak(width, true, threads).or_else(|| self.peak(width, false, threads))
    }

    /// The same for code whose multiplications and additions are separate instructions, as in a program that is built
    /// for every x86-64 processor. `None` for a width or an architecture where that was not measured.
    pub fn unfused_f32(&self, width: VectorWidth, threads: u32) -> Option<&FmaPeak> {
        self.peak(width, false, threads)
    }

    fn peak(&self, width: VectorWidth, fused: bool, threads: u32) -> Option<&FmaPeak> {
        let alike = || self.fma_f32.iter().filter(|p| p.width == width && p.fused == fused);
        let at_least = alike().filter(|p| p.threads >= threads).min_by_key(|p| p.threads);
        at_least.or_else(|| alike().max_by_key(|p| p.threads))
    }

    /// The greatest multiply-add peak of any width, of so many threads as in [`Self::fma_f32`].
    pub fn best_fma_f32(&self, threads: u32) -> Option<&FmaPeak> {
        let widths =
            [VectorWidth::Scalar, VectorWidth::Bits128, VectorWidth::Bits256, VectorWidth::Bits512];
        let peaks = widths.into_iter().filter_map(|width| self.fma_f32(width, threads));
        peaks.max_by(|a, b| a.peak.median.get().total_cmp(&b.peak.median.get()))
    }

    /// The intensity above which arithmetic of the widest vectors is the limit and below which memory is, with so many
    /// threads. It is an interval, because both ceilings are.
    pub fn ridge(&self, threads: u32) -> Option<Interval<Intensity>> {
        let (peak, read) = (self.best_fma_f32(threads)?.peak, self.dram_read(threads)?.bandwidth);
        Some(Interval {
            min: peak.min.ridge(read.max)?,
            median: peak.median.ridge(read.median)?,
            max: peak.max.ridge(read.min)?,
            windows: peak.windows.min(read.windows),
        })
    }

    /// A load from a level (`None` is memory), in the largest pages that it was measured in.
    pub fn latency(&self, level: Option<u8>) -> Option<&LoadLatency> {
        let alike = self.latency.iter().filter(|latency| latency.level == level);
        alike.max_by(|a, b| a.page.get().total_cmp(&b.page.get()))
    }

    /// The ceilings that hold for a run between two measurements: bandwidths become the hull of both, the rest is that
    /// of `before` where it has it.
    ///
    /// A number of threads that was probed only once keeps that probe, with the limit said.
    #[must_use]
    pub fn merge(before: Self, after: Self) -> Self {
        let mut res = before;
        let mut later = after.dram_read;
        for read in &mut res.dram_read {
            match later.iter().position(|l| l.threads == read.threads) {
                Some(index) => merge_read(read, later.swap_remove(index)),
                None => read.limits.push("probed before the run only".to_owned()),
            }
        }
        for mut read in later {
            read.limits.push("probed after the run only".to_owned());
            res.dram_read.push(read);
        }
        res.dram_read.sort_by_key(|read| read.threads);
        if res.compute.is_none() {
            (res.cache_read, res.fma_f32) = (after.cache_read, after.fma_f32);
            (res.clock, res.compute) = (after.clock, after.compute);
        }
        if res.memory.is_none() {
            (res.latency, res.first_touch) = (after.latency, after.first_touch);
            (res.page_cache_read, res.memory) = (after.page_cache_read, after.memory);
        }
        res.load_times = res.load_times.or(after.load_times);
        for missing in after.unavailable {
            if !res.unavailable.contains(&missing) {
                res.unavailable.push(missing);
            }
        }
        res
    }
}

fn merge_read(read: &mut DramRead, after: DramRead) {
    let bandwidth =
        read.bandwidth.map(BytesPerSec::get).hull(after.bandwidth.map(BytesPerSec::get));
    read.bandwidth = bandwidth.map(BytesPerSec);
    read.measurement.took += after.measurement.took;
    for limit in after.limits {
        if !read.limits.contains(&limit) {
            read.limits.push(limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(threads: u32, min: f64, max: f64) -> DramRead {
        let bandwidth = Interval { min, median: f64::midpoint(min, max), max, windows: 3 };
        DramRead {
            threads,
            bandwidth: bandwidth.map(BytesPerSec),
            measurement: Measurement {
                method: "test".to_owned(),
                at_unix_s: 7,
                took: Nanos(5),
                cached: false,
            },
            limits: Vec::new(),
        }
    }

    fn peak(width: VectorWidth, threads: u32, rate: f64) -> FmaPeak {
        FmaPeak {
            width,
            fused: true,
            threads,
            peak: Interval::exactly(FlopsPerSec(rate)),
            per_cycle: 1.0,
        }
    }

    #[test]
    fn a_run_is_judged_by_both_probes() {
        let before = Ceilings {
            dram_read: vec![read(1, 10.0, 12.0), read(4, 30.0, 34.0)],
            ..Ceilings::default()
        };
        let missing = Unavailable { what: "clock".to_owned(), reason: "test".to_owned() };
        let after = Ceilings {
            dram_read: vec![read(2, 20.0, 20.0), read(1, 6.0, 11.0)],
            unavailable: vec![missing.clone(), missing.clone()],
            fma_f32: vec![peak(VectorWidth::Scalar, 1, 8.0)],
            compute: Some(Measurement::now(String::new(), Nanos(1))),
            ..Ceilings::default()
        };
        let merged = Ceilings::merge(before, after);
        let bounds = |r: &DramRead| {
            (r.threads, r.bandwidth.min.get(), r.bandwidth.max.get(), r.limits.len())
        };
        let expected = [(1, 6.0, 12.0, 0), (2, 20.0, 20.0, 1), (4, 30.0, 34.0, 1)];
        assert_eq!(merged.dram_read.iter().map(bounds).collect::<Vec<_>>(), expected);
        assert_eq!(merged.dram_read[0].measurement.took, Nanos(10));
        assert_eq!(merged.dram_read[0].bandwidth.windows, 6);
        assert_eq!(merged.unavailable, [missing]);
        assert_eq!(merged.fma_f32.len(), 1);
    }

    #[test]
    fn the_nearest_larger_number_of_threads_is_taken() {
        let ceilings = Ceilings {
            dram_read: vec![read(1, 1.0, 1.0), read(4, 4.0, 4.0)],
            ..Ceilings::default()
        };
        let threads = |asked| ceilings.dram_read(asked).map(|r| r.threads);
        assert_eq!(
            [threads(1), threads(2), threads(4), threads(64)],
            [Some(1), Some(4), Some(4), Some(4)]
        );
        assert_eq!(Ceilings::default().dram_read(1), None);
    }

    #[test]
    fn the_ridge_is_uncertain_as_both_ceilings_are() {
        let ceilings = Ceilings {
            dram_read: vec![read(1, 10.0, 20.0)],
            fma_f32: vec![peak(VectorWidth::Scalar, 1, 10.0), peak(VectorWidth::Bits512, 1, 100.0)],
            ..Ceilings::default()
        };
        let ridge = ceilings.ridge(1).unwrap();
        assert_eq!((ridge.min, ridge.max), (Intensity(5.0), Intensity(10.0)));
        assert_eq!(ceilings.best_fma_f32(1).unwrap().width, VectorWidth::Bits512);
        assert_eq!(Ceilings::default().ridge(1), None);
    }

    #[test]
    fn fused_peaks_are_preferred_and_the_others_kept() {
        let unfused = FmaPeak { fused: false, ..peak(VectorWidth::Bits128, 1, 30.0) };
        let scalar = FmaPeak { fused: false, ..peak(VectorWidth::Scalar, 1, 8.0) };
        let fma_f32 = vec![scalar, unfused, peak(VectorWidth::Bits128, 1, 46.0)];
        let ceilings = Ceilings { fma_f32, ..Ceilings::default() };
        let rate = |peak: Option<&FmaPeak>| peak.map(|p| p.peak.max.get());
        assert_eq!(rate(ceilings.fma_f32(VectorWidth::Bits128, 1)), Some(46.0));
        assert_eq!(rate(ceilings.fma_f32(VectorWidth::Scalar, 4)), Some(8.0));
        assert_eq!(rate(ceilings.unfused_f32(VectorWidth::Bits128, 1)), Some(30.0));
        assert_eq!(rate(ceilings.unfused_f32(VectorWidth::Bits256, 1)), None);
    }
}

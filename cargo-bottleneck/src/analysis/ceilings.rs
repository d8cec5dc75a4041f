//! What the machine can do at most, as the analysis needs it: plain numbers with their spread.

use crate::profile::Dtype;

/// The least, the middle and the greatest of several measurements of one thing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least.
    pub min: f64,
    /// The median.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

impl Range {
    /// Something that is known from one number.
    pub fn exactly(value: f64) -> Self {
        Self { min: value, median: value, max: value }
    }

    /// `amount` as a share of this ceiling: the least share, against the highest ceiling, first. `None` unless the
    /// ceiling is a positive number.
    pub(super) fn share_of(self, amount: f64) -> Option<Self> {
        let is_usable = self.min > 0.0
            && self.min <= self.median
            && self.median <= self.max
            && self.max.is_finite();
        is_usable.then(|| Self {
            min: amount / self.max,
            median: amount / self.median,
            max: amount / self.min,
        })
    }

    pub(super) fn scaled(self, factor: f64) -> Self {
        Self { min: self.min * factor, median: self.median * factor, max: self.max * factor }
    }
}

/// The peak of one arithmetic unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Peak {
    /// Type of its operands.
    pub dtype: Dtype,
    /// Its name for people: `AVX-512 FMA`, `scalar FMA`.
    pub unit: String,
    /// Lanes; 1 for a scalar unit.
    pub lanes: u32,
    /// Operations per second, of all [`Ceilings::threads`] together.
    pub rate: Range,
}

/// Ceilings measured on the machine that the program ran on. Each is that of `threads` threads together, measured with
/// as many threads as do declared work at once in the run ([`super::working_threads`]).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ceilings {
    /// Bytes per second read from DRAM.
    pub dram_read: Option<Range>,
    /// Bytes per second read from each level of cache, in any order.
    pub cache_read: Vec<Range>,
    /// Peaks, in any order.
    pub peaks: Vec<Peak>,
    /// Threads that the ceilings hold for; `None` counts as 1.
    pub threads: Option<u32>,
    /// How and when they were measured, for people.
    pub measured: String,
    /// What tells where the data of a timed load were; `None` where that cannot be told.
    pub load_times: Option<LoadTimes>,
    /// What the kernel needs to hand out a page of 4 KiB for the first time, in ns.
    pub page_fault_ns: Option<f64>,
}

/// The lines between near and far, in ticks of the time-stamp counter, fences included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadTimes {
    /// At most this: the line was in a cache of the core's own.
    pub near_ticks: f64,
    /// At least this: it was in DRAM.
    pub far_ticks: f64,
}

impl Ceilings {
    /// The ceilings to judge a run by that other programs disturbed. They can only have slowed it: a rate measured in it is
    /// at most what the program reaches alone, so the highest ceilings of the probes would be asked too much of it.
    #[must_use]
    pub(super) fn of_a_disturbed_run(&self) -> Self {
        let lowered = |range: &mut Range| range.max = range.median;
        let mut res = self.clone();
        res.dram_read.iter_mut().for_each(lowered);
        res.cache_read.iter_mut().for_each(lowered);
        res.peaks.iter_mut().for_each(|peak| lowered(&mut peak.rate));
        res
    }

    fn per_thread(&self, range: Range) -> Range {
        range.scaled(1.0 / f64::from(self.threads.unwrap_or(1).max(1)))
    }

    /// DRAM bandwidth of one thread among `threads`.
    pub(super) fn dram(&self) -> Option<Range> {
        self.dram_read.map(|range| self.per_thread(range))
    }

    /// Bandwidth of one thread among `threads` from each cache, the fastest first.
    pub(super) fn caches(&self) -> Vec<Range> {
        let mut res: Vec<Range> =
            self.cache_read.iter().map(|&range| self.per_thread(range)).collect();
        res.sort_by(|a, b| b.median.total_cmp(&a.median));
        res
    }

    /// The peak to judge operations of `dtype` by, for one thread among `threads`: its own widest unit, else that of f32,
    /// which stands in for it.
    pub(super) fn widest(&self, dtype: Dtype) -> Option<(&Peak, Range)> {
        let widest = |dtype| {
            self.peaks.iter().filter(move |peak| peak.dtype == dtype).max_by(|a, b| by_median(a, b))
        };
        let peak = widest(dtype).or_else(|| widest(Dtype::F32))?;
        Some((peak, self.per_thread(peak.rate)))
    }

    /// The scalar peak of the same type as `widest`, for one thread.
    pub(super) fn scalar(&self, dtype: Dtype) -> Option<Range> {
        let peak = self.peaks.iter().find(|peak| peak.dtype == dtype && peak.lanes <= 1)?;
        Some(self.per_thread(peak.rate))
    }
}

fn by_median(a: &Peak, b: &Peak) -> std::cmp::Ordering {
    a.rate.median.total_cmp(&b.rate.median)
}

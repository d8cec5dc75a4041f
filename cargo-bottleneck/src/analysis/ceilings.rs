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

/// One level of the caches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cache {
    /// 1 is next to the core.
    pub level: u8,
    /// Bytes per second that one thread reads from it.
    pub read: Range,
    /// The largest data, in bytes, that it was seen to keep; of a shared one that is what its neighbors leave.
    pub holds: Option<f64>,
    /// One load that waits for the one before it, in ns.
    pub load_ns: Option<f64>,
}

/// What the ticks of one timed load say of where its data are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadTimes {
    /// Ticks in a second.
    pub tick_rate: f64,
    /// Fewer ticks: a cache of the core's own.
    pub near: u32,
    /// So many ticks or more: memory.
    pub far: u32,
    /// Median ticks of a load from the innermost cache.
    pub hot: u32,
    /// Median ticks of a load from the last cache.
    pub last_cache: u32,
    /// Median ticks of a load from memory.
    pub memory: u32,
    /// A thread that waits for a load is seen so many instructions behind it.
    pub skid: u32,
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
    /// The caches, the innermost first, each read by one thread.
    pub caches: Vec<Cache>,
    /// One load from memory that waits for the one before it, in ns, in pages of 4 KiB.
    pub memory_load_ns: Option<f64>,
    /// Timed loads, where they are good evidence; else [`Self::no_load_times`] says why not.
    pub load_times: Option<LoadTimes>,
    /// Why [`Self::load_times`] are missing.
    pub no_load_times: String,
    /// The first touch of a page of 4 KiB, in ns.
    pub page_fault_ns: Option<Range>,
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

//! The measured ceilings of a machine as the analysis needs them.

use super::ceilings::{Cache, Ceilings, LoadTimes, Peak, Range};
use crate::machine::{self, Interval, VectorWidth};
use crate::profile::Dtype;
use crate::units::{Bytes, BytesPerSec, FlopsPerSec};

impl Ceilings {
    /// The ceilings for `threads` threads, see [`super::working_threads`]: what was measured with so many, else with the
    /// next larger number, and then an equal part of it for each thread.
    ///
    /// # Errors
    /// Nothing was measured; the text says why.
    pub fn of_machine(measured: &machine::Ceilings, threads: u32) -> Result<Self, String> {
        let threads = threads.max(1);
        let part = |n: u32| f64::from(threads) / f64::from(n.max(1));
        let dram = measured.dram_read(threads);
        let mut res = Self {
            dram_read: dram.map(|dram| {
                range(dram.bandwidth.map(BytesPerSec::get)).scaled(part(dram.threads).min(1.0))
            }),
            // Measured with one thread; each core has its own, but for the last level.
            cache_read: measured
                .cache_read
                .iter()
                .map(|cache| {
                    range(cache.bandwidth.map(BytesPerSec::get)).scaled(f64::from(threads))
                })
                .collect(),
            peaks: Vec::new(),
            threads: Some(threads),
            measured: dram.map(|dram| dram.measurement.method.clone()).unwrap_or_default(),
            caches: measured.cache_read.iter().map(|read| cache(measured, read)).collect(),
            memory_load_ns: memory_load_ns(measured),
            page_fault_ns: measured
                .first_touch
                .iter()
                .find(|touch| touch.page == Bytes::kib(4))
                .map(|touch| range(touch.cost_ns)),
            load_times: None,
            no_load_times: String::new(),
        };
        match load_times(measured) {
            Ok(times) => res.load_times = Some(times),
            Err(reason) => res.no_load_times = reason,
        }
        for (width, name, lanes) in [
            (VectorWidth::Scalar, "scalar", 1),
            (VectorWidth::Bits128, "128 bit", 4),
            (VectorWidth::Bits256, "256 bit", 8),
            (VectorWidth::Bits512, "512 bit", 16),
        ] {
            if let Some(peak) = measured.fma_f32(width, threads) {
                res.peaks.push(Peak {
                    dtype: Dtype::F32,
                    unit: name.to_owned(),
                    lanes,
                    rate: range(peak.peak.map(FlopsPerSec::get))
                        .scaled(part(peak.threads).min(1.0)),
                });
            }
        }
        if res.dram_read.is_none() && res.peaks.is_empty() {
            let why: Vec<String> = measured.unavailable.iter().map(ToString::to_string).collect();
            return Err(if why.is_empty() {
                "nothing was measured".to_owned()
            } else {
                why.join("; ")
            });
        }
        Ok(res)
    }
}

fn cache(measured: &machine::Ceilings, read: &machine::CacheRead) -> Cache {
    Cache {
        level: read.level,
        read: range(read.bandwidth.map(BytesPerSec::get)),
        holds: read.holds.map(Bytes::get),
        load_ns: measured.latency(Some(read.level)).map(|load| load.latency_ns.median),
    }
}

/// In the smallest pages that were measured, which most programs have.
fn memory_load_ns(measured: &machine::Ceilings) -> Option<f64> {
    let memory = measured.latency.iter().filter(|load| load.level.is_none());
    let smallest = memory.min_by(|a, b| a.page.get().total_cmp(&b.page.get()))?;
    Some(smallest.latency_ns.median)
}

/// The timed loads if something may be concluded from them, else why not.
fn load_times(measured: &machine::Ceilings) -> Result<LoadTimes, String> {
    let Some(times) = &measured.load_times else {
        let missing = measured.unavailable.iter().find(|missing| missing.what == machine::LOADS);
        return Err(missing.map_or_else(
            || "single loads were not timed on this machine".to_owned(),
            |missing| missing.reason.clone(),
        ));
    };
    if let Some(reason) = &times.off {
        return Err(reason.clone());
    }
    let caches = || times.levels.iter().filter(|level| level.level.is_some());
    let all = || {
        Some(LoadTimes {
            tick_rate: times.tick_rate.get(),
            near: times.near.ticks,
            far: times.far.ticks,
            hot: caches().next()?.median,
            last_cache: caches().next_back()?.median,
            memory: times.of(None)?.median,
            skid: times.skid?.instructions,
        })
    };
    all().ok_or_else(|| "the times of loads are not complete".to_owned())
}

fn range(interval: Interval<f64>) -> Range {
    Range { min: interval.min, median: interval.median, max: interval.max }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{FirstTouch, LevelTime, LoadLatency, Measurement, Skid, Threshold};
    use crate::units::{Hertz, Nanos, Ratio};

    fn measured() -> machine::Ceilings {
        let level = |level, median| LevelTime {
            level,
            data: Bytes::mib(1),
            p10: median - 2,
            median,
            p90: median + 9,
        };
        let line =
            |ticks| Threshold { ticks, inner_mistaken: Ratio(0.0), outer_mistaken: Ratio(0.01) };
        let load = |level, page, ns| LoadLatency {
            level,
            data: Bytes::mib(4),
            page,
            latency_ns: Interval::exactly(ns),
        };
        machine::Ceilings {
            cache_read: vec![machine::CacheRead {
                level: 1,
                data: Bytes::kib(16),
                bandwidth: Interval::exactly(BytesPerSec(260e9)),
                holds: Some(Bytes::kib(32)),
                may_hold_more: false,
            }],
            fma_f32: vec![machine::FmaPeak {
                width: VectorWidth::Scalar,
                fused: true,
                threads: 1,
                peak: Interval::exactly(FlopsPerSec(8e9)),
                per_cycle: 2.0,
            }],
            latency: vec![
                load(Some(1), Bytes::mib(2), 1.7),
                load(None, Bytes::mib(2), 135.0),
                load(None, Bytes::kib(4), 200.0),
            ],
            first_touch: vec![FirstTouch {
                page: Bytes::kib(4),
                cost_ns: Interval::exactly(500.0),
            }],
            load_times: Some(machine::LoadTimes {
                tick_rate: Hertz(2.3e9),
                step: 2,
                levels: vec![level(Some(1), 48), level(Some(3), 120), level(None, 300)],
                near: line(86),
                far: line(181),
                skid: Some(Skid { instructions: 1, share: Ratio(0.99), samples: 200 }),
                off: None,
                measurement: Measurement {
                    method: String::new(),
                    at_unix_s: 0,
                    took: Nanos(1),
                    cached: false,
                },
            }),
            ..machine::Ceilings::default()
        }
    }

    #[test]
    fn timed_loads_caches_and_faults_are_plain_numbers() {
        let found = Ceilings::of_machine(&measured(), 1).unwrap();
        let expected = LoadTimes {
            tick_rate: 2.3e9,
            near: 86,
            far: 181,
            hot: 48,
            last_cache: 120,
            memory: 300,
            skid: 1,
        };
        assert_eq!((found.load_times, found.no_load_times.as_str()), (Some(expected), ""));
        let cache = found.caches[0];
        assert_eq!((cache.level, cache.holds, cache.load_ns), (1, Some(32768.0), Some(1.7)));
        assert_eq!(found.memory_load_ns, Some(200.0));
        assert_eq!(found.page_fault_ns, Some(Range::exactly(500.0)));
    }

    #[test]
    fn timed_loads_that_say_nothing_are_missing_with_the_reason() {
        let why = |measured: &machine::Ceilings| {
            let found = Ceilings::of_machine(measured, 1).unwrap();
            assert_eq!(found.load_times, None);
            found.no_load_times
        };
        let mut machine = measured();
        if let Some(times) = &mut machine.load_times {
            times.off = Some("too coarse".to_owned());
        }
        assert_eq!(why(&machine), "too coarse");
        machine.load_times = None;
        assert_eq!(why(&machine), "single loads were not timed on this machine");
        machine.unavailable.push(machine::Unavailable {
            what: machine::LOADS.to_owned(),
            reason: "another processor".to_owned(),
        });
        assert_eq!(why(&machine), "another processor");
    }
}

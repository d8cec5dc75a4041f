//! The machine: what it is, how fast it can be, and what it lets us observe.
//!
//! A [`Machine`] travels in the profile file, so that a report made elsewhere still knows the ceilings and can say why
//! something was not seen. What is missing carries its reason; nothing is ever a silent zero.

mod bandwidth;
mod caches;
mod capabilities;
mod ceilings;
mod cgroup;
mod compute;
mod doctor;
pub mod gpu;
mod interval;
mod kept;
mod kernels;
mod load_times;
mod paging;
mod perf;
#[cfg_attr(not(target_arch = "x86_64"), path = "residency/elsewhere.rs")]
mod residency;
mod sys;
mod topology;
mod windows;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use bandwidth::probe_bandwidth;
pub use capabilities::{Capability, names, probe_capabilities};
pub use ceilings::{
    CacheRead, Ceilings, DramRead, FirstTouch, FmaPeak, LOADS, LoadLatency, Measurement,
    Unavailable,
};
pub use doctor::render;
pub use interval::Interval;
pub use kept::cached_ceilings;
pub use kernels::VectorWidth;
pub use load_times::{LevelTime, LoadTimes, Skid, Threshold};
pub use topology::{Cache, Topology, stolen_time};

/// Everything known about the machine that a program ran on. Written to profiles, summaries and by `doctor --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// What it is.
    pub topology: Topology,
    /// How fast it can be.
    pub ceilings: Ceilings,
    /// What can be observed, in a fixed order.
    pub capabilities: Vec<Capability>,
    /// Its NVIDIA devices; `None` where nobody looked, because nothing asked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<gpu::Gpus>,
}

/// How long one number of threads is probed for bandwidth, without the first touch of the memory.
pub const BANDWIDTH_BUDGET: Duration = Duration::from_millis(75);

impl Machine {
    /// Reads and measures this machine, with memory bandwidth at one thread and at as many as run at once.
    ///
    /// `cache_folder` keeps what changes slowly between runs; `recording_folder` is where profiles will be made. Costs
    /// 0.25 s with that file and 0.8 s without it, 0.2 s more in a virtual machine whose memory was never used, and up to
    /// 0.4 s more where other work takes the CPUs.
    ///
    /// # Errors
    /// Where not even the affinity mask can be read.
    pub fn measure(cache_folder: &Path, recording_folder: &Path) -> io::Result<Self> {
        let topology = Topology::read()?;
        let mut ceilings = cached_ceilings(&topology, cache_folder);
        probe_into(&mut ceilings, &topology, &[1, topology.parallelism()]);
        Ok(Self {
            ceilings,
            capabilities: probe_capabilities(recording_folder),
            topology,
            gpu: None,
        })
    }

    /// Probes the bandwidth again after a run at the same numbers of threads and at `threads`, the number that the run
    /// had, and merges both. Costs 0.1 s for each number of threads.
    pub fn probe_again(&mut self, threads: u32) {
        let mut counts: Vec<u32> =
            self.ceilings.dram_read.iter().map(|read| read.threads).collect();
        counts.push(threads.clamp(1, self.topology.parallelism()));
        counts.sort_unstable();
        let mut after = Ceilings::default();
        probe_into(&mut after, &self.topology, &counts);
        self.ceilings = Ceilings::merge(std::mem::take(&mut self.ceilings), after);
    }

    /// The ceilings of one thread in a line, for people.
    pub fn in_short(&self) -> String {
        let memory =
            self.ceilings.dram_read(1).map(|read| format!("{} DRAM", read.bandwidth.median));
        let compute = self.ceilings.best_fma_f32(1).map(|fma| format!("{} f32", fma.peak.median));
        let known: Vec<_> = memory.into_iter().chain(compute).collect();
        if known.is_empty() {
            return "none could be measured (cargo bottleneck doctor)".to_owned();
        }
        format!("{} with one thread (cargo bottleneck doctor)", known.join(", "))
    }

    /// The capability of that name (see [`names`]); `None` in a profile of a version that did not know it.
    pub fn capability(&self, name: &str) -> Option<&Capability> {
        self.capabilities.iter().find(|capability| capability.name == name)
    }

    /// The capabilities by name, which is their form in `summary.json`.
    pub fn capabilities_by_name(&self) -> BTreeMap<&str, &Capability> {
        self.capabilities.iter().map(|capability| (capability.name.as_ref(), capability)).collect()
    }
}

/// Probes each number of threads once; `counts` is sorted.
fn probe_into(ceilings: &mut Ceilings, topology: &Topology, counts: &[u32]) {
    for threads in counts.chunk_by(|a, b| a == b).filter_map(|same| same.first()) {
        match probe_bandwidth(topology, *threads, BANDWIDTH_BUDGET) {
            Ok(read) => ceilings.dram_read.push(read),
            Err(missing) => ceilings.unavailable.push(missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::units::{Bytes, BytesPerSec, FlopsPerSec, Hertz, Nanos, Ratio};

    /// A machine made up, with something of every kind present and missing.
    #[expect(clippy::too_many_lines, reason = "one literal")]
    pub(super) fn constructed() -> Machine {
        let interval =
            |min: f64, median: f64, max: f64, windows| Interval { min, median, max, windows };
        let measurement = |method: &str, took, cached| Measurement {
            method: method.to_owned(),
            at_unix_s: 1_700_000_000,
            took: Nanos::from_millis(took),
            cached,
        };
        let dram = |threads, min, median, max, limits: &[&str]| DramRead {
            threads,
            bandwidth: interval(min, median, max, 22).map(BytesPerSec),
            measurement: measurement(
                "16.0 MiB a thread, flushed from the caches, then read",
                83,
                false,
            ),
            limits: limits.iter().map(|limit| (*limit).to_owned()).collect(),
        };
        let peak = |width, threads, rate, per_cycle| FmaPeak {
            width,
            fused: true,
            threads,
            peak: interval(rate * 0.98, rate, rate * 1.01, 3).map(FlopsPerSec),
            per_cycle,
        };
        let latency = |level, data, page, ns: f64| LoadLatency {
            level,
            data,
            page,
            latency_ns: interval(ns * 0.9, ns, ns * 1.2, 5),
        };
        let capability =
            |name, matters, reason: Option<&str>, fix: Option<&str>, detail: Option<&str>| {
                Capability {
                    name: Cow::Borrowed(name),
                    available: reason.is_none(),
                    reason: reason.map(str::to_owned),
                    fix: fix.map(str::to_owned),
                    detail: detail.map(str::to_owned),
                    matters: Cow::Borrowed(matters),
                }
            };
        Machine {
            gpu: None,
            topology: Topology {
                cpu_model: "Example 9000".to_owned(),
                architecture: "x86_64".to_owned(),
                kernel: Some("6.1.0".to_owned()),
                virtual_machine: true,
                cpus: vec![0, 1, 2, 3],
                quota: Some(2.5),
                caches: vec![
                    Cache { level: 1, size: Bytes::kib(48), shared_by: 1 },
                    Cache { level: 3, size: Bytes::mib(32), shared_by: 4 },
                ],
                memory: Some(Bytes::mib(16_384)),
                memory_available: Some(Bytes::mib(9_000)),
            },
            ceilings: Ceilings {
                dram_read: vec![
                    dram(1, 21.0e9, 25.5e9, 26.9e9, &[]),
                    dram(
                        3,
                        40.1e9,
                        50.0e9,
                        52.0e9,
                        &["other work took the CPUs in 30 more windows, which were left out"],
                    ),
                ],
                cache_read: vec![CacheRead {
                    level: 1,
                    data: Bytes::kib(24),
                    bandwidth: interval(260e9, 264e9, 265e9, 3).map(BytesPerSec),
                    holds: Some(Bytes::kib(32)),
                    may_hold_more: false,
                }],
                fma_f32: vec![
                    FmaPeak { fused: false, ..peak(VectorWidth::Scalar, 1, 7.3e9, 2.0) },
                    peak(VectorWidth::Scalar, 1, 14.4e9, 3.9),
                    peak(VectorWidth::Bits256, 1, 115e9, 31.7),
                    peak(VectorWidth::Bits256, 3, 340e9, 31.2),
                ],
                clock: Some(interval(3.64e9, 3.65e9, 3.66e9, 3).map(Hertz)),
                compute: Some(measurement("windows of 1 ms, the best three of eight", 8, true)),
                latency: vec![
                    latency(Some(1), Bytes::kib(16), Bytes::mib(2), 1.7),
                    latency(Some(3), Bytes::mib(8), Bytes::mib(2), 38.9),
                    latency(None, Bytes::mib(16), Bytes::mib(2), 135.0),
                    latency(None, Bytes::mib(16), Bytes::kib(4), 197.0),
                ],
                load_times: Some(load_times()),
                first_touch: vec![FirstTouch {
                    page: Bytes::kib(4),
                    cost_ns: interval(480.0, 500.0, 2300.0, 8),
                }],
                page_cache_read: Some(interval(7.1e9, 7.5e9, 7.6e9, 3).map(BytesPerSec)),
                memory: Some(measurement("loads that wait for each other", 300, true)),
                unavailable: vec![Unavailable {
                    what: "level 3 cache bandwidth".to_owned(),
                    reason: "the probe could not run: out of memory".to_owned(),
                }],
            },
            capabilities: vec![
                capability(
                    names::CONTEXT_SWITCHES,
                    "exact split of on-CPU, preempted and blocked time",
                    Some("the policy kernel.perf_event_paranoid = 4 forbids it (EACCES)"),
                    Some("sudo sysctl kernel.perf_event_paranoid=2"),
                    None,
                ),
                capability(names::SCHEDSTAT, "time spent waiting for a CPU", None, None, None),
                capability(
                    names::LOCKED_MEMORY,
                    "context-switch records of many threads",
                    None,
                    None,
                    Some("9.01 MiB hold the rings of 256 threads"),
                ),
            ],
        }
    }

    /// Timed loads that tell the levels apart.
    pub(super) fn load_times() -> LoadTimes {
        let level = |level, data, median| LevelTime {
            level,
            data,
            p10: median - median / 10,
            median,
            p90: median + median / 4,
        };
        let line =
            |ticks| Threshold { ticks, inner_mistaken: Ratio(0.004), outer_mistaken: Ratio(0.015) };
        LoadTimes {
            tick_rate: Hertz(2.3e9),
            step: 2,
            levels: vec![
                level(Some(1), Bytes::kib(16), 48),
                level(Some(3), Bytes::mib(8), 118),
                level(None, Bytes::mib(4), 302),
            ],
            near: line(86),
            far: line(181),
            skid: Some(Skid { instructions: 1, share: Ratio(0.985), samples: 240 }),
            off: None,
            measurement: Measurement {
                method: "640 loads of each level".to_owned(),
                at_unix_s: 1_700_000_000,
                took: Nanos::from_millis(20),
                cached: false,
            },
        }
    }

    #[test]
    fn a_machine_of_an_older_version_has_no_load_times() {
        let mut json = serde_json::to_value(constructed()).unwrap();
        let ceilings = json["ceilings"].as_object_mut().unwrap();
        for new in ["latency", "load_times", "first_touch", "page_cache_read", "memory"] {
            assert!(ceilings.remove(new).is_some(), "{new}");
        }
        for cache in ceilings["cache_read"].as_array_mut().unwrap() {
            let cache = cache.as_object_mut().unwrap();
            cache.retain(|name, _| !name.contains("hold"));
        }
        let old: Machine = serde_json::from_value(json).unwrap();
        assert_eq!((old.ceilings.load_times, old.ceilings.cache_read[0].holds), (None, None));
        assert_eq!(old.ceilings.dram_read, constructed().ceilings.dram_read);
    }

    #[test]
    fn a_machine_survives_its_file() {
        let machine = constructed();
        let json = serde_json::to_string(&machine).unwrap();
        assert_eq!(serde_json::from_str::<Machine>(&json).unwrap(), machine);
        assert!(json.contains(r#""bandwidth":{"min":21000000000.0"#), "{json}");
        assert!(machine.capability(names::SCHEDSTAT).is_some_and(|c| c.available));
        assert_eq!(machine.capability("tea"), None);
        let by_name = serde_json::to_value(machine.capabilities_by_name()).unwrap();
        assert_eq!(by_name["context_switches"]["available"], false);
        assert_eq!(by_name["schedstat"]["reason"], serde_json::Value::Null);
    }

    /// Orders of magnitude only: this runs on any machine, loaded or not.
    #[test]
    fn this_machine_is_plausible() {
        let folder = tempfile::tempdir().unwrap();
        let mut machine = Machine::measure(folder.path(), folder.path()).unwrap();
        println!("{}", render(&machine, false, 100));
        let ceilings = &machine.ceilings;
        let dram = ceilings.dram_read(1).expect("memory bandwidth is measured").bandwidth;
        assert!((1e9..2e12).contains(&dram.median.get()), "{dram:?}");
        assert!(dram.min <= dram.median && dram.median <= dram.max, "{dram:?}");
        let best = ceilings.best_fma_f32(1).expect("a multiply-add peak is measured");
        assert!(best.per_cycle >= 4.0, "{best:?}");
        assert!((1e9..1e12).contains(&best.peak.median.get()), "{best:?}");
        if let Some(inner) = ceilings.cache_read.first() {
            assert!(inner.bandwidth.max > dram.median, "{inner:?} against {dram:?}");
        }
        assert!(ceilings.ridge(1).is_some_and(|ridge| ridge.median.get() > 0.1));

        let windows = dram.windows;
        machine.probe_again(1);
        let merged = machine.ceilings.dram_read(1).expect("it stays").bandwidth;
        assert!(
            merged.windows > windows && merged.min <= dram.min && merged.max >= dram.max,
            "{merged:?}"
        );
        assert!(machine.ceilings.dram_read.len() <= 2);
    }
}

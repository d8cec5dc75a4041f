//! The ceilings of a machine that change slowly, kept in a file between runs.
//!
//! A file that cannot be read or written costs time only. What it holds is checked before it is believed: by one fresh peak,
//! and by timed loads, which are new in every run because memory is shared with neighbors.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::caches::{self, Known};
use super::ceilings::{Ceilings, LOADS, Measurement, Unavailable};
use super::compute::{measure_compute, still_holds};
use super::paging;
use super::residency;
use super::topology::{Cache, Topology};
use crate::units::Nanos;

/// The version of what is kept: a file of another one is measured anew.
const CONTENTS: u32 = 2;

/// Everything but the bandwidth of memory: from the file of an earlier measurement in `folder` where checks of about 30 ms
/// find that it still holds, else measured anew and kept there.
///
/// Measuring costs 0.5 s; a result with anything unavailable is not kept.
pub fn cached_ceilings(topology: &Topology, folder: &Path) -> Ceilings {
    let begin = Instant::now();
    let key = Key::of(topology);
    let path = folder.join(key.file_name());
    let kept = load(&path, &key);
    let res = match kept.and_then(with_fresh_load_times) {
        Some(mut kept) if still_holds(topology, &kept) => {
            let took = Nanos::from(begin.elapsed());
            for measurement in kept.compute.iter_mut().chain(&mut kept.memory) {
                (measurement.cached, measurement.took) = (true, took);
            }
            kept
        }
        Some(kept) => {
            let caches = known_caches(&kept);
            let memory = Ceilings {
                fma_f32: Vec::new(),
                cache_read: Vec::new(),
                clock: None,
                compute: None,
                ..kept
            };
            keep(&path, key, measure_compute(topology, &caches, memory))
        }
        None => keep(&path, key, measure_all(topology)),
    };
    with_what_is_never_here(res)
}

fn keep(path: &Path, key: Key, ceilings: Ceilings) -> Ceilings {
    let stored = Stored { key, ceilings };
    if stored.ceilings.unavailable.is_empty() {
        // Measured again next time, which is all that a lost file costs.
        let _ = store(path, &stored);
    }
    stored.ceilings
}

fn measure_all(topology: &Topology) -> Ceilings {
    let begin = Instant::now();
    let mut res = Ceilings::default();
    let mut missing = |what: &str, reason: String| {
        res.unavailable.push(Unavailable { what: what.to_owned(), reason });
    };
    let mut caches = caches::told_by_the_system(topology);
    if residency::WHY_NOT.is_none() {
        match residency::measure(topology) {
            Ok(found) => {
                caches = found.caches;
                res.latency = found.latency;
                res.load_times = Some(found.load_times);
            }
            Err(reason) => missing(LOADS, reason),
        }
    }
    let why = |error: io::Error| format!("the probe could not run: {error}");
    match paging::first_touch() {
        Ok(costs) => res.first_touch = costs,
        Err(error) => missing("cost of a first touch", why(error)),
    }
    match paging::page_cache_read() {
        Ok(rate) => res.page_cache_read = Some(rate),
        Err(error) => missing("speed of the page cache", why(error)),
    }
    let method =
        "loads that wait for each other, through a random chain; pages touched and files read";
    res.memory = Some(Measurement::now(method.to_owned(), Nanos::from(begin.elapsed())));
    measure_compute(topology, &caches, res)
}

/// What this architecture never has, which is no reason to measure the rest again.
fn with_what_is_never_here(mut ceilings: Ceilings) -> Ceilings {
    if let Some(reason) = residency::WHY_NOT {
        let missing = Unavailable { what: LOADS.to_owned(), reason: reason.to_owned() };
        ceilings.unavailable.push(missing);
    }
    ceilings
}

/// `None` where the machine is no longer as it was.
fn with_fresh_load_times(kept: Ceilings) -> Option<Ceilings> {
    if residency::WHY_NOT.is_some() {
        return Some(kept);
    }
    let holds: Option<Vec<f64>> =
        kept.cache_read.iter().map(|cache| Some(cache.holds?.get())).collect();
    let earlier = kept.load_times.as_ref()?;
    let fresh = residency::time_again(&holds?, earlier).ok()?;
    residency::agrees(earlier, &fresh).then_some(Ceilings { load_times: Some(fresh), ..kept })
}

/// The caches of an earlier measurement.
fn known_caches(kept: &Ceilings) -> Vec<Known> {
    let caches = kept.cache_read.iter();
    caches
        .map(|cache| Known {
            level: cache.level,
            size: cache.holds.unwrap_or(cache.data).get(),
            is_measured: cache.holds.is_some(),
            may_hold_more: cache.may_hold_more,
        })
        .collect()
}

/// What a stored result holds for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Key {
    version: String,
    contents: u32,
    cpu_model: String,
    kernel: Option<String>,
    cpus: Vec<u32>,
    quota: Option<f64>,
    caches: Vec<Cache>,
}

impl Key {
    fn of(topology: &Topology) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            contents: CONTENTS,
            cpu_model: topology.cpu_model.clone(),
            kernel: topology.kernel.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::interval::Interval;
    use crate::units::Hertz;

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

    #[test]
    fn the_second_run_of_a_machine_uses_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let topology = Topology::read().unwrap();
        let first = cached_ceilings(&topology, folder.path());
        println!("{:?}\n{:?}", first.compute, first.memory);
        assert!(first.compute.is_some_and(|how| !how.cached));
        if first.unavailable.iter().any(|missing| missing.what != LOADS) {
            return println!("SKIP: nothing is kept of a measurement that failed in part");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let second = cached_ceilings(&topology, folder.path());
        println!("{:?}\n{:?}", second.compute, second.memory);
        // A busy machine may differ from itself, and is then measured again.
        assert!(
            second.compute.is_some_and(|how| !how.cached || how.took < Nanos::from_millis(1000))
        );
    }

    #[test]
    fn a_result_for_want_of_something_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ceilings.json");
        let key = Key::of(&Topology::read().unwrap());
        let missing = Unavailable { what: "clock".to_owned(), reason: "test".to_owned() };
        let part = Ceilings { unavailable: vec![missing], ..Ceilings::default() };
        assert_eq!(keep(&path, key.clone(), part.clone()), part);
        assert_eq!(load(&path, &key), None);
        keep(&path, key.clone(), Ceilings::default());
        assert_eq!(load(&path, &key), Some(Ceilings::default()));
    }
}

//! How far away data are: the levels of the caches by how loads from them behave, and the calibration of timed loads.
//!
//! For x86-64, whose program may flush a line and read the time-stamp counter.

mod chain;
mod levels;
mod skid;
mod thresholds;
mod timed;

use std::io;
use std::time::{Duration, Instant};

use super::caches::{Known, Residency};
use super::ceilings::LoadLatency;
use super::load_times::LoadTimes;
use super::sys::{HUGE_PAGE, Pages};
use super::topology::Topology;
use crate::units::Bytes;
use chain::{Chain, Kept};
use levels::Point;

/// The curve goes up to this size: what a cache that is shared with neighbors keeps beyond is chance.
const LARGEST: usize = 64 << 20;
const SMALLEST: usize = 4 << 10;
/// Up to here the sizes are 1.41 times apart, then 2 times.
const FINE: usize = 8 << 20;
/// No further size is tried after this time: fresh memory of a virtual machine takes 4 ms for each MiB.
const CURVE_BUDGET: Duration = Duration::from_millis(200);
/// At most this part of the memory that is free is used, and never more than [`LARGEST`] bytes at once.
const MEMORY_SHARE: f64 = 1.0 / 8.0;
/// Flushed and then loaded in random order, for the latency of memory.
const FLUSHED: usize = 16 << 20;
const SMALL_PAGE: f64 = 4096.0;

/// Why it cannot be measured on this architecture.
pub(super) const WHY_NOT: Option<&str> = None;

/// Measures everything. Costs 0.2 s, and 0.3 s in a virtual machine whose memory was never used.
///
/// # Errors
/// Where memory is short, no thread can be started, or the curve has no levels: the reason.
pub(super) fn measure(topology: &Topology) -> Result<Residency, String> {
    let most = affordable(topology)?;
    let error = |error: io::Error| format!("the probe could not run: {error}");
    let mut chain = Chain::new(Pages::new(most).map_err(error)?);
    chain.link(FLUSHED);
    let memory = chain.time(topology, Kept::InMemory).map_err(error)?;
    let curve = curve(&mut chain, topology, most).map_err(error)?;
    drop(chain);
    let levels = levels::find(&curve, memory.median);
    if levels.is_empty() {
        return Err("the time of a load rises with the size of the data without steps".to_owned());
    }
    let latency = |level, data: usize, page: f64, latency_ns| LoadLatency {
        level,
        data: Bytes(data as f64),
        page: Bytes(page),
        latency_ns,
    };
    let huge = HUGE_PAGE as f64;
    let mut latencies: Vec<LoadLatency> = levels
        .iter()
        .map(|l| latency(Some(l.number), l.typical.bytes, huge, l.typical.ns))
        .collect();
    latencies.push(latency(None, FLUSHED, huge, memory));

    let mut chain = Chain::new(Pages::small(FLUSHED).map_err(error)?);
    chain.link(FLUSHED);
    let memory = chain.time(topology, Kept::InMemory).map_err(error)?;
    latencies.push(latency(None, FLUSHED, SMALL_PAGE, memory));
    let skid = skid::measure(&chain).map_err(error)?;
    drop(chain);
    let holds: Vec<usize> = levels.iter().map(|level| level.holds).collect();
    let mut pages = Pages::small(timed::MOST).map_err(error)?;
    let load_times = timed::measure(&mut pages, &holds, skid)?;
    let caches = levels.iter().map(|level| Known {
        level: level.number,
        size: level.holds as f64,
        is_measured: true,
        may_hold_more: level.may_hold_more,
    });
    Ok(Residency { caches: caches.collect(), latency: latencies, load_times })
}

/// Times the loads again where the rest is known from an earlier run. Costs 20 ms.
///
/// # Errors
/// As [`measure`].
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes of caches, positive"
)]
pub(super) fn time_again(holds: &[f64], earlier: &LoadTimes) -> Result<LoadTimes, String> {
    let holds: Vec<usize> = holds.iter().map(|bytes| *bytes as usize).collect();
    let mut pages =
        Pages::small(timed::MOST).map_err(|error| format!("the probe could not run: {error}"))?;
    timed::measure(&mut pages, &holds, earlier.skid)
}

/// Whether times measured now are those of the same machine in the same state: clocks vary, and so does memory.
pub(super) fn agrees(earlier: &LoadTimes, now: &LoadTimes) -> bool {
    let ratio = |pick: fn(&LoadTimes) -> Option<u32>| {
        Some(f64::from(pick(now)?) / f64::from(pick(earlier)?.max(1)))
    };
    let within = |ratio: Option<f64>, most: f64| {
        ratio.is_some_and(|ratio| (1.0 / most..=most).contains(&ratio))
    };
    within(ratio(|times| times.levels.first().map(|level| level.median)), 1.3)
        && within(ratio(|times| times.of(None).map(|level| level.median)), 1.8)
        && earlier.levels.len() == now.levels.len()
}

/// The most memory that may be used, a multiple of what is needed at least.
fn affordable(topology: &Topology) -> Result<usize, String> {
    let free = topology.memory_available.unwrap_or(Bytes(f64::INFINITY));
    let part = free.get() * MEMORY_SHARE;
    [LARGEST, LARGEST / 2, FLUSHED].into_iter().find(|size| *size as f64 <= part).ok_or_else(|| {
        format!("only {free} of memory are free; the probe takes at most an eighth of that")
    })
}

fn sizes(most: usize) -> impl Iterator<Item = usize> {
    let octaves = (SMALLEST.ilog2()..=most.ilog2()).map(|log2| 1_usize << log2);
    let fine = |size: usize| (size < FINE).then_some(size * 181 / 128 / 64 * 64);
    octaves.flat_map(move |size| std::iter::once(size).chain(fine(size)))
}

fn curve(chain: &mut Chain, topology: &Topology, most: usize) -> io::Result<Vec<Point>> {
    let begin = Instant::now();
    let mut res = Vec::new();
    for bytes in sizes(most) {
        if begin.elapsed() > CURVE_BUDGET {
            break;
        }
        chain.link(bytes);
        res.push(Point { bytes, ns: chain.time(topology, Kept::WhereTheyFit)? });
    }
    Ok(res)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_rise_evenly() {
        let all: Vec<usize> = sizes(LARGEST).collect();
        assert_eq!((all[0], *all.last().unwrap()), (SMALLEST, LARGEST));
        assert!(all.windows(2).all(|pair| pair[0] < pair[1] && pair[1] <= 2 * pair[0]), "{all:?}");
        assert!(all.iter().all(|size| size.is_multiple_of(64)));
    }

    #[test]
    fn memory_that_is_short_is_a_reason() {
        let mut topology = Topology::read().unwrap();
        topology.memory_available = Some(Bytes::mib(100));
        assert!(measure(&topology).unwrap_err().contains("100 MiB"));
        topology.memory_available = Some(Bytes::mib(300));
        assert_eq!(affordable(&topology), Ok(32 << 20));
        topology.memory_available = None;
        assert_eq!(affordable(&topology), Ok(LARGEST));
    }

    /// Orders only: this runs on any machine, loaded or not.
    #[test]
    fn what_is_farther_away_takes_longer() {
        let topology = Topology::read().unwrap();
        let begin = Instant::now();
        let found = match measure(&topology) {
            Ok(found) => found,
            Err(reason) => return println!("SKIP: {reason}"),
        };
        println!("{found:#?}\nin {:?}", begin.elapsed());
        assert!(found.caches.is_sorted_by(|a, b| a.size < b.size), "{:?}", found.caches);
        let huge: Vec<f64> = found
            .latency
            .iter()
            .filter(|l| l.page.get() > SMALL_PAGE)
            .map(|l| l.latency_ns.median)
            .collect();
        assert!(huge.is_sorted() && (0.2..20.0).contains(&huge[0]), "{huge:?}");
        let times = &found.load_times;
        assert!(times.near.ticks <= times.far.ticks, "{times:?}");

        let holds: Vec<f64> = found.caches.iter().map(|cache| cache.size).collect();
        let begin = Instant::now();
        let again = time_again(&holds, times).unwrap();
        println!("again in {:?}: {again:?}", begin.elapsed());
        assert_eq!(again.skid, times.skid);
        assert_eq!(again.levels.len(), times.levels.len());
    }

    #[test]
    fn another_clock_or_memory_does_not_agree() {
        let mut pages = Pages::small(timed::MOST).unwrap();
        let times = timed::measure(&mut pages, &[24 << 10, 256 << 10], None).unwrap();
        assert!(agrees(&times, &times));
        let mut other = times.clone();
        other.levels[0].median *= 2;
        assert!(!agrees(&times, &other));
        let mut other = times.clone();
        other.levels.remove(1);
        assert!(!agrees(&times, &other));
    }
}

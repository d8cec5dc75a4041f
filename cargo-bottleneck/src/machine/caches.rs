//! How fast one thread reads each cache.
//!
//! Caches are known by what they were seen to hold where loads can be timed, and else by what the system says of them.

use std::hint::black_box;
use std::io;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::ceilings::{CacheRead, LoadLatency};
use super::compute::{PLAN, best_of, over};
use super::kernels;
use super::load_times::LoadTimes;
use super::sys::Pages;
use super::topology::Topology;
use super::windows::{self, Work};
use crate::units::{Bytes, BytesPerSec};

/// A cache to read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) level: u8,
    /// What it holds, or its size.
    pub(super) size: f64,
    pub(super) is_measured: bool,
    pub(super) may_hold_more: bool,
}

/// What timed loads show.
#[derive(Debug)]
pub(super) struct Residency {
    /// The caches, the innermost first.
    pub(super) caches: Vec<Known>,
    /// A load from each, and from memory.
    pub(super) latency: Vec<LoadLatency>,
    /// Their calibration.
    pub(super) load_times: LoadTimes,
}

/// The caches that the system tells of.
pub(super) fn told_by_the_system(topology: &Topology) -> Vec<Known> {
    let told = topology.caches.iter();
    told.map(|cache| Known {
        level: cache.level,
        size: cache.size.get(),
        is_measured: false,
        may_hold_more: false,
    })
    .collect()
}

/// Reads the cache at `index` of `caches`, which are those of the machine from the innermost on. Costs 9 ms.
///
/// # Errors
/// Where nothing could be measured: the reason.
pub(super) fn read(
    topology: &Topology,
    caches: &[Known],
    index: usize,
) -> Result<CacheRead, String> {
    let cache = caches.get(index).ok_or("there is no such cache")?;
    let inner = caches[..index].iter().map(|inner| inner.size).fold(0.0, f64::max);
    let bytes = data_size(cache.size, inner);
    let rates = windows::measure(1, &topology.cpus, PLAN, || ReadAgain::new(bytes))
        .map_err(|error| format!("the probe could not run: {error}"))?;
    let bandwidth = best_of(&rates).ok_or("no window of the probe was measured")?.map(BytesPerSec);
    Ok(CacheRead {
        level: cache.level,
        data: Bytes(bytes as f64),
        bandwidth,
        holds: cache.is_measured.then_some(Bytes(cache.size)),
        may_hold_more: cache.may_hold_more,
    })
}

/// Half of the cache, for there is other data in it; of a large outer one eight times the inner cache, which is enough to
/// miss that one, and quickly touched.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the size of a cache, positive"
)]
fn data_size(cache: f64, inner: f64) -> usize {
    let wanted = if inner > 0.0 { (inner * 8.0).min(cache / 2.0) } else { cache / 2.0 };
    let steps = wanted as usize / kernels::READ_STEP;
    steps.max(1) * kernels::READ_STEP
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
    fn each_cache_is_read_with_data_that_its_inner_one_lacks_room_for() {
        let kib = 1024.0;
        assert_eq!(data_size(48.0 * kib, 0.0), 24 << 10);
        assert_eq!(data_size(2048.0 * kib, 48.0 * kib), 384 << 10);
        assert_eq!(data_size(1024.0 * 260.0 * kib, 2048.0 * kib), 16 << 20);
        assert_eq!(data_size(100.0, 0.0), kernels::READ_STEP);
    }

    #[test]
    fn what_a_cache_was_seen_to_hold_travels_with_its_bandwidth() {
        let topology = Topology::read().unwrap();
        let known = Known { level: 1, size: 16e3, is_measured: true, may_hold_more: false };
        let told = Known { level: 2, size: 128e3, is_measured: false, may_hold_more: false };
        let found = read(&topology, &[known, told], 0).unwrap();
        assert_eq!((found.level, found.holds), (1, Some(Bytes(16e3))));
        let found = read(&topology, &[known, told], 1).unwrap();
        assert_eq!((found.level, found.holds), (2, None));
        assert!((1e9..1e13).contains(&found.bandwidth.median.get()), "{found:?}");
        assert!(read(&topology, &[], 0).is_err());
    }
}

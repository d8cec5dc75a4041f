//! How fast memory can be read now, with a given number of threads.
//!
//! Probed before and after every run, because it drifts: on shared hosts by a factor of two within minutes. A buffer
//! that is re-read comes from caches of hundreds of megabytes, and touching more than those for the first time takes a
//! second; so each window drives its buffer out of every cache first, and every byte of it comes from memory. Measured
//! on a machine with 260 MiB of last-level cache: 16 MiB read so give what reading 2 GiB gives; 64 MiB re-read give
//! 1.7 times that.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::ceilings::{DramRead, Measurement, Unavailable};
use super::interval::Interval;
use super::kernels;
use super::sys::Pages;
use super::topology::Topology;
use super::windows::{self, Plan, Work};
use crate::units::{Bytes, BytesPerSec, Nanos};

/// Read by each thread in one window: long enough for a rate to settle, and touched in 3 to 75 ms.
const WINDOW: usize = 16 << 20;
/// Read by all threads in one window: many threads need less each, because each is slower.
const ALL_WINDOWS: f64 = 1024.0 * 1024.0 * 1024.0;
/// The least that still gives a window of half a millisecond.
const LEAST_WINDOW: usize = 4 << 20;
/// Read between two looks at the clock of the group.
const STEP: usize = 256 << 10;
/// The probe takes at most this part of the memory that is free.
const MEMORY_SHARE: f64 = 1.0 / 8.0;
/// Without an instruction to flush, a buffer must be this much larger than the last-level cache.
const CACHE_MULTIPLE: f64 = 2.0;

/// Measures for about `budget`, and up to three times that on a busy machine, how fast `threads` threads read memory together.
///
/// More threads than the machine runs at once are measured as so many as it runs. Costs `budget` and the first touch of
/// 16 MiB for each thread: 3 ms where the memory was used before, up to 75 ms in a fresh virtual machine.
///
/// # Errors
/// Where memory is short or a thread cannot start: the reason.
pub fn probe_bandwidth(
    topology: &Topology,
    threads: u32,
    budget: Duration,
) -> Result<DramRead, Unavailable> {
    let begin = Instant::now();
    let asked = threads.max(1);
    let threads = asked.min(topology.parallelism());
    let what = || {
        format!("memory bandwidth of {threads} {}", if threads == 1 { "thread" } else { "threads" })
    };
    let flushes = kernels::can_flush();
    let window = window_size(topology, threads, flushes)
        .map_err(|reason| Unavailable { what: what(), reason })?;
    let plan = Plan { clean: 5, at_most: 1024, budget, patience: budget * 3 };
    let rates = windows::measure(threads, &topology.cpus, plan, || Read::new(window.bytes))
        .map_err(|error| Unavailable {
            what: what(),
            reason: format!("the probe could not run: {error}"),
        })?;
    let Some(rates_interval) = Interval::of(&rates.per_second) else {
        return Err(Unavailable {
            what: what(),
            reason: "no window of the probe was measured".to_owned(),
        });
    };
    let mut limits = Vec::new();
    limits.extend(window.limit);
    if asked > threads {
        limits.push(format!(
            "measured with {threads} threads, as many as run at once; {asked} were asked for"
        ));
    }
    if rates.by_cpu_time {
        limits.push(
            "other work took the CPUs in every window: by CPU time, and too high if threads took turns".to_owned(),
        );
    } else if rates.disturbed > rates.per_second.len() {
        limits.push(format!(
            "other work took the CPUs in {} more windows, which were left out",
            rates.disturbed
        ));
    }
    let method = if flushes {
        format!("{} a thread, flushed from the caches, then read", Bytes(window.bytes as f64))
    } else {
        format!("{} a thread, read again and again", Bytes(window.bytes as f64))
    };
    Ok(DramRead {
        threads,
        bandwidth: rates_interval.map(BytesPerSec),
        measurement: Measurement::now(method, Nanos::from(begin.elapsed())),
        limits,
    })
}

#[derive(Debug, PartialEq)]
struct Window {
    bytes: usize,
    limit: Option<String>,
}

/// How much each thread reads in a window, or why nothing can be measured.
fn window_size(topology: &Topology, threads: u32, flushes: bool) -> Result<Window, String> {
    let cache = topology.last_level_cache().map_or(0.0, |cache| cache.size.get());
    let window = (ALL_WINDOWS / f64::from(threads)).clamp(LEAST_WINDOW as f64, WINDOW as f64);
    let wanted =
        if flushes { window } else { (cache * CACHE_MULTIPLE / f64::from(threads)).max(window) };
    let allowed = topology
        .memory_available
        .map_or(wanted, |free| free.get() * MEMORY_SHARE / f64::from(threads));
    if allowed < LEAST_WINDOW as f64 {
        let free = topology.memory_available.unwrap_or_default();
        return Err(format!(
            "only {free} of memory are free; the probe takes at most an eighth of that"
        ));
    }
    let limit = (!flushes && allowed < wanted).then(|| {
        "the buffer is not much larger than the last-level cache, for lack of memory: this may be too high".to_owned()
    });
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number of bytes in memory"
    )]
    let bytes = wanted.min(allowed) as usize / STEP * STEP;
    Ok(Window { bytes, limit })
}

/// Reads a private buffer once in each window, from memory.
struct Read(Pages);

impl Read {
    fn new(bytes: usize) -> io::Result<Self> {
        let mut pages = Pages::new(bytes)?;
        // One write is enough for a page to exist; pages that are not there are all the same page of zeros.
        for page in pages.bytes_mut().chunks_mut(4096) {
            page[0] = 1;
        }
        Ok(Self(pages))
    }
}

impl Work for Read {
    fn prepare(&mut self) {
        kernels::flush(self.0.bytes());
    }

    fn run(&mut self, stop: &AtomicBool) -> u64 {
        let mut read = 0;
        for chunk in self.0.bytes().chunks_exact(STEP) {
            std::hint::black_box(kernels::read_sum(chunk, 1));
            read += chunk.len() as u64;
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::topology::Cache;

    fn machine(cache_mib: u64, free_mib: u64) -> Topology {
        Topology {
            cpu_model: "test".to_owned(),
            architecture: "test".to_owned(),
            kernel: None,
            virtual_machine: false,
            cpus: vec![0, 1],
            quota: None,
            caches: vec![Cache { level: 3, size: Bytes::mib(cache_mib), shared_by: 2 }],
            memory: None,
            memory_available: Some(Bytes::mib(free_mib)),
        }
    }

    #[track_caller]
    fn check(topology: &Topology, threads: u32, flushes: bool, mib: usize, limited: bool) {
        let window = window_size(topology, threads, flushes).unwrap();
        assert_eq!((window.bytes >> 20, window.limit.is_some()), (mib, limited));
    }

    #[test]
    fn flushing_needs_no_more_than_a_window() {
        check(&machine(260, 24_000), 2, true, 16, false);
        check(&machine(260, 128), 2, true, 8, false);
        check(&machine(260, 240_000), 128, true, 8, false);
        check(&machine(260, 240_000), 2048, true, 4, false);
    }

    #[test]
    fn without_flushing_the_threads_exceed_the_cache_together() {
        check(&machine(260, 24_000), 1, false, 520, false);
        check(&machine(260, 24_000), 4, false, 130, false);
        check(&machine(8, 24_000), 4, false, 16, false);
        check(&machine(260, 1600), 1, false, 200, true);
    }

    #[test]
    fn too_little_memory_is_a_reason() {
        assert!(window_size(&machine(8, 16), 1, true).unwrap_err().contains("16.0 MiB"));
        let missing = probe_bandwidth(&machine(8, 16), 1, Duration::ZERO).unwrap_err();
        assert_eq!(missing.what, "memory bandwidth of 1 thread");
    }
}

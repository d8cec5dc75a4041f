//! Timed loads from each level of the caches and from memory, with the instructions that time loads of the program's data.
//!
//! In pages of the usual size, as most programs have them; the function touches the page first, so that no translation is
//! timed. Rounds over the levels alternate, so that a disturbance falls on all of them.

use std::time::Instant;

use bottleneck_runtime::__private::time_load;

use super::chain::Random;
use super::thresholds::{Sorted, lines, quantile, step, why_off};
use crate::machine::ceilings::Measurement;
use crate::machine::kernels::{self, LINE};
use crate::machine::load_times::{LevelTime, LoadTimes, Skid};
use crate::machine::sys::Pages;
use crate::units::{Bytes, Hertz, Nanos};

/// Loads of each level: a tenth of them is known to 2 %.
const ROUNDS: usize = 10;
const LOADS: usize = 64;
/// The outer cache is read in data of so many times what the cache inside it holds.
const OVER_INNER: usize = 16;
/// The most memory that is used.
pub(super) const MOST: usize = 16 << 20;
/// Flushed for the loads from memory.
const FLUSHED: usize = 4 << 20;

/// Where the loads of a level go: the first half of so many bytes, after all of them were read. The second half fills what
/// is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) level: u8,
    pub(super) bytes: usize,
}

/// The data for each cache, by what each is known to hold, the innermost first.
pub(super) fn sources(holds: &[usize]) -> Vec<Source> {
    let mut inner: Option<usize> = None;
    let mut res = Vec::new();
    for (level, &holds) in (1..).zip(holds) {
        let bytes = match inner {
            None => holds / 2,
            // At least four times the inner one, or half of the loads are answered there.
            Some(inner) => (inner * OVER_INNER).min(holds / 2).max(inner * 4),
        };
        res.push(Source { level, bytes: bytes.min(MOST) / (2 * LINE) * (2 * LINE) });
        inner = Some(holds);
    }
    res
}

/// Times loads for about 20 ms. `holds` is what each cache holds, the innermost first; `pages` has [`MOST`] bytes.
///
/// # Errors
/// Where no levels are known: the reason.
pub(super) fn measure(
    pages: &mut Pages,
    holds: &[usize],
    skid: Option<Skid>,
) -> Result<LoadTimes, String> {
    let begin = Instant::now();
    let sources = sources(holds);
    for page in pages.bytes_mut().chunks_mut(4096) {
        page[0] = 1;
    }
    let bytes = pages.bytes();
    let mut random = Random(0xD1B5_4A32_D192_ED03);
    let mut ticks = Sorted { caches: vec![Vec::new(); sources.len()], memory: Vec::new() };
    let (from, from_ticks) = (Instant::now(), counter());
    for _ in 0..ROUNDS {
        for (source, ticks) in sources.iter().zip(&mut ticks.caches) {
            let data = &bytes[..source.bytes.min(bytes.len())];
            std::hint::black_box(kernels::read_sum(data, 2));
            loads(&data[..data.len() / 2], &mut random, ticks);
        }
        let data = &bytes[..FLUSHED.min(bytes.len())];
        kernels::flush(data);
        loads(data, &mut random, &mut ticks.memory);
    }
    let tick_rate = Hertz(counter().wrapping_sub(from_ticks) as f64 / from.elapsed().as_secs_f64());
    ticks.caches.iter_mut().chain([&mut ticks.memory]).for_each(|ticks| ticks.sort_unstable());
    let (near, far) = lines(&ticks).ok_or("no cache was found to compare memory with")?;
    let level = |level, data: usize, ticks: &[u32]| LevelTime {
        level,
        data: Bytes(data as f64),
        p10: quantile(ticks, 0.1),
        median: quantile(ticks, 0.5),
        p90: quantile(ticks, 0.9),
    };
    let caches = sources.iter().zip(&ticks.caches);
    let mut levels: Vec<LevelTime> =
        caches.map(|(source, ticks)| level(Some(source.level), source.bytes, ticks)).collect();
    levels.push(level(None, FLUSHED, &ticks.memory));
    let method = format!(
        "{} loads of each level in pages of 4 KiB, translations touched first",
        ROUNDS * LOADS
    );
    let mut times = LoadTimes {
        tick_rate,
        step: step(&ticks),
        levels,
        near,
        far,
        skid,
        off: None,
        measurement: Measurement::now(method, Nanos::from(begin.elapsed())),
    };
    times.off = why_off(&times);
    Ok(times)
}

/// Times loads of random lines of `data`.
fn loads(data: &[u8], random: &mut Random, ticks: &mut Vec<u32>) {
    let lines = data.len() / LINE;
    for _ in 0..LOADS {
        let Some(byte) = data.get(random.below(lines) * LINE) else { return };
        // SAFETY: the byte is in memory of our own, and its page with it.
        ticks.push(unsafe { time_load(byte) });
    }
}

/// The time-stamp counter.
fn counter() -> u64 {
    // SAFETY: every x86-64 processor has it; where the kernel forbids it, `time_load` has faulted before.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_come_from_the_level_that_they_are_to_come_from() {
        let kib = |source: &Source| (source.level, source.bytes >> 10);
        let found = sources(&[32 << 10, 1 << 20, 64 << 20]);
        assert_eq!(found.iter().map(kib).collect::<Vec<_>>(), [(1, 16), (2, 512), (3, 16 << 10)]);
        // What a neighbor leaves of a shared cache is little more than the inner one.
        let found = sources(&[32 << 10, 1 << 20, 3 << 20]);
        assert_eq!(found.iter().map(kib).collect::<Vec<_>>(), [(1, 16), (2, 512), (3, 4096)]);
        assert_eq!(sources(&[]), []);
        assert_eq!(sources(&[100, 100]).len(), 2);
    }

    #[test]
    fn a_load_takes_longer_the_farther_away_it_is() {
        let mut pages = Pages::small(MOST).unwrap();
        let times = measure(&mut pages, &[24 << 10, 256 << 10], None).unwrap();
        println!("{times:#?}");
        let medians: Vec<u32> = times.levels.iter().map(|level| level.median).collect();
        assert!(medians.is_sorted() && medians[0] < medians[2], "{medians:?}");
        assert!(times.levels.iter().all(|l| l.p10 <= l.median && l.median <= l.p90));
        assert!((1e8..1e10).contains(&times.tick_rate.get()), "{:?}", times.tick_rate);
        assert!(times.off.as_deref().is_some_and(|why| why.contains("timer")));
        assert!(measure(&mut pages, &[], None).is_err());
    }
}

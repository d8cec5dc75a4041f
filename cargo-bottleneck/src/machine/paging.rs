//! What memory costs that the kernel must provide: the first touch of a page, and copies from the page cache.
//!
//! Each probe does the thing itself. A first touch is cheaper than the first of all in a virtual machine, where the
//! hypervisor must find the memory too: what is measured is memory that this system has used before.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use super::ceilings::FirstTouch;
use super::interval::Interval;
use super::kernels;
use super::sys::{self, HUGE_PAGE, Pages};
use crate::units::{Bytes, BytesPerSec};

const SMALL_PAGE: usize = 4096;
/// Pages between two looks at the clock, and how many such windows.
const SMALL_PAGES: usize = 128;
const SMALL_WINDOWS: usize = 8;
const HUGE_WINDOWS: usize = 5;
/// Read from the page cache in one window, in blocks as the standard library's readers of large files use.
const FILE: usize = 8 << 20;
const BLOCK: usize = 128 << 10;
const FILE_WINDOWS: usize = 3;

/// Times the first touch of pages of 4 KiB and, where the kernel gives them, of 2 MiB. Costs 2 ms; in memory that a virtual
/// machine has never used 10 ms.
///
/// # Errors
/// Where memory cannot be had.
pub(super) fn first_touch() -> io::Result<Vec<FirstTouch>> {
    let small = touch(Pages::small(SMALL_PAGE * SMALL_PAGES * SMALL_WINDOWS)?, SMALL_PAGE)?;
    let huge = touch(Pages::new(HUGE_PAGE * HUGE_WINDOWS)?, HUGE_PAGE)?;
    Ok(small.into_iter().chain(huge).collect())
}

/// `None` where the kernel gives pages of another size.
fn touch(mut pages: Pages, page: usize) -> io::Result<Option<FirstTouch>> {
    let n_windows = if page == SMALL_PAGE { SMALL_WINDOWS } else { HUGE_WINDOWS };
    let memory = pages.bytes_mut();
    let window = memory.len() / n_windows;
    let before = sys::thread_minor_faults()?;
    let mut times = Vec::new();
    for window in memory.chunks_mut(window) {
        let begin = Instant::now();
        for page in window.chunks_mut(SMALL_PAGE) {
            page[0] = 1;
        }
        times.push(begin.elapsed().as_secs_f64() * 1e9 * page as f64 / window.len() as f64);
    }
    let faults = sys::thread_minor_faults()?.saturating_sub(before);
    let expected = memory.len() / page;
    // Twice as many: a few pages of tables and of code may be among them.
    let is_as_asked =
        (expected / 2..=expected * 2 + 8).contains(&usize::try_from(faults).unwrap_or(0));
    let cost_ns = Interval::of(&times).filter(|_| is_as_asked);
    Ok(cost_ns.map(|cost_ns| FirstTouch { page: Bytes(page as f64), cost_ns }))
}

/// How fast the kernel copies a file from the page cache to a program, the file's pages being in memory and in no cache where
/// the processor can flush them. Costs 15 ms.
///
/// # Errors
/// Where no file in memory can be made.
pub(super) fn page_cache_read() -> io::Result<Interval<BytesPerSec>> {
    const NAME: &CStr = c"bottleneck-page-cache";
    let file = sys::memory_file(NAME)?;
    sys::allocate(file.as_fd(), i64::try_from(FILE).map_err(io::Error::other)?)?;
    let map = sys::Map::shared(file.as_fd(), FILE)?;
    let file = File::from(file);
    let mut block = vec![1; BLOCK];
    for at in (0..FILE).step_by(BLOCK) {
        file.write_all_at(&block, at as u64)?;
    }
    let mut rates = Vec::new();
    for _ in 0..FILE_WINDOWS {
        // SAFETY: the file is unnamed and our own, and is only read from here on.
        kernels::flush(unsafe { map.bytes() });
        let begin = Instant::now();
        for at in (0..FILE).step_by(BLOCK) {
            file.read_exact_at(&mut block, at as u64)?;
        }
        rates.push(FILE as f64 / begin.elapsed().as_secs_f64());
    }
    let rates = Interval::of(&rates).ok_or_else(|| io::Error::other("the clock stands still"))?;
    Ok(rates.map(BytesPerSec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_touch_costs_what_a_system_call_and_a_cleared_page_do() {
        let costs = first_touch().unwrap();
        println!("{costs:?}");
        let small = costs.iter().find(|cost| cost.page == Bytes::kib(4));
        // A kernel with larger pages gives none of 4 KiB.
        if let Some(small) = small {
            assert!((30.0..1e6).contains(&small.cost_ns.median), "{small:?}");
            if let Some(huge) = costs.iter().find(|cost| cost.page == Bytes::mib(2)) {
                assert!(huge.cost_ns.median > small.cost_ns.min, "{costs:?}");
            }
        }
    }

    #[test]
    fn the_page_cache_is_read_at_the_speed_of_a_copy() {
        let rate = page_cache_read().unwrap();
        println!("{rate:?}");
        assert!((1e8..1e12).contains(&rate.median.get()), "{rate:?}");
    }
}

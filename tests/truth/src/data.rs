//! Sizes of data by the caches of this machine, and memory of that size with its pages touched.

#![expect(
    unsafe_code,
    reason = "memory that is filled before it counts, and advice about its pages"
)]

use std::thread;

use bottleneck_examples::host;
use bottleneck_examples::random::fill_uniform;

use crate::options::Size;

/// Assumed where the system does not tell the size of its caches.
const USUAL_CACHE: u64 = 32 << 20;
/// No program has more than this share of the free memory.
const MOST_OF_MEMORY: u64 = 4;
/// Values that are computed; the rest are copies. Odd, so that copies do not lie at one distance modulo the caches.
const TILE: usize = (1 << 20) + 1038;

/// What the pages of some memory are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Whatever the system gives.
    Usual,
    /// Small ones.
    Small,
    /// Huge ones where the system has them.
    Huge,
}

/// Bytes of the last-level cache.
#[must_use]
pub fn last_level_cache() -> usize {
    as_usize(host::last_level_cache().unwrap_or(USUAL_CACHE))
}

/// Bytes that no cache holds: four times the last-level cache, or eight times for [`Size::Large`]; at least 256 MiB, and
/// at most a quarter of the free memory.
#[must_use]
pub fn beyond_caches(size: Size) -> usize {
    let times = match size {
        Size::Small => 4,
        Size::Large => 8,
    };
    let wanted = (times * last_level_cache()).max(256 << 20);
    let most = host::available_memory().map_or(usize::MAX, |it| as_usize(it / MOST_OF_MEMORY));
    wanted.min(most)
}

fn as_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// `count` random floats in `[-1, 1)`: a tile of them, again and again.
#[must_use]
pub fn floats(count: usize, seed: u64, pages: Pages) -> Vec<f32> {
    let mut tile = vec![0.0; count.min(TILE)];
    fill_uniform(&mut tile, seed, 0, 1.0);
    tiled(count, &tile, pages)
}

/// `count` random bytes: a tile of them, again and again.
#[must_use]
pub fn bytes(count: usize, seed: u64, pages: Pages) -> Vec<u8> {
    let mut random = bottleneck_examples::random::Random::new(seed);
    let tile: Vec<u8> =
        (0..TILE.min(count).div_ceil(8)).flat_map(|_| random.next_bits().to_ne_bytes()).collect();
    tiled(count, &tile, pages)
}

/// `count` values that repeat `tile`, written by all CPUs at once.
///
/// # Panics
/// If `tile` is empty and `count` is not 0.
#[must_use]
pub fn tiled<T: Copy + Send + Sync>(count: usize, tile: &[T], pages: Pages) -> Vec<T> {
    let mut res: Vec<T> = Vec::with_capacity(count);
    advise(res.as_mut_ptr().cast(), count * size_of::<T>(), pages);
    let space = &mut res.spare_capacity_mut()[..count];
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let part = count.div_ceil(threads).next_multiple_of(tile.len().max(1)).max(1);
    thread::scope(|scope| {
        for part in space.chunks_mut(part) {
            scope.spawn(move || {
                for piece in part.chunks_mut(tile.len()) {
                    for (space, value) in piece.iter_mut().zip(tile) {
                        space.write(*value);
                    }
                }
            });
        }
    });
    // SAFETY: every one of the `count` places was written above: the parts cover them, and the pieces a part.
    unsafe { res.set_len(count) };
    res
}

/// Advice that the system may not follow. It changes no contents.
fn advise(start: *mut u8, bytes: usize, pages: Pages) {
    const PAGE: usize = 4096;
    let advice = match pages {
        Pages::Usual => return,
        Pages::Small => libc::MADV_NOHUGEPAGE,
        Pages::Huge => libc::MADV_HUGEPAGE,
    };
    let skipped = start.addr().next_multiple_of(PAGE) - start.addr();
    if let Some(rest) = bytes.checked_sub(skipped).filter(|rest| *rest >= PAGE) {
        // SAFETY: whole pages within one allocation; both kinds of advice leave their contents alone.
        unsafe { libc::madvise(start.add(skipped).cast(), rest / PAGE * PAGE, advice) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_is_repeated_to_the_last_value() {
        for count in [0, 1, 2, 3, 7, 100] {
            let expected: Vec<u32> = (0..3).cycle().take(count).collect();
            assert_eq!(tiled(count, &[0, 1, 2], Pages::Huge), expected);
        }
        let large = floats(3 * TILE, 5, Pages::Usual);
        assert!(large.len() == 3 * TILE && large[0].to_bits() == large[2 * TILE].to_bits());
    }
}

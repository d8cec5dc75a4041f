//! A chain of pointers through memory in random order: each load of it waits for the one before.
//!
//! Links and times; what the times mean is for `levels`.

use std::io;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::machine::interval::Interval;
use crate::machine::kernels::{self, LINE};
use crate::machine::sys::Pages;
use crate::machine::topology::Topology;
use crate::machine::windows::{self, Plan, Work};

/// Windows for each latency. A window is 60 µs to 2 ms long.
const PLAN: Plan =
    Plan { clean: 5, at_most: 15, budget: Duration::ZERO, patience: Duration::from_millis(20) };
/// A chain has at most so many links: of more lines than these it goes through a random choice, after all were read.
const MOST_LINKS: usize = 16 << 10;
/// Of a chain that fits an inner cache many rounds are timed, to be long against reading the clock.
const LEAST_HOPS: usize = 32 << 10;

/// Memory with a chain in its first bytes.
#[derive(Debug)]
pub(super) struct Chain {
    pages: Pages,
    /// Bytes that were written to, so that they exist.
    touched: usize,
    /// Bytes that the chain goes through.
    through: usize,
    start: usize,
    links: usize,
    random: Random,
}

/// Where the lines are when the chain is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// As near as caches keep them, after all were read.
    WhereTheyFit,
    /// In no cache.
    InMemory,
}

impl Chain {
    pub(super) fn new(pages: Pages) -> Self {
        Self { pages, touched: 0, through: 0, start: 0, links: 0, random: Random(0x9E37_79B9) }
    }

    /// The memory with the chain.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.pages.bytes()[..self.through]
    }

    /// Links anew, through the first `bytes`, at most what there is. Costs the first touch of what was not used yet, and
    /// 2 ms.
    pub(super) fn link(&mut self, bytes: usize) {
        let base = self.pages.bytes().as_ptr().addr();
        let memory = self.pages.bytes_mut();
        self.through = bytes.min(memory.len()) / LINE * LINE;
        for page in memory[self.touched.min(self.through)..self.through].chunks_mut(4096) {
            page[0] = 1;
        }
        self.touched = self.touched.max(self.through);
        let lines = self.through / LINE;
        self.links = lines.min(MOST_LINKS);
        // One line of each of `links` equal parts, so that they are spread over all of it and none comes twice.
        let part = lines / self.links.max(1);
        let mut order: Vec<usize> =
            (0..self.links).map(|link| (link * part + self.random.below(part)) * LINE).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, self.random.below(last + 1));
        }
        for (link, &at) in order.iter().enumerate() {
            let next = base + order[(link + 1) % order.len()];
            memory[at..at + size_of::<usize>()].copy_from_slice(&next.to_ne_bytes());
        }
        self.start = base + order.first().copied().unwrap_or(0);
    }

    /// Follows the chain; `from` is 0 for its start, or what an earlier call returned.
    pub(super) fn follow(&self, from: usize, hops: usize) -> usize {
        let from = if from == 0 { self.start } else { from };
        if self.links == 0 || hops == 0 {
            return from;
        }
        // SAFETY: `link` wrote into every line of the chain the address of another one, which lives as long as `self`; and
        // `from` is one of them.
        unsafe { kernels::chase(from as *const u8, hops as u64) }.addr()
    }

    /// Least, median and greatest time of one load, in ns.
    ///
    /// # Errors
    /// Where no thread can be started, or the chain is empty.
    pub(super) fn time(&self, topology: &Topology, kept: Kept) -> io::Result<Interval<f64>> {
        if self.links == 0 {
            return Err(io::Error::other("the chain is empty"));
        }
        let make = || Ok(Follow { chain: self, kept, at: 0 });
        let rates = windows::measure(1, &topology.cpus, PLAN, make)?;
        let times: Vec<f64> = rates.per_second.iter().map(|rate| 1e9 / rate).collect();
        Interval::of(&times).ok_or_else(|| io::Error::other("no window of the probe was measured"))
    }
}

/// Amount: loads.
struct Follow<'a> {
    chain: &'a Chain,
    kept: Kept,
    at: usize,
}

impl Work for Follow<'_> {
    fn prepare(&mut self) {
        let bytes = self.chain.bytes();
        match self.kept {
            Kept::InMemory => {
                kernels::flush(bytes);
            }
            Kept::WhereTheyFit => {
                std::hint::black_box(kernels::read_sum(bytes, 2));
                if bytes.len() <= MOST_LINKS * LINE {
                    self.at = self.chain.follow(self.at, self.chain.links);
                }
            }
        }
    }

    fn run(&mut self, _stop: &AtomicBool) -> u64 {
        let all_linked = self.chain.bytes().len() <= MOST_LINKS * LINE;
        let hops = match self.kept {
            Kept::WhereTheyFit if all_linked => self.chain.links.max(LEAST_HOPS),
            // Each line once: a second time it may be nearer.
            Kept::WhereTheyFit | Kept::InMemory => self.chain.links / 2,
        };
        self.at = self.chain.follow(self.at, hops);
        hops as u64
    }
}

/// Numbers that no prefetcher guesses, the same in every run.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    /// A number below `end`, or 0 where there is none.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_visits_every_line_once_and_comes_back() {
        let mut chain = Chain::new(Pages::small(1 << 20).unwrap());
        for bytes in [LINE, 4096, 1 << 20] {
            chain.link(bytes);
            let mut seen = std::collections::HashSet::new();
            let mut at = chain.follow(0, 0);
            while seen.insert(at) {
                at = chain.follow(at, 1);
            }
            assert_eq!((seen.len(), at), (bytes / LINE, chain.start));
        }
    }

    #[test]
    fn a_large_one_is_spread_over_all_of_it() {
        let mut chain = Chain::new(Pages::small(4 << 20).unwrap());
        chain.link(4 << 20);
        assert_eq!((chain.links, chain.bytes().len()), (MOST_LINKS, 4 << 20));
        let mut at = 0;
        let mut quarters = [0; 4];
        for _ in 0..chain.links {
            at = chain.follow(at, 1);
            quarters[(at - chain.bytes().as_ptr().addr()) >> 20] += 1;
        }
        assert_eq!(quarters, [MOST_LINKS / 4; 4]);
    }

    #[test]
    fn an_empty_chain_is_an_error() {
        let topology = Topology::read().unwrap();
        let mut chain = Chain::new(Pages::small(1 << 20).unwrap());
        chain.link(1);
        assert_eq!(chain.follow(0, 9), chain.start);
        assert!(chain.time(&topology, Kept::WhereTheyFit).is_err());
    }
}

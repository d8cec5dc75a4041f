//! Time as the simulation sees it: that of the machine, or one that passes by what is simulated alone.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::engine::Ns;

/// Waits longer than this sleep; what is left of them spins, because a sleep ends late.
const SLEEPS: Ns = 120_000;
/// How much earlier than asked a sleep is to end.
const EARLY: Ns = 100_000;

/// The clock of the simulation.
#[derive(Debug)]
pub enum Clock {
    /// `CLOCK_MONOTONIC`.
    Real {
        /// Waits never sleep, as those of the real driver unless it is told otherwise.
        spins: bool,
    },
    /// Moved by calls and by waits.
    Virtual(AtomicU64),
}

impl Clock {
    /// A clock of this sort.
    pub fn new(is_virtual: bool, spins: bool) -> Self {
        if is_virtual { Self::Virtual(AtomicU64::new(1_000)) } else { Self::Real { spins } }
    }

    /// Now.
    pub fn now(&self) -> Ns {
        match self {
            Self::Real { .. } => monotonic(),
            Self::Virtual(now) => now.load(Relaxed),
        }
    }

    /// How long until a moment; `None` if it has come. A virtual clock lets nobody wait.
    pub fn left_until(&self, at: Ns) -> Option<Duration> {
        let left = match self {
            Self::Real { .. } => at.saturating_sub(monotonic()),
            Self::Virtual(_) => 0,
        };
        (0 < left).then(|| Duration::from_nanos(left))
    }

    /// Now, for something that could not begin before `ready` and takes no time of its own on a virtual clock.
    pub fn now_since(&self, ready: Ns) -> Ns {
        match self {
            Self::Real { .. } => monotonic().max(ready),
            Self::Virtual(_) => ready,
        }
    }

    /// The calling thread works for so long.
    pub fn spend(&self, ns: Ns) {
        match self {
            Self::Real { .. } => self.wait_until(monotonic() + ns),
            Self::Virtual(now) => {
                now.fetch_add(ns, Relaxed);
            }
        }
    }

    /// The calling thread waits.
    pub fn wait_until(&self, end: Ns) {
        match self {
            Self::Virtual(now) => {
                now.fetch_max(end, Relaxed);
            }
            Self::Real { spins } => loop {
                let left = end.saturating_sub(monotonic());
                if left == 0 {
                    return;
                }
                if *spins {
                    look_again();
                } else if SLEEPS < left {
                    std::thread::sleep(Duration::from_nanos(left - EARLY));
                } else {
                    spin_loop();
                }
            },
        }
    }
}

/// Looks at one place of memory for some microseconds, without a word to the processor that this is a wait: what a sample of it
/// shows is a loop of loads in this library.
fn look_again() {
    static PLACE: AtomicU64 = AtomicU64::new(0);
    for _ in 0..20_000 {
        std::hint::black_box(PLACE.load(Relaxed));
    }
}

pub(crate) fn monotonic() -> Ns {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the time to where the pointer leads.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_clock_moves_by_what_is_simulated() {
        let clock = Clock::new(true, false);
        let begin = clock.now();
        clock.spend(200);
        clock.wait_until(begin + 1_000_000_000_000);
        clock.wait_until(begin);
        assert_eq!(clock.now(), begin + 1_000_000_000_000);
    }

    #[test]
    fn what_is_not_simulated_takes_no_virtual_time() {
        let clock = Clock::new(true, false);
        assert_eq!((clock.left_until(9_999_999), clock.now_since(9_999_999)), (None, 9_999_999));
        let clock = Clock::new(false, false);
        let begin = clock.now();
        assert!(clock.left_until(begin).is_none() && begin <= clock.now_since(0));
        assert!(clock.left_until(begin + 1_000_000_000_000).is_some());
        assert_eq!(clock.now_since(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_real_clock_waits_as_long_as_it_says() {
        let clock = Clock::new(false, false);
        let end = clock.now() + 300_000;
        clock.wait_until(end);
        assert!(end <= clock.now());
    }
}

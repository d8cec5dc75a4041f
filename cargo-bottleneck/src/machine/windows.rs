//! Short timed windows on one or several threads that start and end together.
//!
//! A window of a group ends when its first thread is done, so that no part of it is measured with fewer threads; and a
//! window in which a thread was taken off its CPU is left out, because then the scheduler was measured. What was left
//! out is counted.

use std::hint;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::sys;
use crate::units::Nanos;

/// What one thread does in each window.
pub(super) trait Work: Send {
    /// Gets ready for a window; not timed. Other threads of the group get ready at the same time.
    fn prepare(&mut self) {}

    /// Works until it is done or `stop` is set, and returns the amount of work done. It must look at `stop` every 10 to
    /// 50 µs, because the others are measured while it goes on.
    fn run(&mut self, stop: &AtomicBool) -> u64;
}

/// How many windows to measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// At least so many, whatever they take.
    pub(super) at_least: usize,
    /// At most so many.
    pub(super) at_most: usize,
    /// No further window starts after this time.
    pub(super) budget: Duration,
}

/// The measured rates and what they rest on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rates {
    /// Work per second in each window that counts, in order of time.
    pub(super) per_second: Vec<f64>,
    /// Windows left out because a thread lost its CPU.
    pub(super) preempted: usize,
}

/// One thread's part of one window.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: Instant,
    end: Instant,
    on_cpu: Option<Nanos>,
    amount: u64,
}

/// A thread that was on its CPU for less than this part of a window makes the window useless.
const LEAST_ON_CPU: f64 = 0.95;

/// Threads that worked at the same time for less than this part of a window do not show what they reach together.
const LEAST_TOGETHER: f64 = 0.90;

/// Runs windows of the work that `make` gives for each of `threads` threads.
///
/// Several threads are tied to different CPUs of `cpus` (the affinity mask) as far as there are so many; one thread
/// goes where the scheduler puts it, so that it is not held beside a busy neighbor.
///
/// # Errors
/// Where a thread cannot be started, or `make` fails on any thread.
pub(super) fn measure<W: Work>(
    threads: u32,
    cpus: &[u32],
    plan: Plan,
    make: impl Fn() -> io::Result<W> + Sync,
) -> io::Result<Rates> {
    let group = Group::new(threads.max(1) as usize);
    let parts: io::Result<Vec<Vec<Part>>> = thread::scope(|scope| {
        let mut handles = Vec::new();
        for index in 0..group.size {
            let (group, make) = (&group, &make);
            let cpu =
                (group.size > 1).then(|| cpus.get(index % cpus.len().max(1)).copied()).flatten();
            let builder = thread::Builder::new().name("ceiling".to_owned());
            match builder.spawn_scoped(scope, move || group.member(index == 0, cpu, plan, make)) {
                Ok(handle) => handles.push(handle),
                Err(error) => {
                    // Those that did start wait for the missing ones: let them go.
                    group.broken.store(true, Ordering::Release);
                    return Err(error);
                }
            }
        }
        let join = |handle: thread::ScopedJoinHandle<'_, io::Result<Vec<Part>>>| {
            handle.join().unwrap_or_else(|_| Err(io::Error::other("a measuring thread panicked")))
        };
        // Join them all before the first error is looked at: the scope panics for a thread that nobody joined.
        let joined: Vec<_> = handles.into_iter().map(join).collect();
        joined.into_iter().collect()
    });
    Ok(rates(&parts?))
}

/// What the threads of one measurement share.
struct Group {
    size: usize,
    arrived: AtomicUsize,
    generation: AtomicUsize,
    /// A thread could not get ready or start: everybody leaves.
    broken: AtomicBool,
    /// The current window is over.
    stop: AtomicBool,
    /// There is no further window.
    enough: AtomicBool,
}

impl Group {
    fn new(size: usize) -> Self {
        Self {
            size,
            arrived: AtomicUsize::new(0),
            generation: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            enough: AtomicBool::new(false),
        }
    }

    /// Waits for all threads; `false` where the group broke up. Spins, because being woken takes 50 µs of a window of
    /// 1 ms, and yields when that takes long, because there may be fewer CPUs than threads.
    fn meet(&self) -> bool {
        let generation = self.generation.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.size {
            self.arrived.store(0, Ordering::Relaxed);
            // Release: pairs with the Acquire below, and publishes the reset counter.
            self.generation.fetch_add(1, Ordering::Release);
            return !self.broken.load(Ordering::Acquire);
        }
        let mut spins = 0_u32;
        while self.generation.load(Ordering::Acquire) == generation {
            if self.broken.load(Ordering::Acquire) {
                return false;
            }
            spins += 1;
            if spins < 10_000 {
                hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
        true
    }

    fn member<W: Work>(
        &self,
        leader: bool,
        cpu: Option<u32>,
        plan: Plan,
        make: impl Fn() -> io::Result<W>,
    ) -> io::Result<Vec<Part>> {
        if let Some(cpu) = cpu {
            // A CPU that went offline since the mask was read: the scheduler picks another.
            let _ = sys::pin_to(cpu);
        }
        let _break_up = BreakUpOnPanic(self);
        let mut work = make().inspect_err(|_| self.broken.store(true, Ordering::Release))?;
        let mut parts = Vec::with_capacity(plan.at_most);
        let begin = Instant::now();
        while !self.enough.load(Ordering::Acquire) {
            work.prepare();
            if leader {
                self.stop.store(false, Ordering::Relaxed);
            }
            if !self.meet() {
                break;
            }
            let before = sys::thread_cpu_time();
            let start = Instant::now();
            let amount = work.run(&self.stop);
            let end = Instant::now();
            self.stop.store(true, Ordering::Relaxed);
            let on_cpu = before.and_then(|b| Ok(sys::thread_cpu_time()?.saturating_sub(b))).ok();
            parts.push(Part { start, end, on_cpu, amount });
            if leader {
                let enough = parts.len() >= plan.at_most
                    || (parts.len() >= plan.at_least && begin.elapsed() >= plan.budget);
                self.enough.store(enough, Ordering::Release);
            }
            // Everybody sees the same `enough`, and nobody clears `stop` under a thread that still works.
            if !self.meet() {
                break;
            }
        }
        Ok(parts)
    }
}

/// Lets the others go when a thread of the group panics, where they would spin for ever.
struct BreakUpOnPanic<'a>(&'a Group);

impl Drop for BreakUpOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.broken.store(true, Ordering::Release);
        }
    }
}

fn rates(members: &[Vec<Part>]) -> Rates {
    let windows = members.iter().map(Vec::len).min().unwrap_or(0);
    let mut clean = Vec::new();
    let mut disturbed = Vec::new();
    for index in 0..windows {
        let parts: Vec<Part> = members.iter().map(|parts| parts[index]).collect();
        let start = parts.iter().map(|p| p.start).min();
        let end = parts.iter().map(|p| p.end).max();
        let (Some(start), Some(end)) = (start, end) else { continue };
        let amount: u64 = parts.iter().map(|p| p.amount).sum();
        let rate = amount as f64 / (end - start).as_secs_f64();
        let together = parts.iter().map(|p| p.end).min().zip(parts.iter().map(|p| p.start).max());
        let together = together.map_or(Duration::ZERO, |(first_end, last_start)| {
            first_end.saturating_duration_since(last_start)
        });
        let overlaps = together.as_secs_f64() >= LEAST_TOGETHER * (end - start).as_secs_f64();
        if overlaps && parts.iter().all(Part::kept_its_cpu) {
            clean.push(rate);
        } else {
            disturbed.push(rate);
        }
    }
    // With nothing else, a disturbed window still is a lower bound.
    let preempted = disturbed.len();
    let per_second = if clean.is_empty() { disturbed } else { clean };
    Rates { per_second, preempted }
}

impl Part {
    fn kept_its_cpu(&self) -> bool {
        // Without a thread clock nothing can be said against the window.
        self.on_cpu.is_none_or(|on_cpu| {
            on_cpu.as_secs_f64() >= LEAST_ON_CPU * (self.end - self.start).as_secs_f64()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts to a limit, and tells whether the windows of the group overlap.
    struct Count(u64);

    impl Work for Count {
        fn run(&mut self, stop: &AtomicBool) -> u64 {
            let mut done = 0;
            while done < self.0 && !stop.load(Ordering::Relaxed) {
                done = hint::black_box(done + 1);
            }
            done
        }
    }

    const FIVE: Plan = Plan { at_least: 5, at_most: 5, budget: Duration::ZERO };

    #[test]
    fn each_window_counts_once_with_any_number_of_threads() {
        for threads in [1, 2, 5] {
            let rates = measure(threads, &[0], FIVE, || Ok(Count(10_000))).unwrap();
            assert!((1..=5).contains(&rates.per_second.len()), "{rates:?}");
            assert!(rates.per_second.iter().all(|r| *r > 0.0));
        }
    }

    #[test]
    fn a_thread_that_cannot_get_ready_ends_the_group() {
        let tries = AtomicUsize::new(0);
        let failed = measure(3, &[], FIVE, || {
            if tries.fetch_add(1, Ordering::Relaxed) == 1 {
                Err(io::ErrorKind::OutOfMemory.into())
            } else {
                Ok(Count(9))
            }
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    }

    struct Panic;

    impl Work for Panic {
        fn run(&mut self, _stop: &AtomicBool) -> u64 {
            panic!("on purpose");
        }
    }

    #[test]
    fn a_panic_ends_the_group() {
        assert!(measure(2, &[], FIVE, || Ok(Panic)).unwrap_err().to_string().contains("panicked"));
    }

    #[test]
    fn a_window_without_the_cpu_is_left_out() {
        // window      0       1
        // thread 0    |####|  |####|
        // thread 1    |####|  |#..#|   off its CPU in the middle
        let zero = Instant::now();
        let part = |from: u64, on_cpu: u64| Part {
            start: zero + Duration::from_millis(from),
            end: zero + Duration::from_millis(from + 4),
            on_cpu: Some(Nanos::from_millis(on_cpu)),
            amount: 8,
        };
        let members = [vec![part(0, 4), part(10, 4)], vec![part(0, 4), part(10, 2)]];
        assert_eq!(rates(&members), Rates { per_second: vec![4000.0], preempted: 1 });
        assert_eq!(rates(&members[1..]).per_second, [2000.0]);
        // thread 0    |####|
        // thread 1      |####|   started late
        let late = [vec![part(0, 4)], vec![part(1, 4)]];
        assert_eq!(rates(&late).preempted, 1);
        assert_eq!(rates(&[vec![part(0, 1)]]), Rates { per_second: vec![2000.0], preempted: 1 });
        assert_eq!(rates(&[]), Rates { per_second: Vec::new(), preempted: 0 });
    }
}

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
    /// So many undisturbed windows are wanted, as far as patience goes.
    pub(super) clean: usize,
    /// At most so many of any kind.
    pub(super) at_most: usize,
    /// No further window starts after this time when enough were undisturbed.
    pub(super) budget: Duration,
    /// No further window starts after this time at all; there is always one.
    pub(super) patience: Duration,
}

/// The measured rates and what they rest on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rates {
    /// Work per second in each window that counts, in order of time.
    pub(super) per_second: Vec<f64>,
    /// Windows in which a thread lost its CPU.
    pub(super) disturbed: usize,
    /// There were none but those: the rates are by CPU time, and say little about threads that work together.
    pub(super) by_cpu_time: bool,
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
    /// A thread lost its CPU in the current window.
    disturbed: AtomicBool,
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
            disturbed: AtomicBool::new(false),
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
        let mut clean = 0;
        let begin = Instant::now();
        loop {
            work.prepare();
            if leader {
                // Between the end of one window and the start of the next only the leader touches these.
                self.stop.store(false, Ordering::Relaxed);
                clean += usize::from(
                    !parts.is_empty() && !self.disturbed.swap(false, Ordering::Relaxed),
                );
                self.enough
                    .store(plan.is_done(parts.len(), clean, begin.elapsed()), Ordering::Relaxed);
            }
            // The meeting orders what was stored before it with what is read after it.
            if !self.meet() || self.enough.load(Ordering::Relaxed) {
                break;
            }
            let before = sys::thread_cpu_time();
            let start = Instant::now();
            let amount = work.run(&self.stop);
            let end = Instant::now();
            self.stop.store(true, Ordering::Relaxed);
            let on_cpu = before.and_then(|b| Ok(sys::thread_cpu_time()?.saturating_sub(b))).ok();
            let part = Part { start, end, on_cpu, amount };
            if !part.kept_its_cpu() {
                self.disturbed.store(true, Ordering::Relaxed);
            }
            parts.push(part);
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
        match rate_together(&parts) {
            Some(rate) => clean.push(rate),
            None => disturbed.push(parts.iter().map(Part::rate_on_cpu).sum()),
        }
    }
    let by_cpu_time = clean.is_empty() && !disturbed.is_empty();
    let n_disturbed = disturbed.len();
    Rates {
        per_second: if by_cpu_time { disturbed } else { clean },
        disturbed: n_disturbed,
        by_cpu_time,
    }
}

/// The rate of one window, or nothing where a thread started late or lost its CPU.
fn rate_together(parts: &[Part]) -> Option<f64> {
    let (first_start, last_start) =
        (parts.iter().map(|p| p.start).min()?, parts.iter().map(|p| p.start).max()?);
    let (first_end, last_end) =
        (parts.iter().map(|p| p.end).min()?, parts.iter().map(|p| p.end).max()?);
    let together = first_end.saturating_duration_since(last_start).as_secs_f64();
    let whole = (last_end - first_start).as_secs_f64();
    let amount: u64 = parts.iter().map(|p| p.amount).sum();
    let undisturbed = together >= LEAST_TOGETHER * whole && parts.iter().all(Part::kept_its_cpu);
    undisturbed.then_some(amount as f64 / whole)
}

impl Plan {
    fn is_done(self, windows: usize, clean: usize, elapsed: Duration) -> bool {
        let satisfied = clean >= self.clean && elapsed >= self.budget;
        windows > 0 && (windows >= self.at_most || elapsed >= self.patience || satisfied)
    }
}

impl Part {
    /// The rate while this thread had a CPU.
    fn rate_on_cpu(&self) -> f64 {
        let wall = (self.end - self.start).as_secs_f64();
        self.amount as f64 / self.on_cpu.map_or(wall, Nanos::as_secs_f64)
    }

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

    const FIVE: Plan =
        Plan { clean: 5, at_most: 5, budget: Duration::ZERO, patience: Duration::MAX };

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
    fn windows_end_with_the_budget_or_with_patience() {
        let ms = Duration::from_millis;
        let plan = Plan { clean: 3, at_most: 9, budget: ms(10), patience: ms(40) };
        assert!(!plan.is_done(0, 0, ms(99)), "there is always one window");
        assert!(!plan.is_done(5, 3, ms(9)));
        assert!(plan.is_done(5, 3, ms(10)));
        assert!(!plan.is_done(5, 2, ms(39)));
        assert!(plan.is_done(5, 2, ms(40)));
        assert!(plan.is_done(9, 0, ms(0)));
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
        let counted =
            |per_second, disturbed, by_cpu_time| Rates { per_second, disturbed, by_cpu_time };
        assert_eq!(rates(&members), counted(vec![4000.0], 1, false));
        assert_eq!(rates(&members[1..]), counted(vec![2000.0], 1, false));
        // thread 0    |####|
        // thread 1      |####|   started late
        let late = [vec![part(0, 4)], vec![part(1, 4)]];
        assert_eq!(rates(&late), counted(vec![4000.0], 1, true));
        // On its CPU for one of four milliseconds: by CPU time it is four times as fast as by the clock.
        assert_eq!(rates(&[vec![part(0, 1)]]), counted(vec![8000.0], 1, true));
        assert_eq!(rates(&[]), counted(Vec::new(), 0, false));
    }
}

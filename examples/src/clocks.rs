//! The clocks by which a program checks its own label: how long its thread computed, and how long it waited.
//!
//! They are the kernel's, so they hold without the profiler. One reading costs a few microseconds: never within the work
//! that is measured.

#![expect(unsafe_code, reason = "the clock of a thread has no safe interface in std")]

use std::fs;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

/// Runs on one thread, from [`start`](Self::start) to [`stop`](Self::stop).
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started: Instant,
    on_cpu: Duration,
    queued: Duration,
}

/// Where the time of a thread went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// All of it.
    pub wall: Duration,
    /// On a CPU, in the program or in the kernel.
    pub on_cpu: Duration,
    /// Ready to run while others had the CPU. Zero where the system does not tell; then it is part of `blocked`.
    pub queued: Duration,
}

impl Stopwatch {
    /// Starts on the calling thread.
    #[must_use]
    pub fn start() -> Self {
        let (on_cpu, queued) = (on_cpu(), queued());
        Self { started: Instant::now(), on_cpu, queued }
    }

    /// What the thread did since the start.
    #[must_use]
    pub fn stop(self) -> Times {
        let wall = self.started.elapsed();
        let on_cpu = on_cpu().saturating_sub(self.on_cpu);
        Times { wall, on_cpu, queued: queued().saturating_sub(self.queued) }
    }
}

impl Times {
    /// Waiting for something else than a CPU.
    #[must_use]
    pub fn blocked(&self) -> Duration {
        self.wall.saturating_sub(self.on_cpu).saturating_sub(self.queued)
    }

    /// The share of the time that was neither on a CPU nor lost to others that had it.
    #[must_use]
    pub fn blocked_share(&self) -> f64 {
        let own = self.wall.saturating_sub(self.queued);
        self.blocked().as_secs_f64() / own.as_secs_f64().max(1e-9)
    }
}

impl AddAssign for Times {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.on_cpu += other.on_cpu;
        self.queued += other.queued;
    }
}

/// CPU time of the calling thread.
fn on_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid `timespec` that the call fills.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "every system has a clock for threads");
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// How long the calling thread has waited for a CPU in all.
fn queued() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let field = text.split_ascii_whitespace().nth(1);
    Duration::from_nanos(field.and_then(|field| field.parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portion::{Portion, Products};
    use std::sync::mpsc;

    #[test]
    fn computing_is_on_the_cpu_and_waiting_is_not() {
        let mut products = Products::new();
        let portion = Portion::taking(Duration::from_millis(50));
        let watch = Stopwatch::start();
        products.compute(portion);
        let computed = watch.stop();
        assert!(computed.blocked_share() < 0.2, "{computed:?}");

        let (_sender, receiver) = mpsc::channel::<()>();
        let watch = Stopwatch::start();
        assert!(receiver.recv_timeout(Duration::from_millis(50)).is_err());
        let waited = watch.stop();
        assert!(waited.blocked_share() > 0.8, "{waited:?}");
    }
}

//! Differential tests by which a program checks its own label: the same code on data in a near cache against its real data,
//! or with more or less of one resource. Only clocks: nothing here knows the profiler.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bottleneck_examples::clocks::Stopwatch;

/// Share of memory stall from which memory is the dominant cause, and up to which it is not.
pub const MEMORY_FROM: f64 = 0.5;
/// See [`MEMORY_FROM`].
pub const COMPUTE_UP_TO: f64 = 0.3;

/// What a program found out about its own label.
#[derive(Clone, Debug)]
pub struct Oracle {
    /// What it measured, with units in the names.
    pub measured: Vec<(&'static str, f64)>,
    /// Share of the time of the recorded part that goes to stalls on memory, where the test tells it.
    pub truth_share: Option<f64>,
    /// Share of the time that goes to another cause than memory, or to the first part of a mix, where the test tells it.
    pub cause_share: Option<f64>,
    /// Whether the label holds, or why not.
    pub holds: Result<(), String>,
}

impl Oracle {
    /// An oracle from one condition.
    pub fn when(holds: bool, otherwise: impl FnOnce() -> String) -> Self {
        let holds = if holds { Ok(()) } else { Err(otherwise()) };
        Self { measured: Vec::new(), truth_share: None, cause_share: None, holds }
    }

    /// Holds if memory stalls take at least [`MEMORY_FROM`] of the time.
    #[must_use]
    pub fn memory(stall: Stall) -> Self {
        let share = stall.share();
        Self::when(share >= MEMORY_FROM, || {
            format!("memory stalls take {share:.2} of the time, at least {MEMORY_FROM} expected")
        })
        .with_stall(stall)
    }

    /// Holds if memory stalls take at most [`COMPUTE_UP_TO`] of the time.
    #[must_use]
    pub fn compute(stall: Stall) -> Self {
        let share = stall.share();
        Self::when(share <= COMPUTE_UP_TO, || {
            format!("memory stalls take {share:.2} of the time, at most {COMPUTE_UP_TO} expected")
        })
        .with_stall(stall)
    }

    /// Holds whatever the share is: for a program whose truth is that share.
    #[must_use]
    pub fn shown(stall: Stall) -> Self {
        Self::when(true, String::new).with_stall(stall)
    }

    /// Also holds only if this does.
    #[must_use]
    pub fn and(mut self, holds: bool, otherwise: impl FnOnce() -> String) -> Self {
        if self.holds.is_ok() && !holds {
            self.holds = Err(otherwise());
        }
        self
    }

    /// Adds a number to what is printed.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: f64) -> Self {
        self.measured.push((name, value));
        self
    }

    /// Adds the share of the time that the cause takes.
    #[must_use]
    pub fn with_cause(mut self, share: f64) -> Self {
        self.cause_share = Some(share.clamp(0.0, 1.0));
        self
    }

    fn with_stall(mut self, stall: Stall) -> Self {
        self.truth_share = Some(stall.share());
        self.with("cached_ms", 1e3 * stall.near.as_secs_f64())
            .with("large_ms", 1e3 * stall.far.as_secs_f64())
    }
}

/// Times of the same work near (data in a cache, or without the suspected resource) and far (as it really runs).
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// Time without the stalls.
    pub near: Duration,
    /// Time with them.
    pub far: Duration,
    share: f64,
}

impl Stall {
    /// Runs both in turns, so that a change of the machine's speed hits both; each gets the number of the round. Both
    /// must do the same amount of work, for 5 to 50 ms, on as many threads as they like.
    pub fn measure(rounds: usize, near: impl FnMut(usize), far: impl FnMut(usize)) -> Self {
        Self::by(rounds, near, far, |work| time(work))
    }

    /// The same by the CPU time of this thread, which leaves out when others have the CPU: for work that is done by it
    /// alone and does not wait.
    pub fn on_cpu(rounds: usize, near: impl FnMut(usize), far: impl FnMut(usize)) -> Self {
        Self::by(rounds, near, far, |work| {
            let watch = Stopwatch::start();
            work();
            watch.stop().on_cpu
        })
    }

    fn by(
        rounds: usize,
        mut near: impl FnMut(usize),
        mut far: impl FnMut(usize),
        clock: impl Fn(&mut dyn FnMut()) -> Duration,
    ) -> Self {
        near(0);
        let mut one = |round| (clock(&mut || near(round)), clock(&mut || far(round)));
        let mut times: Vec<(Duration, Duration)> = (0..rounds.max(1)).map(&mut one).collect();
        let ratio =
            |&(near, far): &(Duration, Duration)| near.as_secs_f64() / far.as_secs_f64().max(1e-9);
        times.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let share = (1.0 - ratio(&times[times.len() / 2])).clamp(0.0, 1.0);
        let median = |mut them: Vec<Duration>| {
            them.sort();
            them[them.len() / 2]
        };
        let near = median(times.iter().map(|it| it.0).collect());
        Self { near, far: median(times.iter().map(|it| it.1).collect()), share }
    }

    /// As [`measure`](Self::measure), for work on all CPUs, of which other programs nearly always have a part: the fastest
    /// round without the stalls, and the middle one with them, because fast rounds are those in which threads did not meet.
    pub fn beside_others(
        rounds: usize,
        mut near: impl FnMut(usize),
        mut far: impl FnMut(usize),
    ) -> Self {
        near(0);
        let rounds = 0..rounds.max(1);
        let mut times: Vec<_> =
            rounds.map(|round| (time(|| near(round)), time(|| far(round)))).collect();
        let near = times.iter().map(|it| it.0).min().unwrap_or_default();
        times.sort_by_key(|it| it.1);
        let far = times[times.len() / 2].1;
        let share = (1.0 - near.as_secs_f64() / far.as_secs_f64()).clamp(0.0, 1.0);
        Self { near, far, share }
    }

    /// `1 - near / far`, of the middle round, from 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.share
    }
}

/// How long `work` takes.
pub fn time<R>(work: impl FnOnce() -> R) -> Duration {
    let started = Instant::now();
    black_box(work());
    started.elapsed()
}

/// Median time of `work` in so many rounds.
pub fn median_time(rounds: usize, mut work: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..rounds.max(1)).map(|_| time(&mut work)).collect();
    times.sort();
    times[times.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_what_the_far_one_takes_longer() {
        let [near, far] = [2, 8].map(Duration::from_millis);
        let stall = Stall { near, far, share: 0.75 };
        assert!(Oracle::compute(stall).holds.is_err_and(|why| why.contains("at most")));
        assert_eq!(Oracle::memory(stall).truth_share, Some(0.75));
        let oracle = Oracle::shown(stall).with("gb_per_second", 1.0);
        assert_eq!(oracle.holds, Ok(()));
        assert_eq!(oracle.measured.len(), 3);
    }

    #[test]
    fn both_run_in_every_round() {
        let (mut near, mut far) = (Vec::new(), Vec::new());
        let stall = Stall::measure(3, |round| near.push(round), |round| far.push(round));
        assert!((0.0..=1.0).contains(&stall.share()), "{stall:?}");
        assert_eq!((near, far), (vec![0, 0, 1, 2], vec![0, 1, 2]));
        let mut rounds = 0;
        let stall = Stall::beside_others(4, |_| (), |_| rounds += 1);
        assert!(rounds == 4 && (0.0..=1.0).contains(&stall.share()));
    }

    #[test]
    fn every_condition_must_hold() {
        let oracle = Oracle::when(true, String::new).and(false, || "no".to_owned());
        assert_eq!(oracle.and(true, String::new).holds, Err("no".to_owned()));
    }
}

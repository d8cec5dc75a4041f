//! How a program with a planted bottleneck is run: for some seconds, and once more without the bottleneck.

use std::fmt;
use std::io;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// How long a program runs without its bottleneck.
pub const WITHOUT: Duration = Duration::from_millis(500);

/// Runs a program whose only argument is a number of seconds.
///
/// A wrong argument is explained on stderr.
#[must_use]
pub fn run(default_seconds: f64, program: fn(Duration)) -> ExitCode {
    try_run(default_seconds, |time| {
        program(time);
        Ok(())
    })
}

/// As [`run`], for a program that can fail: its error is told on stderr.
#[must_use]
pub fn try_run(default_seconds: f64, program: impl FnOnce(Duration) -> io::Result<()>) -> ExitCode {
    let seconds = std::env::args().nth(1).map_or(Ok(default_seconds), |arg| arg.parse());
    match seconds {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => {
            let Err(error) = program(Duration::from_secs_f64(seconds)) else {
                return ExitCode::SUCCESS;
            };
            tell(&error);
            ExitCode::FAILURE
        }
        _ => {
            tell(&format_args!(
                "the only argument is a number of seconds from 0 to 3600; the default is \
                 {default_seconds}"
            ));
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::print_stderr, reason = "the programs are for a terminal")]
fn tell(error: &dyn fmt::Display) {
    eprintln!("error: {error}");
}

/// Threads that this program can run at once, at least two.
#[must_use]
pub fn cpus() -> usize {
    thread::available_parallelism().map_or(2, usize::from).max(2)
}

/// Lets every one of `threads` threads repeat what `start` gives it, until `time` is over; each does it at least once.
///
/// Returns how often it was done per second, by all of them together. The threads are named `name-1` and so on.
pub fn rate<W: FnMut()>(
    name: &str,
    threads: usize,
    time: Duration,
    start: impl Fn() -> W + Sync,
) -> f64 {
    let begin = Instant::now();
    let work = || {
        let mut work = start();
        let mut done = 0u32;
        while done == 0 || begin.elapsed() < time {
            work();
            done += 1;
        }
        done
    };
    let done: u32 = thread::scope(|scope| {
        let spawn = |number| named(name, number).spawn_scoped(scope, work);
        let workers: Vec<_> = (1..=threads).map(spawn).collect();
        let join = |worker: std::io::Result<thread::ScopedJoinHandle<'_, u32>>| {
            worker.expect("the system has a few threads left").join().expect("no work panics")
        };
        workers.into_iter().map(join).sum()
    });
    f64::from(done) / begin.elapsed().as_secs_f64()
}

/// A thread called `name-number`.
pub fn named(name: &str, number: usize) -> thread::Builder {
    thread::Builder::new().name(format!("{name}-{number}"))
}

/// What the program itself says of its bottleneck: how much faster it was without it.
#[derive(Clone, Copy, Debug)]
pub struct Oracle {
    /// The change that takes the bottleneck away.
    pub change: &'static str,
    /// Calls per second with the bottleneck.
    pub before: f64,
    /// Calls per second without it.
    pub after: f64,
    /// The least gain that shows it, on any machine with two CPUs.
    pub least: f64,
}

impl fmt::Display for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { change, before, after, least } = self;
        let gain = after / before;
        writeln!(f, "{before:.1} per second; {change}: {after:.1} per second")?;
        let verdict = if gain < *least { "does not hold here now" } else { "holds" };
        write!(
            f,
            "oracle: {gain:.2} times as fast, at least {least:.2} expected: the label {verdict}"
        )
    }
}

/// What the program itself says of its bottleneck: which share of the time of its requests it took.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// What took it, behind "of the time".
    pub what: &'static str,
    /// From 0 to 1, by the program's own clocks.
    pub share: f64,
    /// The least share that shows it.
    pub least: f64,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, share, least } = self;
        let verdict = if share < least { "does not hold here now" } else { "holds" };
        let (share, least) = (100.0 * share, 100.0 * least);
        write!(
            f,
            "oracle: {share:.0} % of the time {what}, at least {least:.0} % expected: the label {verdict}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn every_thread_works_at_least_once() {
        let calls = AtomicU32::new(0);
        let rate = rate("test", 3, Duration::ZERO, || {
            || {
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert!(rate > 0.0);
        assert_eq!(calls.into_inner(), 3);
    }

    #[test]
    fn the_oracle_says_whether_the_label_holds() {
        let oracle = Oracle { change: "two locks", before: 10.0, after: 16.0, least: 1.3 };
        assert_eq!(
            oracle.to_string(),
            "10.0 per second; two locks: 16.0 per second\n\
             oracle: 1.60 times as fast, at least 1.30 expected: the label holds"
        );
        let slower = Oracle { after: 12.0, ..oracle }.to_string();
        assert!(slower.ends_with("the label does not hold here now"), "{slower}");
    }

    #[test]
    fn a_share_says_whether_the_label_holds() {
        let share = Share { what: "on the disk", share: 0.82, least: 0.6 };
        assert_eq!(
            share.to_string(),
            "oracle: 82 % of the time on the disk, at least 60 % expected: the label holds"
        );
        let less = Share { share: 0.5, ..share }.to_string();
        assert!(less.ends_with("the label does not hold here now"), "{less}");
    }
}

//! Programs 22 and 23: threads that share one model behind one lock, which is held for 200 µs of every 250 µs: a lock that
//! sleeps, and one that spins.
//!
//! Truth: scheduling. One thread computes, and those that could compute too wait, or keep their CPU busy with asking.

use std::hint::spin_loop;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bottleneck_examples::trial::{cpus, named};
use bottleneck_runtime::span;

use crate::loads::Compute;
use crate::removal::{self, Pass};
use crate::table::Program;
use crate::trial::{Denied, Trial};

/// What a request needs for itself.
const PARSING: Duration = Duration::from_micros(50);
/// What it needs with the lock held.
const BATCH: Duration = Duration::from_micros(200);
/// Requests of a thread in a pass.
const REQUESTS: usize = 200;

/// Programs 22 and 23.
pub const PROGRAMS: &[Program] = &[
    Program::known(
        "22",
        "lock_convoy",
        "scheduling",
        &["lock"],
        "four threads share a lock that is held for four fifths of every request",
        convoy,
    )
    .with_after(),
    Program::known(
        "23",
        "spin_convoy",
        "scheduling",
        &["spin"],
        "the threads of all CPUs spin for a lock that is held most of the time",
        spin_convoy,
    )
    .with_after(),
];

/// How threads wait for each other.
trait Lock: Sync {
    /// Does it while nobody else does.
    fn alone(&self, work: impl FnOnce());
}

/// A lock that sleeps.
#[derive(Default)]
struct Sleeping(Mutex<()>);

impl Lock for Sleeping {
    #[inline(never)]
    fn alone(&self, work: impl FnOnce()) {
        let _held = self.0.lock().expect("no work panics");
        work();
    }
}

/// A lock that never sleeps.
#[derive(Default)]
struct Spinning(AtomicBool);

impl Spinning {
    #[inline(never)]
    fn lock(&self) {
        // Acquire: pairs with the Release at the end, so that one holder sees what the one before it wrote.
        while self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while self.0.load(Ordering::Relaxed) {
                spin_loop();
            }
        }
    }
}

impl Lock for Spinning {
    fn alone(&self, work: impl FnOnce()) {
        self.lock();
        work();
        // Release: pairs with the Acquire in `lock`.
        self.0.store(false, Ordering::Release);
    }
}

/// Lets so many threads serve their requests; the locks are as many as threads, or one.
fn serve<L: Lock>(requests: usize, threads: usize, locks: &[L], seen: bool) -> u64 {
    thread::scope(|scope| {
        for number in 0..threads {
            let lock = &locks[number % locks.len()];
            let work = move || {
                let (mut parser, mut model) = (Compute::taking(PARSING), Compute::taking(BATCH));
                for _ in 0..requests {
                    let _span = seen.then(|| span!("handle"));
                    {
                        let _span = seen.then(|| span!("parse"));
                        parser.run();
                    }
                    let _span = seen.then(|| span!("submit"));
                    lock.alone(|| model.run());
                }
            };
            let thread = named("handler", number + 1).spawn_scoped(scope, work);
            thread.expect("the system has a few threads left");
        }
    });
    (threads * requests) as u64
}

/// After: as many locks as threads.
fn run<L: Lock + Default>(trial: &Trial, threads: usize, least: f64) -> Result<(), Denied> {
    let locks: Vec<L> = (0..threads).map(|_| L::default()).collect();
    // Measured here, in no thread that works.
    drop(Compute::taking(BATCH));
    removal::run(trial, least, |Pass { after, seen }| {
        serve(REQUESTS, threads, if after { &locks } else { &locks[..1] }, seen)
    })
}

fn convoy(trial: &Trial) -> Result<(), Denied> {
    run::<Sleeping>(trial, 4, 0.2)
}

fn spin_convoy(trial: &Trial) -> Result<(), Denied> {
    run::<Spinning>(trial, cpus(), 0.2)
}

/// Program 22 for a mix, with so many requests of each thread: returns the CPU time that they need.
pub(crate) fn convoy_of(requests: usize, seen: bool) -> Duration {
    let served = serve(requests, 4, &[Sleeping::default()], seen);
    (PARSING + BATCH) * u32::try_from(served).expect("a mix has few requests")
}

//! Controls N1 to N3: a program with no dominant cause, a server that nobody asks, and a program that other processes keep
//! from its CPUs.
//!
//! Truth: there is nothing to blame in them. `mixed` and `inconclusive` are right for the first, `none` for the second; for
//! the third a report says that other programs had the CPUs, or abstains.

use std::process::{Child, Command};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use bottleneck_examples::clocks::{Stopwatch, Times};
use bottleneck_examples::trial::{cpus, named};
use bottleneck_runtime::span;

use super::cold_mapping::{Order, Requests};
use crate::loads::{Compute, Stream};
use crate::oracle::{Oracle, time};
use crate::table::{Program, Set};
use crate::trial::{Denied, Trial};

/// What each cause of the balanced program takes.
const EACH: Duration = Duration::from_millis(25);
/// What a request to the idle server takes, and how long there is none.
const REQUEST: Duration = Duration::from_millis(1);
/// See [`REQUEST`].
const PAUSE: Duration = Duration::from_millis(100);
/// What a request takes for which there is no free CPU.
const CROWDED: Duration = Duration::from_millis(5);
/// For how long the processes outside compute, should nobody end them.
const AT_MOST: Duration = Duration::from_secs(120);

/// All controls.
pub const PROGRAMS: &[Program] = &[
    Program::known(
        "N1",
        "balanced",
        "mixed",
        &[],
        "memory, compute, the disk and a lock take a quarter of the time each",
        balanced,
    )
    .or(&["inconclusive", "none"])
    .of(Set::Control),
    Program::known("N2", "idle", "none", &[], "a request of 1 ms comes ten times a second", idle)
        .or(&["inconclusive"])
        .of(Set::Control),
    Program::known(
        "N3",
        "outsiders",
        "scheduling",
        &["interference", "oversubscribed"],
        "other processes compute on all CPUs",
        outsiders,
    )
    .or(&["inconclusive"])
    .of(Set::Control),
];

/// Four causes, none of which takes much more than a quarter.
fn balanced(trial: &Trial) -> Result<(), Denied> {
    let mut requests = Requests::new(Order::Sequential)?;
    requests.make_cold();
    // As much of the file as takes about as long as the other three.
    let whole = time(|| requests.answer(false));
    let part = EACH.as_secs_f64() / whole.as_secs_f64();
    requests.limit_to(part);
    let (mut stream, mut compute) = (Stream::taking(EACH), Compute::taking(EACH));
    let mut parts = [0.0; 4];
    let mut step = |seen: bool, parts: &mut [f64; 4]| {
        requests.make_cold();
        let took = [
            time(|| requests.answer(seen)),
            time(|| {
                let _span = seen.then(|| span!("stream_weights"));
                stream.run();
            }),
            time(|| {
                let _span = seen.then(|| span!("multiply"));
                compute.run();
            }),
            time(|| super::locks::convoy_of(20, seen)),
        ];
        for (part, took) in parts.iter_mut().zip(took) {
            *part += took.as_secs_f64();
        }
    };
    trial.check(|| {
        (0..5).for_each(|_| step(false, &mut parts));
        let largest = parts.iter().copied().fold(0.0, f64::max) / parts.iter().sum::<f64>();
        let res = Oracle::when(largest < 0.4, || {
            format!("one of four causes takes {largest:.2} of the time")
        });
        res.with("largest_share", largest)
    })?;
    parts = [0.0; 4];
    trial.record(|_| {
        step(true, &mut parts);
        1
    });
    let names = ["disk", "memory", "compute", "lock"];
    let whole: f64 = parts.iter().sum();
    let shares: Vec<_> = names.into_iter().zip(parts.map(|part| part / whole)).collect();
    trial.tell("parts", &shares);
    Ok(())
}

/// A worker that waits in `recv`; its clients are timers.
fn idle(trial: &Trial) -> Result<(), Denied> {
    let (sender, queue) = channel::<()>();
    let (answer, answers) = channel::<Times>();
    let work = move || {
        let mut load = Compute::taking(REQUEST);
        while queue.recv().is_ok() {
            let watch = Stopwatch::start();
            {
                let _span = span!("handle");
                load.run();
            }
            if answer.send(watch.stop()).is_err() {
                return;
            }
        }
    };
    named("worker", 1).spawn(work).expect("the system has a thread left");
    trial.check(|| {
        let mut load = Compute::taking(REQUEST);
        let share = time(|| load.run()).as_secs_f64() / PAUSE.as_secs_f64();
        let res = Oracle::when(share <= 0.05, || {
            format!("requests are in flight for {share:.2} of the time, at most 0.05 expected")
        });
        res.with("in_flight_share", share)
    })?;
    let (never, nothing) = channel::<()>();
    let (start, mut busy) = (Instant::now(), Duration::ZERO);
    trial.record(|_| {
        sender.send(()).expect("the worker lives");
        busy += answers.recv().expect("the worker answers").wall;
        let waited = nothing.recv_timeout(PAUSE);
        u64::from(waited == Err(RecvTimeoutError::Timeout))
    });
    drop(never);
    trial.tell("parts", &[("in_flight", busy.as_secs_f64() / start.elapsed().as_secs_f64())]);
    Ok(())
}

/// Processes that compute, two for every CPU; they end when this is dropped.
struct Outsiders(Vec<Child>);

impl Outsiders {
    fn start() -> std::io::Result<Self> {
        let mut res = Self(Vec::new());
        for _ in 0..2 * cpus() {
            let process = Command::new(std::env::current_exe()?).arg("--outsider").spawn()?;
            res.0.push(process);
        }
        Ok(res)
    }
}

impl Drop for Outsiders {
    fn drop(&mut self) {
        for process in &mut self.0 {
            // One that has ended already is as good.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// What a process outside does: it computes until it is ended, or two minutes are over.
pub fn disturb() {
    let start = Instant::now();
    let mut load = Compute::taking(CROWDED);
    while start.elapsed() < AT_MOST {
        load.run();
    }
}

fn outsiders(trial: &Trial) -> Result<(), Denied> {
    let mut load = Compute::taking(CROWDED);
    let outsiders = Outsiders::start().map_err(|why| Denied(format!("nobody disturbs: {why}")))?;
    trial.check(|| {
        let watch = Stopwatch::start();
        (0..20).for_each(|_| load.run());
        let times = watch.stop();
        let share = times.queued.as_secs_f64() / times.wall.as_secs_f64();
        Oracle::when(0.4 <= share, || {
            format!("others have the CPU for {share:.2} of the time, at least 0.4 expected")
        })
        .with_cause(share)
    })?;
    trial.record(|_| {
        let _span = span!("decode");
        load.run();
        1
    });
    drop(outsiders);
    Ok(())
}

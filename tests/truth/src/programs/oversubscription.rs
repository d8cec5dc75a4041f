//! Programs 25 and 25b: four threads for every CPU. Either the other threads compute something for which nobody waits, or
//! each layer needs all of them, and they spin for each other at its end, as the crews of inference engines do.
//!
//! Truth: scheduling. Threads that could run wait for their turn; in 25b the one that all wait for waits behind threads that
//! do nothing but ask for it. Without either (threads that sleep at the end of a layer), four threads for a CPU cost
//! nearly nothing, and the label would be wrong.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bottleneck_examples::trial::{cpus, named};
use bottleneck_runtime::span;

use crate::loads::Compute;
use crate::removal::{self, Pass};
use crate::table::Program;
use crate::trial::{Denied, Trial};

/// Threads per CPU.
const PER_CPU: usize = 4;
/// The work of a request.
const DECODE: Duration = Duration::from_millis(5);
/// Requests of a pass.
const REQUESTS: u64 = 10;
/// The work of a layer, divided among all threads.
const LAYER: Duration = Duration::from_millis(8);
/// Layers of a pass.
const LAYERS: usize = 10;

/// Programs 25 and 25b.
pub const PROGRAMS: &[Program] = &[
    Program::known(
        "25",
        "oversubscription",
        "scheduling",
        &["oversubscribed"],
        "four threads for every CPU compute beside the one that serves requests",
        beside_others,
    )
    .with_after(),
    Program::known(
        "25b",
        "spinning_crew",
        "scheduling",
        &["oversubscribed", "spin"],
        "every layer needs four threads for every CPU, which spin at its end",
        spinning_crew,
    )
    .with_after(),
];

/// After: one CPU is left free.
fn beside_others(trial: &Trial) -> Result<(), Denied> {
    let mut request = Compute::taking(DECODE);
    removal::run(trial, 0.5, |Pass { after, seen }| {
        let others = if after { cpus() - 1 } else { PER_CPU * cpus() };
        serve(others, &mut request, seen)
    })
}

/// Some requests beside so many others.
fn serve(others: usize, request: &mut Compute, seen: bool) -> u64 {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 1..=others {
            let is_over = &is_over;
            let work = move || {
                let mut entry = Compute::taking(Duration::from_millis(1));
                while !is_over.load(Ordering::Relaxed) {
                    let _span = seen.then(|| span!("rebuild_index"));
                    entry.run();
                }
            };
            let thread = named("indexer", number).spawn_scoped(scope, work);
            thread.expect("the system has a few threads left");
        }
        for _ in 0..REQUESTS {
            let _span = seen.then(|| span!("decode", request));
            request.run();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    REQUESTS
}

/// Where threads meet without ever giving the CPU to anybody.
struct Meeting {
    threads: usize,
    arrived: AtomicUsize,
    number: AtomicUsize,
}

impl Meeting {
    #[inline(never)]
    fn wait(&self) {
        let number = self.number.load(Ordering::Relaxed);
        // AcqRel: the last one to come sees what all others did.
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            self.arrived.store(0, Ordering::Relaxed);
            // Release: pairs with the Acquire below, so that all see the count that was set back.
            self.number.store(number + 1, Ordering::Release);
        }
        while self.number.load(Ordering::Acquire) == number {
            spin_loop();
        }
    }
}

/// Program 25 for a mix: serves a request.
pub(crate) fn crowded(request: &mut Compute, seen: bool) {
    serve(PER_CPU * cpus(), request, seen);
}

/// After: one thread for every CPU.
fn spinning_crew(trial: &Trial) -> Result<(), Denied> {
    drop(Compute::taking(LAYER));
    removal::run(trial, 0.4, |Pass { after, seen }| {
        crew(if after { cpus() } else { PER_CPU * cpus() }, seen)
    })
}

fn crew(threads: usize, seen: bool) -> u64 {
    let meeting = Meeting { threads, arrived: AtomicUsize::new(0), number: AtomicUsize::new(0) };
    let share = u32::try_from(threads).expect("threads are counted in 32 bits");
    thread::scope(|scope| {
        for number in 1..=threads {
            let meeting = &meeting;
            let work = move || {
                let mut part = Compute::taking(LAYER / share);
                for _ in 0..LAYERS {
                    let _span = seen.then(|| span!("layer"));
                    {
                        let _span = seen.then(|| span!("part"));
                        part.run();
                    }
                    let _span = seen.then(|| span!("end_of_layer"));
                    meeting.wait();
                }
            };
            let thread = named("crew", number).spawn_scoped(scope, work);
            thread.expect("the system has a few threads left");
        }
    });
    LAYERS as u64
}

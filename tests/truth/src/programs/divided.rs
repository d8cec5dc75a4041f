//! Programs 21 and 26: work that is divided badly among the threads of a pool: one part that is larger than the others, and
//! a stage for which there is one thread only.
//!
//! Truth: scheduling. While one thread computes, those that could help wait for the end of the region. For 26 the kind of the
//! lone stage, compute, is right as well: what it needs is another algorithm, and nothing waits at its end that was asked to
//! help; what matters is that `sample` is named.

use std::time::Duration;

use bottleneck_examples::trial::cpus;
use bottleneck_runtime::span;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::loads::Compute;
use crate::removal::{self, Pass};
use crate::table::Program;
use crate::trial::{Denied, Trial};

/// A small part.
const SMALL: Duration = Duration::from_micros(500);
/// How much larger the large part is.
const LARGER: u32 = 8;
/// A parallel stage, on every thread.
const LAYER: Duration = Duration::from_millis(2);
/// The serial stage: 60 % of a step.
const SERIAL: Duration = Duration::from_millis(3);
/// Steps of a pass.
const STEPS: u64 = 20;

/// Programs 21 and 26.
pub const PROGRAMS: &[Program] = &[
    Program::known(
        "21",
        "imbalance",
        "scheduling",
        &["imbalance"],
        "one part of every layer is eight times as large as the others",
        imbalance,
    )
    .with_after(),
    Program::known(
        "26",
        "serial_stage",
        "scheduling",
        &[],
        "a stage of one thread takes 60 % of the time, between stages of all threads",
        serial_stage,
    )
    .or(&["compute", "mixed"])
    .with_after(),
];

/// As many threads as CPUs.
pub(super) fn pool() -> Result<ThreadPool, Denied> {
    let builder = ThreadPoolBuilder::new().num_threads(cpus());
    let pool = builder.thread_name(|number| format!("pool-{number}")).build();
    pool.map_err(|why| Denied(format!("no pool of threads: {why}")))
}

/// One part for each thread, and the wait for the slowest.
fn layer(pool: &ThreadPool, parts: &mut [Compute], seen: bool) {
    let _span = seen.then(|| span!("layer"));
    pool.install(|| {
        parts.par_iter_mut().with_max_len(1).for_each(|part| {
            let _span = seen.then(|| span!("part"));
            part.run();
        });
    });
}

/// After: the same work in equal parts.
fn imbalance(trial: &Trial) -> Result<(), Denied> {
    let (pool, count) = (pool()?, cpus());
    let threads = u32::try_from(count).expect("CPUs are counted in 32 bits");
    let mut unequal = vec![Compute::taking(SMALL); count];
    unequal[0] = Compute::taking(LARGER * SMALL);
    let mut equal = vec![Compute::taking((LARGER + threads - 1) * SMALL / threads); count];
    removal::run(trial, 0.25, |Pass { after, seen }| {
        for _ in 0..STEPS {
            layer(&pool, if after { &mut equal } else { &mut unequal }, seen);
        }
        STEPS
    })
}

/// After: the serial stage is divided too.
fn serial_stage(trial: &Trial) -> Result<(), Denied> {
    let (pool, count) = (pool()?, cpus());
    let threads = u32::try_from(count).expect("CPUs are counted in 32 bits");
    let mut parts = vec![Compute::taking(LAYER); count];
    let mut whole = Compute::taking(SERIAL);
    let mut divided = vec![Compute::taking(SERIAL / threads); count];
    removal::run(trial, 0.2, |Pass { after, seen }| {
        for _ in 0..STEPS {
            let _span = seen.then(|| span!("step"));
            layer(&pool, &mut parts, seen);
            let _span = seen.then(|| span!("sample"));
            if after {
                pool.install(|| divided.par_iter_mut().with_max_len(1).for_each(Compute::run));
            } else {
                whole.run();
            }
        }
        STEPS
    })
}

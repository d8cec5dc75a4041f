//! Programs P1 and P2: one annotated function that has a pool of threads work for it, which knows nothing of spans.
//!
//! Truth: the kind of what the pool does. The only thread with a span is blocked all of the time.

use bottleneck_examples::trial::cpus;
use bottleneck_runtime::bottleneck;
use rayon::ThreadPool;
use rayon::prelude::*;

use super::divided::pool;
use crate::loads::{Compute, Stream};
use crate::oracle::{Oracle, Stall};
use crate::table::Program;
use crate::trial::{Denied, Trial};
use std::time::Duration;

/// Work of a task of the pool.
const TASK: Duration = Duration::from_micros(300);
/// Tasks of every thread in a pass.
const TASKS: usize = 60;

/// Programs P1 and P2.
pub const PROGRAMS: &[Program] = &[
    Program::known(
        "P1",
        "pool_gemv",
        "memory",
        &["bandwidth"],
        "a pool without spans streams weights for a caller that waits",
        memory,
    ),
    Program::known(
        "P2",
        "pool_gemm",
        "compute",
        &[],
        "a pool without spans multiplies small matrices for a caller that waits",
        compute,
    ),
];

#[bottleneck(request)]
fn forward<L: Send>(pool: &ThreadPool, loads: &mut [L], task: fn(&mut L)) {
    work(pool, loads, task);
}

fn work<L: Send>(pool: &ThreadPool, loads: &mut [L], task: fn(&mut L)) {
    pool.install(|| {
        loads.par_iter_mut().with_max_len(1).for_each(|load| (0..TASKS).for_each(|_| task(load)));
    });
}

fn memory(trial: &Trial) -> Result<(), Denied> {
    let pool = pool()?;
    let stream = Stream::taking(TASK);
    let mut near: Vec<Stream> = (0..cpus()).map(|_| stream.small()).collect();
    let mut loads: Vec<Stream> = (0..cpus()).map(|number| stream.beside(number, cpus())).collect();
    trial.check(|| {
        let near = |_| work(&pool, &mut near, Stream::run);
        Oracle::memory(Stall::beside_others(15, near, |_| work(&pool, &mut loads, Stream::run)))
    })?;
    trial.record(|_| {
        forward(&pool, &mut loads, Stream::run);
        1
    });
    Ok(())
}

fn compute(trial: &Trial) -> Result<(), Denied> {
    let pool = pool()?;
    let mut loads = vec![Compute::taking(TASK); cpus()];
    // The data is 40 KiB for each thread: the first-level cache nearly holds it, and no more is to be shown.
    trial.check(|| Oracle::when(true, String::new))?;
    trial.record(|_| {
        forward(&pool, &mut loads, Compute::run);
        1
    });
    Ok(())
}

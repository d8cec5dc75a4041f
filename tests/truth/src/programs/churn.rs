//! Program 30: 64 MiB of fresh memory for every step, given back at its end.
//!
//! Truth: memory / first-touch. The kernel zeroes every page when it is first written; the time is on a CPU, in page faults.

use std::hint::black_box;

use bottleneck_runtime::span;

use crate::removal::{self, Pass};
use crate::table::Program;
use crate::trial::{Denied, Trial};

/// Bytes of a step: more than any allocator keeps.
const BYTES: usize = 64 << 20;
/// Bytes of a page, of which one value is written: what fills it is no part of the cause.
const PAGE: usize = 4096;

/// Program 30.
pub const PROGRAMS: &[Program] = &[Program::known(
    "30",
    "allocation_churn",
    "memory",
    &["first-touch"],
    "64 MiB of fresh memory for every step",
    run,
)
.with_after()];

#[inline(never)]
fn touch(activations: &mut [u8]) -> u64 {
    for page in activations.chunks_mut(PAGE) {
        page[..256].fill(1);
    }
    black_box(activations).iter().step_by(PAGE).map(|&byte| u64::from(byte)).sum()
}

/// After: one piece of memory for all steps.
fn run(trial: &Trial) -> Result<(), Denied> {
    let mut kept = vec![1; BYTES];
    removal::run(trial, 0.6, |Pass { after, seen }| {
        let _span = seen.then(|| span!("step"));
        if after {
            return touch(&mut kept);
        }
        let _span = seen.then(|| span!("activations"));
        touch(&mut vec![0; BYTES])
    })
}

//! Program 24: a queue of one place between a producer that takes 5 ms for an item and a consumer that takes 1 ms.
//!
//! Truth: scheduling / starved queue. The consumer has nothing to do for four fifths of the time; the producer is to blame.

use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use bottleneck_examples::trial::named;
use bottleneck_runtime::span;

use crate::loads::Compute;
use crate::removal::{self, Pass};
use crate::table::Program;
use crate::trial::{Denied, Trial};

/// The work of the producer on one item.
const PRODUCING: Duration = Duration::from_millis(5);
/// The work of the consumer on it.
const CONSUMING: Duration = Duration::from_millis(1);
/// Items of a pass.
const ITEMS: usize = 30;

/// Program 24.
pub const PROGRAMS: &[Program] = &[Program::known(
    "24",
    "starvation",
    "scheduling",
    &["starved queue"],
    "a consumer of 1 ms waits for a producer of 5 ms",
    run,
)
.with_after()];

/// Items go through the pipeline, made by so many producers.
fn pipeline(producers: usize, items: usize, seen: bool) -> u64 {
    let (sender, queue) = sync_channel(1);
    thread::scope(|scope| {
        for number in 1..=producers {
            let sender = sender.clone();
            let work = move || {
                let mut load = Compute::taking(PRODUCING);
                for item in 0..items / producers {
                    {
                        let _span = seen.then(|| span!("tokenize"));
                        load.run();
                    }
                    sender.send(item).expect("the consumer outlives its producers");
                }
            };
            let thread = named("producer", number).spawn_scoped(scope, work);
            thread.expect("the system has a few threads left");
        }
        // The queue ends with the last producer.
        drop(sender);
        let consume = move || {
            let (mut load, mut consumed) = (Compute::taking(CONSUMING), 0);
            loop {
                let item = {
                    let _span = seen.then(|| span!("next_item"));
                    queue.recv()
                };
                if item.is_err() {
                    return consumed;
                }
                let _span = seen.then(|| span!("infer"));
                load.run();
                consumed += 1;
            }
        };
        let consumer = named("model", 1).spawn_scoped(scope, consume);
        consumer.expect("the system has a few threads left").join().expect("no item panics")
    })
}

/// Program 24 for a mix, with so many items: returns the CPU time that they need.
pub(crate) fn starved(items: u32, seen: bool) -> Duration {
    pipeline(1, items as usize, seen);
    (PRODUCING + CONSUMING) * items
}

/// After: two producers.
fn run(trial: &Trial) -> Result<(), Denied> {
    // Measured here, in no thread that works.
    drop(Compute::taking(CONSUMING));
    removal::run(trial, 0.2, |Pass { after, seen }| {
        pipeline(if after { 2 } else { 1 }, ITEMS, seen)
    })
}

//! Serves requests from four threads that share one batcher behind one lock.
//!
//! Verdict: scheduling / lock
//! Start at: `Batcher::submit`
//!
//! Why that holds by construction: a request takes 250 µs on a CPU, 200 µs of them with the lock held. So the lock is taken
//! nearly all the time: one thread computes, and the others wait behind it while CPUs idle. However many CPUs there are,
//! no more than one batch is computed at a time, and nothing but the lock demands that.
//!
//! What helps: hold the lock to hand over the request only, and compute the batch outside of it. The oracle gives every
//! thread a batcher of its own: with two CPUs the requests are served 1.6 times as fast or more, with four 3.2 times.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use bottleneck_examples::portion::{Portion, Products};
use bottleneck_examples::trial::{self, Oracle};
use bottleneck_runtime::bottleneck;

/// Threads that serve requests: as many as a small server has, on any machine.
const HANDLERS: usize = 4;
/// What a request needs for itself.
const PARSING: Duration = Duration::from_micros(50);
/// What it needs from the batcher.
const BATCH: Duration = Duration::from_micros(200);

/// Computes one batch at a time.
struct Batcher {
    model: Mutex<Products>,
    batch: Portion,
}

fn main() -> ExitCode {
    trial::run(3.0, serve)
}

fn serve(time: Duration) {
    let text = Portion::taking(PARSING);
    let shared = Batcher::new();
    let before = trial::rate("handler", HANDLERS, time, || {
        let mut parser = Products::new();
        let shared = &shared;
        move || handle(&mut parser, text, shared)
    });

    let after = trial::rate("unshared", HANDLERS, trial::WITHOUT, || {
        let mut parser = Products::new();
        let own = Batcher::new();
        move || {
            parser.compute(text);
            own.compute();
        }
    });
    println!("{}", Oracle { change: "a batcher for every thread", before, after, least: 1.3 });
}

/// Serves one request.
#[bottleneck(request)]
fn handle(parser: &mut Products, text: Portion, batcher: &Batcher) {
    parse(parser, text);
    batcher.submit();
}

/// Reads the request: nobody waits for anybody here.
#[bottleneck(flops = text.flops(), bytes = Portion::BYTES, dtype = f32)]
fn parse(parser: &mut Products, text: Portion) {
    parser.compute(text);
}

impl Batcher {
    fn new() -> Self {
        Self { model: Mutex::new(Products::new()), batch: Portion::taking(BATCH) }
    }

    /// Answers one request. The mistake: the whole batch is computed with the lock held.
    #[bottleneck(flops = self.batch.flops(), bytes = Portion::BYTES, dtype = f32)]
    fn submit(&self) {
        self.compute();
    }

    fn compute(&self) {
        let mut model = self.model.lock().expect("no batch panics");
        model.compute(self.batch);
    }
}

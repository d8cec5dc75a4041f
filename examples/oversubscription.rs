//! Serves requests on one thread, while far too many others rebuild an index at the same priority.
//!
//! Verdict: scheduling / oversubscribed
//! Start at: `decode`
//!
//! Why that holds by construction: for every CPU there are four threads that compute without a pause. The scheduler gives all
//! threads the same, so the one that serves requests has a CPU for a fifth of the time. For the rest it could run, and waits
//! for its turn.
//!
//! What helps: no more threads than CPUs, or a lower priority for work that nobody waits for. The oracle leaves one CPU free
//! of background work: requests are served about four times as fast.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bottleneck_examples::portion::{Portion, Products};
use bottleneck_examples::trial::{self, Oracle};
use bottleneck_runtime::bottleneck;

/// Background threads per CPU.
const PER_CPU: usize = 4;
/// The work of a request.
const DECODE: Duration = Duration::from_millis(5);
/// The work on one entry of the index.
const ENTRY: Duration = Duration::from_millis(1);

/// Some work of this size.
type Work = fn(&mut Products, Portion);

fn main() -> ExitCode {
    trial::run(3.0, |time| {
        let cpus = trial::cpus();
        let before = serve(time, PER_CPU * cpus, decode, rebuild_index);
        let after = serve(trial::WITHOUT, cpus - 1, Products::compute, Products::compute);
        println!(
            "{}",
            Oracle { change: "one CPU without background work", before, after, least: 2.5 }
        );
    })
}

/// Serves requests beside so many background threads; returns requests per second.
fn serve(time: Duration, background: usize, decode: Work, rebuild: Work) -> f64 {
    let (request, entry) = (Portion::taking(DECODE), Portion::taking(ENTRY));
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let ended = &ended;
        let work = move || {
            let mut products = Products::new();
            while !ended.load(Ordering::Relaxed) {
                rebuild(&mut products, entry);
            }
        };
        for number in 1..=background {
            let thread = trial::named("indexer", number).spawn_scoped(scope, work);
            thread.expect("the system has a few threads left");
        }
        let rate = trial::rate("server", 1, time, || {
            let mut products = Products::new();
            move || decode(&mut products, request)
        });
        ended.store(true, Ordering::Relaxed);
        rate
    })
}

/// Serves one request: somebody waits for it.
#[bottleneck(request, flops = request.flops(), bytes = Portion::BYTES, dtype = f32)]
fn decode(products: &mut Products, request: Portion) {
    products.compute(request);
}

/// One step of the background work: nobody waits for it.
#[bottleneck(flops = entry.flops(), bytes = Portion::BYTES, dtype = f32)]
fn rebuild_index(products: &mut Products, entry: Portion) {
    products.compute(entry);
}

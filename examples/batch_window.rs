//! Collects requests for a fixed window of time, although all clients that there are wait for it already.
//!
//! Verdict: scheduling / timer
//! Start at: `collect_batch`
//!
//! Why that holds by construction: two clients ask again as soon as they have their answer, so a batch is complete within
//! microseconds. The batcher then waits for the rest of its window of 10 ms; nobody can come, and all CPUs idle. The model
//! needs 1 ms for the batch, a tenth of that.
//!
//! What helps: end the window as soon as everybody who can ask waits, or the model has nothing else to do. The oracle ends it
//! with the second request: the same clients get about nine times as many answers.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bottleneck_examples::portion::{Portion, Products};
use bottleneck_examples::trial::{self, Oracle};
use bottleneck_runtime::bottleneck;

/// Clients, each of which waits for an answer before it asks again.
const CLIENTS: usize = 2;
/// For how long a batch is collected. Right for many clients who ask at random times, too long for two.
const WINDOW: Duration = Duration::from_millis(10);
/// The work of a batch.
const BATCH: Duration = Duration::from_millis(1);

/// A question: where the answer goes.
struct Request {
    reply: Sender<()>,
}

/// What client and batcher do, with spans or without.
struct Steps {
    ask: fn(&Sender<Request>),
    collect: fn(Request, &Receiver<Request>) -> Vec<Request>,
    run: fn(&mut Products, Portion),
}

const OBSERVED: Steps = Steps { ask, collect: collect_batch, run: run_batch };

/// For the oracle, which is no part of the profile.
const UNOBSERVED: Steps = Steps {
    ask: send_and_wait,
    collect: |first, queue| collect(first, queue, CLIENTS),
    run: Products::compute,
};

fn main() -> ExitCode {
    trial::run(3.0, |time| {
        let before = serve(time, &OBSERVED);
        let after = serve(trial::WITHOUT, &UNOBSERVED);
        println!(
            "{}",
            Oracle { change: "batches end when they are full", before, after, least: 3.0 }
        );
    })
}

/// Lets all clients ask for some time; returns answers per second.
fn serve(time: Duration, steps: &'static Steps) -> f64 {
    let (sender, queue) = channel();
    let portion = Portion::taking(BATCH);
    let batcher = trial::named("batcher", 1).spawn(move || answer(&queue, portion, steps));
    let rate = trial::rate("client", CLIENTS, time, || {
        let sender = sender.clone();
        move || (steps.ask)(&sender)
    });
    drop(sender);
    batcher.expect("the system has a few threads left").join().expect("the batcher never panics");
    rate
}

/// The loop of the batcher. Between two batches, when nobody asks, no span is open.
fn answer(queue: &Receiver<Request>, portion: Portion, steps: &Steps) {
    let mut products = Products::new();
    while let Ok(first) = queue.recv() {
        let batch = (steps.collect)(first, queue);
        (steps.run)(&mut products, portion);
        for request in batch {
            // A client that left needs no answer.
            let _ = request.reply.send(());
        }
    }
}

/// Adds what comes within the window to the first request. The mistake: it never ends early.
#[bottleneck]
fn collect_batch(first: Request, queue: &Receiver<Request>) -> Vec<Request> {
    collect(first, queue, usize::MAX)
}

/// Collects until the end of the window, or so many requests.
fn collect(first: Request, queue: &Receiver<Request>, most: usize) -> Vec<Request> {
    let end = Instant::now() + WINDOW;
    let mut batch = vec![first];
    while batch.len() < most {
        let left = end.saturating_duration_since(Instant::now());
        let Ok(next) = queue.recv_timeout(left) else { break };
        batch.push(next);
    }
    batch
}

/// Runs the model on all requests of a batch at once.
#[bottleneck(flops = portion.flops(), bytes = Portion::BYTES, dtype = f32)]
fn run_batch(products: &mut Products, portion: Portion) {
    products.compute(portion);
}

/// A client's view: what it waits for.
#[bottleneck(request)]
fn ask(queue: &Sender<Request>) {
    send_and_wait(queue);
}

fn send_and_wait(queue: &Sender<Request>) {
    let (reply, answer) = channel();
    queue.send(Request { reply }).expect("the batcher outlives its clients");
    answer.recv().expect("the batcher answers everybody");
}

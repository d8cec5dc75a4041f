//! Feeds a fast model from one slow thread, through a queue that is nearly always empty.
//!
//! Verdict: scheduling / starved queue
//! Start at: `tokenize`
//!
//! Why that holds by construction: a document takes 5 ms to tokenize and 1 ms to infer, on threads of their own. So the model
//! waits for its input for four fifths of the time, while the CPU that it could use idles. Nothing about the model can
//! help, and a longer queue neither: it would be as empty.
//!
//! What helps: more threads that tokenize. The oracle has two of them: with two CPUs the documents are done 1.7 times as
//! fast, with more CPUs twice.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use bottleneck_examples::portion::{Portion, Products};
use bottleneck_examples::trial::{self, Oracle};
use bottleneck_runtime::bottleneck;

/// The work of the producer on one document.
const TOKENIZE: Duration = Duration::from_millis(5);
/// The work of the model on it.
const INFER: Duration = Duration::from_millis(1);

/// A document that is ready for the model.
struct Tokens;

/// The steps of the pipeline, with spans or without.
struct Steps {
    tokenize: fn(&mut Products, Portion) -> Tokens,
    next: fn(&Receiver<Tokens>) -> Option<Tokens>,
    infer: fn(&mut Products, Portion, Tokens),
}

const OBSERVED: Steps = Steps { tokenize, next: next_item, infer };

/// For the oracle, which is no part of the profile.
const UNOBSERVED: Steps = Steps {
    tokenize: |products, portion| {
        products.compute(portion);
        Tokens
    },
    next: |queue| queue.recv().ok(),
    infer: |products, portion, Tokens| products.compute(portion),
};

fn main() -> ExitCode {
    trial::run(3.0, |time| {
        let before = pipeline(1, time, &OBSERVED);
        let after = pipeline(2, trial::WITHOUT, &UNOBSERVED);
        println!("{}", Oracle { change: "two producers", before, after, least: 1.25 });
    })
}

/// Lets producers and the model work side by side for some time; returns documents per second.
fn pipeline(producers: usize, time: Duration, steps: &Steps) -> f64 {
    let (text, tokens) = (Portion::taking(TOKENIZE), Portion::taking(INFER));
    let (sender, queue) = sync_channel(1);
    let begin = Instant::now();
    let documents = thread::scope(|scope| {
        for number in 1..=producers {
            let sender = sender.clone();
            let work = move || produce(&sender, text, begin + time, steps);
            let producer = trial::named("producer", number).spawn_scoped(scope, work);
            producer.expect("the system has a few threads left");
        }
        // The queue ends with the last producer.
        drop(sender);
        let consume = move || consume(&queue, tokens, steps);
        let model = trial::named("model", 1).spawn_scoped(scope, consume);
        model.expect("the system has a few threads left").join().expect("the model never panics")
    });
    f64::from(documents) / begin.elapsed().as_secs_f64()
}

fn produce(queue: &SyncSender<Tokens>, text: Portion, until: Instant, steps: &Steps) {
    let mut products = Products::new();
    loop {
        let tokens = (steps.tokenize)(&mut products, text);
        if queue.send(tokens).is_err() || until <= Instant::now() {
            return;
        }
    }
}

fn consume(queue: &Receiver<Tokens>, tokens: Portion, steps: &Steps) -> u32 {
    let mut products = Products::new();
    let mut documents = 0;
    while let Some(document) = (steps.next)(queue) {
        (steps.infer)(&mut products, tokens, document);
        documents += 1;
    }
    documents
}

/// Turns a document into tokens.
#[bottleneck(flops = text.flops(), bytes = Portion::BYTES, dtype = f32)]
fn tokenize(products: &mut Products, text: Portion) -> Tokens {
    products.compute(text);
    Tokens
}

/// Waits for a document.
#[bottleneck]
fn next_item(queue: &Receiver<Tokens>) -> Option<Tokens> {
    queue.recv().ok()
}

/// Runs the model on one document.
#[bottleneck(flops = tokens.flops(), bytes = Portion::BYTES, dtype = f32)]
fn infer(products: &mut Products, tokens: Portion, _document: Tokens) {
    products.compute(tokens);
}

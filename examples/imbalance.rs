//! Divides every layer of a model among all CPUs, but one part is eight times as large as the others.
//!
//! Verdict: scheduling / imbalance
//! Start at: `part`
//!
//! Why that holds by construction: a layer ends when its last part does. The largest part takes eight times as long as every
//! other one, so for seven eighths of the time one thread computes and all others wait for it at the end of the layer.
//!
//! What helps: parts of equal size, or so many small parts that whoever is done takes the next one. The oracle divides the
//! same work equally: with two CPUs a layer then takes 56 % of the time, with eight 23 %.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::process::ExitCode;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bottleneck_examples::portion::{Portion, Products};
use bottleneck_examples::trial::{self, Oracle};
use bottleneck_runtime::bottleneck;

/// A small part. An expert of a mixture that few tokens ask for, say; the large one is the favorite of all.
const SMALL: Duration = Duration::from_micros(500);
/// How much larger the large part is.
const LARGER: u32 = 8;

/// The threads of a model, which meet at the end of every layer.
struct Crew {
    end_of_layer: Barrier,
    /// The number of the last layer; decided while it is computed.
    last: AtomicUsize,
    until: Instant,
}

fn main() -> ExitCode {
    trial::run(3.0, |time| {
        let threads = u32::try_from(trial::cpus()).expect("CPUs are counted in 32 bits");
        let mut parts = vec![SMALL; threads as usize];
        parts[0] = LARGER * SMALL;
        let before = infer(&parts, time, layer);
        let equal = vec![(LARGER + threads - 1) * SMALL / threads; threads as usize];
        let after = infer(&equal, trial::WITHOUT, unobserved_layer);
        println!(
            "{}",
            Oracle { change: "equal parts of the same work", before, after, least: 1.25 }
        );
    })
}

/// Computes layer after layer, each of them divided into these parts; returns layers per second.
fn infer(parts: &[Duration], time: Duration, layer: fn(&mut Products, Portion, &Barrier)) -> f64 {
    let begin = Instant::now();
    let crew = Crew {
        end_of_layer: Barrier::new(parts.len()),
        last: AtomicUsize::new(usize::MAX),
        until: begin + time,
    };
    let layers = thread::scope(|scope| {
        let spawn = |(number, part): (usize, &Duration)| {
            let (crew, portion) = (&crew, Portion::taking(*part));
            let work = move || crew.work(number == 0, portion, layer);
            let worker = trial::named("worker", number + 1).spawn_scoped(scope, work);
            worker.expect("the system has a thread left for every CPU")
        };
        let workers: Vec<_> = parts.iter().enumerate().map(spawn).collect();
        let layers = workers.into_iter().map(|worker| worker.join().expect("no part panics"));
        layers.max().unwrap_or(0)
    });
    layers as f64 / begin.elapsed().as_secs_f64()
}

impl Crew {
    /// What one thread does; returns the number of layers.
    fn work(
        &self,
        decides: bool,
        portion: Portion,
        layer: fn(&mut Products, Portion, &Barrier),
    ) -> usize {
        let mut products = Products::new();
        for number in 0.. {
            // Told before the barrier of that very layer: behind it, all threads agree.
            if decides && self.until <= Instant::now() {
                self.last.store(number, Ordering::Relaxed);
            }
            layer(&mut products, portion, &self.end_of_layer);
            if number == self.last.load(Ordering::Relaxed) {
                return number + 1;
            }
        }
        unreachable!("the time ends before the numbers do")
    }
}

/// One thread's share of a layer, and the wait for the others.
#[bottleneck]
fn layer(products: &mut Products, portion: Portion, end_of_layer: &Barrier) {
    part(products, portion);
    wait_for_others(end_of_layer);
}

/// What the thread computes.
#[bottleneck(flops = portion.flops(), bytes = Portion::BYTES, dtype = f32)]
fn part(products: &mut Products, portion: Portion) {
    products.compute(portion);
}

/// The end of the layer: the next one needs the results of all parts.
#[bottleneck(name = "end_of_layer")]
fn wait_for_others(end_of_layer: &Barrier) {
    end_of_layer.wait();
}

/// The same for the oracle, which is no part of the profile.
fn unobserved_layer(products: &mut Products, portion: Portion, end_of_layer: &Barrier) {
    products.compute(portion);
    end_of_layer.wait();
}

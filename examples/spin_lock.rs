//! Makes tokens on all CPUs, one at a time: the others spin until the lock is free.
//!
//! Verdict: scheduling / spin
//! Start at: `SpinLock::lock`
//!
//! Why that holds by construction: a token takes 220 µs, 200 µs of them with the lock held. So one thread computes, and all
//! others ask in a loop whether it is done. Every CPU is busy, as if all of them computed, and nothing comes of it: with
//! two CPUs nearly half of the time of the threads is lost, with eight seven eighths.
//!
//! What helps: a lock for each thing that is independent, here a sequence per thread; where there is none, a lock that
//! sleeps, so that others get the CPU. The oracle gives every thread a sequence of its own: with two CPUs the tokens are
//! made 1.8 times as fast, with eight 7 times.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::hint::spin_loop;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bottleneck_examples::portion::{Portion, Products};
use bottleneck_examples::trial::{self, Oracle};
use bottleneck_runtime::bottleneck;

/// The work under the lock.
const STEP: Duration = Duration::from_micros(200);
/// The work without it.
const SAMPLE: Duration = Duration::from_micros(20);

/// A lock that never sleeps.
#[derive(Default)]
struct SpinLock {
    taken: AtomicBool,
}

/// The lock is free again when this is dropped.
struct SpinGuard<'a> {
    lock: &'a SpinLock,
}

/// What the threads make tokens for.
#[derive(Default)]
struct Sequence {
    lock: SpinLock,
    tokens: AtomicU64,
}

fn main() -> ExitCode {
    trial::run(3.0, generate)
}

fn generate(time: Duration) {
    let (step, sample) = (Portion::taking(STEP), Portion::taking(SAMPLE));
    let shared = Sequence::default();
    let before = trial::rate("decoder", trial::cpus(), time, || {
        let mut products = Products::new();
        let shared = &shared;
        move || token(&mut products, (step, sample), shared)
    });

    let after = trial::rate("apart", trial::cpus(), trial::WITHOUT, || {
        let mut products = Products::new();
        let own = Sequence::default();
        move || {
            let guard = own.lock.spin();
            products.compute(step);
            own.append();
            drop(guard);
            products.compute(sample);
        }
    });
    println!("{} tokens", shared.tokens.into_inner());
    println!("{}", Oracle { change: "a sequence for every thread", before, after, least: 1.3 });
}

/// Makes one token.
#[bottleneck(request)]
fn token(products: &mut Products, (step, sampling): (Portion, Portion), sequence: &Sequence) {
    let guard = sequence.lock.lock();
    decode_step(products, step);
    sequence.append();
    drop(guard);
    sample(products, sampling);
}

/// The work that the lock protects.
#[bottleneck(flops = step.flops(), bytes = Portion::BYTES, dtype = f32)]
fn decode_step(products: &mut Products, step: Portion) {
    products.compute(step);
}

/// The work that needs no lock.
#[bottleneck(flops = sampling.flops(), bytes = Portion::BYTES, dtype = f32)]
fn sample(products: &mut Products, sampling: Portion) {
    products.compute(sampling);
}

impl Sequence {
    /// Read and written apart: only with the lock held no token is lost.
    fn append(&self) {
        let tokens = self.tokens.load(Ordering::Relaxed);
        self.tokens.store(tokens + 1, Ordering::Relaxed);
    }
}

impl SpinLock {
    /// Waits, without ever giving the CPU to anybody.
    #[bottleneck]
    fn lock(&self) -> SpinGuard<'_> {
        self.spin()
    }

    fn spin(&self) -> SpinGuard<'_> {
        // Acquire: pairs with the Release of the guard, so that one holder sees what the one before it wrote.
        while self
            .taken
            .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            while self.taken.load(Ordering::Relaxed) {
                spin_loop();
            }
        }
        SpinGuard { lock: self }
    }
}

impl Drop for SpinGuard<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `spin`.
        self.lock.taken.store(false, Ordering::Release);
    }
}

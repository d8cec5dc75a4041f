//! A program whose loads are known to the byte: one loop in assembly, which a test can write the recipe of.
//!
//! - `walker stable SECONDS`: walks over one buffer again and again.
//! - `walker pool SECONDS`: threads without spans walk, and a span waits for them.
#![expect(clippy::print_stdout, reason = "tells the test what it did")]

use std::time::{Duration, Instant};

use bottleneck_runtime::span;
use bottleneck_tests::walk;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let seconds: f64 = args.get(1).and_then(|it| it.parse().ok()).unwrap_or(1.0);
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    match args.first().map(String::as_str) {
        Some("stable") => stable(until),
        Some("pool") => pool(until),
        other => panic!("no mode {other:?}"),
    }
}

fn stable(until: Instant) {
    let large = vec![1_u64; 16 << 20];
    let small = vec![1_u64; 2048];
    let (mut sum, mut rounds) = (0_u64, 0_u64);
    while Instant::now() < until {
        {
            let _span = span!("large");
            sum = sum.wrapping_add(walk(&large, 8));
        }
        {
            let _span = span!("small");
            for _ in 0..10_000 {
                sum = sum.wrapping_add(walk(&small, 1));
            }
        }
        rounds += 1;
    }
    println!("{rounds} {}", sum == rounds * ((2 << 20) + 2048 * 10_000));
}

fn pool(until: Instant) {
    let _span = span!("waits");
    let threads: Vec<_> = (0..2)
        .map(|_| {
            std::thread::spawn(move || {
                let data = vec![1_u64; 1 << 20];
                while Instant::now() < until {
                    walk(&data, 8);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("the thread does not panic");
    }
}

//! Samples of threads, the data that they wait for, and timed loads of it: in real programs, with a partner that knows their
//! code.
#![cfg(target_arch = "x86_64")]
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use bottleneck_runtime::format::accesses::{FLAG_ADOPTED, FLAG_EXTRAPOLATED};
use bottleneck_tests::partner::{Tables, accompany};
use bottleneck_tests::{Recorded, profiles};

fn start(directory: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_walker"))
        .args(arguments)
        .env("BOTTLENECK_RUN_DIR", directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs the program with a partner, and reads what it left.
fn run(arguments: &[&str]) -> (Tables, Recorded, Output) {
    let directory = tempfile::tempdir().unwrap();
    let child = start(directory.path(), arguments);
    let is_over = AtomicBool::new(false);
    let profile = directory.path().join("run.bneck");
    let output = std::thread::scope(|scope| {
        scope.spawn(|| accompany(&profile, &is_over));
        let output = child.wait_with_output().unwrap();
        is_over.store(true, Ordering::Relaxed);
        output
    });
    assert!(output.status.success(), "{output:?}");
    let bytes = std::fs::read(&profiles(directory.path())[0]).unwrap();
    (Tables::read(&bytes), Recorded::of_run(directory.path()), output)
}

#[test]
fn loads_of_a_large_buffer_are_far_and_those_of_a_small_one_are_near() {
    let (tables, recorded, output) = run(&["stable", "3"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("true"), "{output:?}");
    let head = &tables.head;
    println!("{head:?} {:?}", tables.capabilities);
    assert_eq!((head.faults, head.is_probing), (0, 1), "{:?}", tables.capabilities);
    let latencies = |path: &str, flags: u32| {
        let node = recorded.reference(path);
        let mut res: Vec<u32> = tables
            .accesses
            .iter()
            .filter(|it| it.node == node && it.flags & FLAG_EXTRAPOLATED == flags)
            .flat_map(|it| [it.latency_0, it.latency_1])
            .filter(|&it| it != 0)
            .collect();
        res.sort_unstable();
        res
    };
    for path in ["main/large", "main/small"] {
        for flags in [0, FLAG_EXTRAPOLATED] {
            let sorted = latencies(path, flags);
            if let (Some(low), Some(mid), Some(high)) = (
                sorted.get(sorted.len() / 10),
                sorted.get(sorted.len() / 2),
                sorted.get(sorted.len() * 9 / 10),
            ) {
                println!("{path} {flags} n {} p10 {low} median {mid} p90 {high}", sorted.len());
            }
        }
    }
    let (large, small) = (latencies("main/large", 0), latencies("main/small", 0));
    assert!(20 < large.len() && 20 < small.len(), "{} {}", large.len(), small.len());
    assert!(small[small.len() / 2] < large[large.len() / 2]);
}

#[test]
fn samples_of_threads_without_spans_belong_to_the_span_that_waits_for_them() {
    let (tables, recorded, _) = run(&["pool", "2"]);
    let node = recorded.reference("main/waits");
    let adopted: u64 = tables
        .samples
        .iter()
        .filter(|it| it.node == node && it.flags & 4 != 0)
        .map(|it| it.count)
        .sum();
    println!("{:?} adopted {adopted}", tables.head);
    assert!(tables.head.samples * 8 / 10 < adopted, "{adopted} of {}", tables.head.samples);
    assert!(tables.accesses.iter().any(|it| it.flags & FLAG_ADOPTED != 0 && it.node == node));
}

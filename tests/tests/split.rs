//! On-CPU and off-CPU time against the thread's own clock. A file of its own, so that no other test runs meanwhile.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may fail by a panic, and says what it skips"
)]

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;

use bottleneck_tests::Recorded;

/// One measurement at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_probe"))
        .args(arguments)
        .env("BOTTLENECK_RUN_DIR", directory)
        .output()
        .expect("the probe starts");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn record(arguments: &[&str]) -> (Recorded, Output) {
    let _alone = ALONE.lock();
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), arguments);
    (Recorded::of_run(directory.path()), output)
}

/// Wall and CPU time in ns that the program printed, one line a thread.
fn own_account(output: &Output) -> Vec<(f64, f64)> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let number = |text: &str| text.parse().unwrap();
    text.lines()
        .map(|line| line.split_once(' ').map(|(a, b)| (number(a), number(b))).unwrap())
        .collect()
}

/// Time off the CPU below a path of each thread, in ns, and the wall time of the path.
fn off(recorded: &Recorded, from: &str) -> (f64, f64) {
    let below = recorded.nodes.iter().filter(|(path, _)| path.contains(from));
    let off: u64 = below.map(|(_, node)| node.blocked_ns + node.preempted_ns).sum();
    let wall: f64 = recorded
        .nodes
        .iter()
        .filter(|(path, _)| path.ends_with(from))
        .map(|(_, node)| recorded.ns(node.total))
        .sum();
    (off as f64, wall)
}

fn has_switch_records(recorded: &Recorded) -> bool {
    let has = recorded.trees.iter().all(|tree| tree.refused_errno == 0);
    if !has {
        eprintln!("SKIP: this kernel refuses context-switch records here");
    }
    has
}

#[track_caller]
fn within(share: f64, got: f64, expected: f64, of: f64) {
    assert!(
        (got - expected).abs() <= share * of,
        "{got} is not within {share} of {expected} (of {of})"
    );
}

#[test]
fn sleeping_spinning_and_contended_threads_agree_with_their_clocks() {
    for (probe, from) in [
        (["sleep", "100"], "/nap"),
        (["spin", "200"], "/busy"),
        (["mixed", ""], "/busy"),
        (["contended", ""], "/busy"),
    ] {
        let stolen_before = stolen_ns();
        let (recorded, output) = record(&probe);
        // What the hypervisor took is on no thread's clock, and in no record either.
        let stolen = stolen_ns() - stolen_before;
        if !has_switch_records(&recorded) {
            return;
        }
        let (wall, cpu) =
            own_account(&output).iter().fold((0.0, 0.0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
        let (off, recorded_wall) = off(&recorded, from);
        eprintln!(
            "{probe:?}: wall {wall:.0} {recorded_wall:.0}, on CPU {cpu:.0} {:.0}",
            recorded_wall - off
        );
        within(0.01, recorded_wall, wall, wall);
        // Of the CPU time itself, and 0.2 ms for what the program does between its own clock and its span.
        within(0.01, recorded_wall - off, cpu, cpu + 2e7 + 100.0 * stolen);
    }
}

/// Time that the hypervisor gave to others, of all CPUs, rounded up to the kernel's ticks.
fn stolen_ns() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = text
        .split_ascii_whitespace()
        .nth(8)
        .and_then(|field| field.parse::<f64>().ok())
        .unwrap_or(0.0);
    ticks * 1e7
}

#[test]
fn ten_thousand_waits_in_one_span_lose_nothing() {
    let (recorded, output) = record(&["waits", "10000"]);
    if !has_switch_records(&recorded) {
        return;
    }
    let (wall, cpu) = own_account(&output)[0];
    let (off, _) = off(&recorded, "main/nap");
    let waits = recorded.node("main/nap").blocked_count;
    // Whoever is held up for as long as the answer takes, by an interrupt or another program, does not wait for it.
    assert!(waits >= 9_800, "{waits}");
    within(0.01, wall - off, cpu, wall);
    assert_eq!(recorded.header.lost_switches, 0);
}

#[test]
fn without_switch_records_the_thread_clock_tells_within_five_percent() {
    for probe in ["mixed", "contended"] {
        let (recorded, output) = record(&["no-perf", probe]);
        assert!(
            recorded
                .trees
                .iter()
                .all(|tree| tree.refused_errno == libc::EPERM as u64 && tree.refused_call == 1)
        );
        let (wall, cpu) =
            own_account(&output).iter().fold((0.0, 0.0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
        let measured: u64 = recorded
            .nodes
            .iter()
            .filter(|(path, _)| path.ends_with("/busy"))
            .map(|(_, node)| node.cpu_ns)
            .sum();
        within(0.05, measured as f64, cpu, wall);
    }
}

//! `gpu_decode` with planted faults, on the simulated device: the right kind, the right rule, and the right amounts.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::sync::{Mutex, PoisonError};

use bottleneck_tests::gpu::{Decoded, decode};
use bottleneck_tests::summary::check;
use cuda_sim::harness::Machine;
use serde_json::Value;

/// The simulated device keeps to the clock of the machine: beside another run the host would come late for real.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn run(arguments: &[&str]) -> (Decoded, Value) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine::new().unwrap().with("data=0");
    let decoded = decode(&machine, arguments);
    assert_eq!(decoded.ran.code, Some(0), "{}", decoded.ran.stderr);
    let summary = decoded.summary();
    (decoded, summary)
}

/// Names of the rules, the most time at stake first.
fn rules(summary: &Value) -> Vec<&str> {
    let rules = summary["gpu"]["rules"].as_array().unwrap();
    rules.iter().map(|it| it["rule"].as_str().unwrap()).collect()
}

#[track_caller]
fn about(found: f64, truth: f64, what: &str) {
    assert!((found / truth - 1.0).abs() < 0.05, "{what}: {found} instead of {truth}");
}

#[track_caller]
fn faulty(fault: &str, kind: &str, rule: &str, tokens: &str) -> (Decoded, Value) {
    let (decoded, summary) = run(&["--fault", fault, "--tokens", tokens]);
    let verdict = &summary["verdict"];
    assert_eq!(verdict["kind"], kind, "{fault}: {:#}\n{:#}", summary["gpu"], verdict);
    if !rule.is_empty() {
        assert_eq!(rules(&summary).first(), Some(&rule), "{fault}: {:#}", summary["gpu"]);
    }
    (decoded, summary)
}

/// Time of a rule, in ns.
fn at_stake(summary: &Value, rule: &str) -> f64 {
    let rules = summary["gpu"]["rules"].as_array().unwrap();
    rules.iter().find(|it| it["rule"] == rule).unwrap()["ns"].as_f64().unwrap()
}

#[test]
fn without_a_fault_no_rule_is_broken_and_amounts_are_right() {
    let (decoded, summary) = run(&["--tokens", "600"]);
    check(&summary);
    assert_eq!(rules(&summary), Vec::<&str>::new(), "{:#}", summary["gpu"]);
    let device = &summary["gpu"]["devices"][0];
    about(
        device["kernels_ns"].as_f64().unwrap(),
        decoded.truth_ns("kernel", "start", "end") as f64,
        "kernels",
    );
    let copies: f64 = summary["gpu"]["copies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["ns"].as_f64().unwrap())
        .sum();
    about(copies, decoded.truth_ns("copy", "start", "end") as f64, "copies");
    assert!(device["copy_overlap"].as_f64().unwrap() > 0.5, "{device:#}");
}

#[test]
fn a_host_that_computes_between_tokens_starves_the_device() {
    let (_, summary) = faulty("host-starved", "io", "host-starved", "300");
    let verdict = &summary["verdict"];
    assert_eq!(verdict["subkind"], "starved by host");
    let span = summary["spans"].as_array().unwrap().iter().find(|it| it["id"] == verdict["span"]);
    assert_eq!(span.unwrap()["name"], "prepare", "{verdict:#}");
    // 2 ms for each token but the last.
    about(at_stake(&summary, "host-starved"), 299.0 * 2e6, "starved");
}

#[test]
fn pageable_copies_are_named_with_their_time() {
    let (decoded, summary) = faulty("pageable", "io", "pageable-copies", "200");
    let exposed: f64 = summary["gpu"]["copies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["memory"] == "pageable" && it["direction"] == "H2D")
        .map(|it| it["ns"].as_f64().unwrap())
        .sum();
    let pageable = decoded.truth.iter().filter(|it| it["op"] == "copy" && it["pinned"] == false);
    let truth: u64 =
        pageable.map(|it| it["end"].as_u64().unwrap() - it["start"].as_u64().unwrap()).sum();
    about(exposed, truth as f64, "pageable copies");
}

#[test]
fn many_small_copies_are_named() {
    faulty("small-copies", "io", "small-copies", "60");
}

#[test]
fn streams_that_wait_for_each_other_are_named() {
    let (decoded, summary) = faulty("serial-streams", "scheduling", "event-wait-chains", "100");
    let small = decoded.truth_ns("kernel", "start", "end") as f64;
    let found = at_stake(&summary, "event-wait-chains");
    assert!((0.8..1.3).contains(&(found / small)), "{found} of {small}");
}

#[test]
fn a_wait_behind_every_kernel_drains_the_device() {
    faulty("sync-each", "scheduling", "sync-drain", "100");
}

#[test]
fn kernels_shorter_than_their_launch_are_bound_by_it() {
    faulty("tiny-kernels", "scheduling", "launch-bound", "100");
}

#[test]
fn kernels_are_told_apart_by_what_they_declare() {
    let (_, memory) = faulty("hbm-bound", "memory", "", "200");
    assert_eq!(memory["verdict"]["subkind"], "device bandwidth");
    let (_, compute) = faulty("flop-bound", "compute", "", "200");
    assert_eq!(compute["verdict"]["subkind"], "device arithmetic");
    for summary in [memory, compute] {
        assert_eq!(rules(&summary), Vec::<&str>::new(), "{:#}", summary["gpu"]);
    }
}

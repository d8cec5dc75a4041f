//! `gpu_decode` with planted faults, on the simulated device: the right kind, the right rule, and the right amounts.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::sync::{Mutex, PoisonError};

use bottleneck_tests::gpu::{Decoded, Interval, decode, gaps, uncovered_ns, union};
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

/// The simulated device runs by the clock, so a host that other programs keep from its CPU is late for real, and its report says
/// so: what is asserted must hold in one of three runs.
fn in_one_of_three(run: impl Fn()) {
    for _ in 0..2 {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(&run)).is_ok() {
            return;
        }
    }
    run();
}

fn is_kernel(it: &Value) -> bool {
    it["op"] == "kernel"
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
    in_one_of_three(|| {
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
    });
}

#[test]
fn a_host_that_computes_between_tokens_starves_the_device() {
    in_one_of_three(|| {
        let (decoded, summary) = faulty("host-starved", "io", "host-starved", "300");
        let verdict = &summary["verdict"];
        assert_eq!(verdict["subkind"], "starved by host");
        let span =
            summary["spans"].as_array().unwrap().iter().find(|it| it["id"] == verdict["span"]);
        assert_eq!(span.unwrap()["name"], "prepare", "{verdict:#}");
        // A gap of 2 ms before each token but the first, and hardly any other.
        let busy = union(decoded.intervals(|_| true));
        let truth: u64 = gaps(&busy).map(|gap| gap.1 - gap.0).filter(|&ns| ns > 1_000_000).sum();
        assert!(truth > 299 * 2_000_000, "{truth}");
        about(at_stake(&summary, "host-starved"), truth as f64, "starved");
    });
}

#[test]
fn pageable_copies_are_named_with_their_time() {
    in_one_of_three(|| {
        let (decoded, summary) = faulty("pageable", "io", "pageable-copies", "200");
        let exposed: f64 = summary["gpu"]["copies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|it| it["memory"] == "pageable" && it["direction"] == "H2D")
            .map(|it| it["ns"].as_f64().unwrap())
            .sum();
        let pageable =
            decoded.truth.iter().filter(|it| it["op"] == "copy" && it["pinned"] == false);
        let truth: u64 =
            pageable.map(|it| it["end"].as_u64().unwrap() - it["start"].as_u64().unwrap()).sum();
        about(exposed, truth as f64, "pageable copies");
        let kernels = union(decoded.intervals(is_kernel));
        let copies = union(decoded.intervals(|it| it["op"] == "copy" && it["pinned"] == false));
        let at_stake = at_stake(&summary, "pageable-copies");
        about(
            at_stake,
            uncovered_ns(&copies, &kernels) as f64,
            "pageable copies that no kernel hides",
        );
    });
}

#[test]
fn many_small_copies_are_named() {
    in_one_of_three(|| {
        let (decoded, summary) = faulty("small-copies", "io", "small-copies", "60");
        // Pieces of an input follow one another: from the first to the last there is nothing but their latencies.
        let mut copies = decoded.intervals(|it| it["op"] == "copy" && it["direction"] == "h2d");
        copies.sort_unstable();
        let inputs: Vec<Interval> = copies.chunks(1024).map(|it| (it[0].0, it[1023].1)).collect();
        assert_eq!(inputs.len(), 60);
        let kernels = union(decoded.intervals(is_kernel));
        about(
            at_stake(&summary, "small-copies"),
            uncovered_ns(&inputs, &kernels) as f64,
            "small copies",
        );
    });
}

#[test]
fn streams_that_wait_for_each_other_are_named() {
    in_one_of_three(|| {
        let (decoded, summary) = faulty("serial-streams", "scheduling", "event-wait-chains", "100");
        let small = decoded.truth_ns("kernel", "start", "end") as f64;
        let found = at_stake(&summary, "event-wait-chains");
        // Each runs alone while the next one waits for it.
        about(found, small, "kernels that run alone");
    });
}

#[test]
fn the_default_stream_that_others_wait_for_is_named() {
    in_one_of_three(|| {
        let (decoded, summary) = faulty("default-stream", "scheduling", "default-stream", "100");
        assert_eq!(summary["verdict"]["subkind"], "default stream");
        let small = decoded.truth_ns("kernel", "start", "end") as f64;
        about(at_stake(&summary, "default-stream"), small, "kernels that run alone");
    });
}

#[test]
fn a_wait_behind_every_kernel_drains_the_device() {
    in_one_of_three(|| {
        let (decoded, summary) = faulty("sync-each", "scheduling", "sync-drain", "100");
        let syncs: Vec<u64> = decoded
            .truth
            .iter()
            .filter(|it| it["op"] == "sync" && it["of"] == "stream")
            .filter_map(|it| it["end"].as_u64())
            .collect();
        // A gap in which such a wait ended, with nothing but the next launch behind it.
        let busy = union(decoded.intervals(|_| true));
        let drained =
            gaps(&busy).filter(|gap| syncs.iter().any(|end| gap.0 <= *end && *end < gap.1));
        let truth: u64 = drained.map(|gap| gap.1 - gap.0).sum();
        about(at_stake(&summary, "sync-drain"), truth as f64, "device without work behind waits");
    });
}

#[test]
fn kernels_shorter_than_their_launch_are_bound_by_it() {
    in_one_of_three(|| {
        let (decoded, summary) = faulty("tiny-kernels", "scheduling", "launch-bound", "100");
        // Gaps that end with a kernel: the host does nothing else there.
        let busy = union(decoded.intervals(|_| true));
        let mut starts: Vec<u64> = decoded.intervals(is_kernel).iter().map(|it| it.0).collect();
        starts.sort_unstable();
        let before_kernels = gaps(&busy).filter(|gap| starts.binary_search(&gap.1).is_ok());
        let truth: u64 = before_kernels.map(|gap| gap.1 - gap.0).sum();
        about(at_stake(&summary, "launch-bound"), truth as f64, "device that waits for launches");
    });
}

#[test]
fn kernels_are_told_apart_by_what_they_declare() {
    in_one_of_three(|| {
        let (_, memory) = faulty("hbm-bound", "memory", "", "200");
        assert_eq!(memory["verdict"]["subkind"], "device bandwidth");
        let (_, compute) = faulty("flop-bound", "compute", "", "200");
        assert_eq!(compute["verdict"]["subkind"], "device arithmetic");
        for summary in [memory, compute] {
            assert_eq!(rules(&summary), Vec::<&str>::new(), "{:#}", summary["gpu"]);
        }
    });
}

#[test]
fn missing_records_withhold_the_verdict() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine::new().unwrap().with("data=0").with("drop_every=10");
    let decoded = decode(&machine, &["--tokens", "200"]);
    let summary = decoded.summary();
    check(&summary);
    let verdict = &summary["verdict"];
    assert_eq!(verdict["kind"], "inconclusive", "{verdict:#}");
    let why = verdict["not_seen"].to_string();
    assert!(why.contains("records of what devices did were lost"), "{verdict:#}");
    let headline = verdict["headline"].as_str().unwrap();
    assert!(headline.contains("on a device whose times cannot be relied on"), "{headline}");
    assert_eq!(rules(&summary), Vec::<&str>::new());
}

/// Runs longer than what NVML needs to tell.
fn watched(setting: &str, arguments: &[&str]) -> Value {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine::new().unwrap().with("data=0").with(setting);
    let decoded = decode(&machine, arguments);
    let summary = decoded.summary();
    check(&summary);
    summary
}

#[test]
fn a_device_that_its_power_holds_back_is_held_against_nothing() {
    let summary = watched("power_cap=1", &["--tokens", "400"]);
    let verdict = &summary["verdict"];
    assert_eq!(verdict["kind"], "inconclusive", "{verdict:#}");
    assert!(verdict["not_seen"].to_string().contains("the limit of its power"), "{verdict:#}");
    assert!(
        summary["gpu"]["held_back"][0].is_string()
            && summary["gpu"]["problems"] == serde_json::json!([])
    );
    assert_eq!(summary["gpu"]["kernels"][0]["kind"], "other");
    // What is near a ceiling at a lower clock is near it at any.
    let near = watched("power_cap=1", &["--fault", "hbm-bound", "--tokens", "250"]);
    assert_eq!(near["verdict"]["kind"], "memory", "{:#}", near["verdict"]);
    // Counters tell how much of the time units are in use, by the clock that they have.
    let units =
        watched("power_cap=1", &["--undeclared", "--fault", "flop-bound", "--tokens", "400"]);
    assert_eq!(units["verdict"]["kind"], "inconclusive", "{:#}", units["verdict"]);
}

#[test]
fn a_neighbor_on_the_device_withholds_the_verdict() {
    // The first process of the system is none of this test's.
    let summary = watched("neighbor=1", &["--fault", "hbm-bound", "--tokens", "250"]);
    let verdict = &summary["verdict"];
    assert_eq!(verdict["kind"], "inconclusive", "{verdict:#}");
    assert!(verdict["not_seen"].to_string().contains("another process (1)"), "{verdict:#}");
}

/// Where nothing of the device is recorded nobody is to blame for what may be its time.
fn unseen(setting: &str) -> Value {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine::new().unwrap().with("data=0").with("cupti=35").with(setting);
    let decoded = decode(&machine, &["--tokens", "600"]);
    let summary = decoded.summary();
    check(&summary);
    let verdict = &summary["verdict"];
    assert_eq!(verdict["kind"], "inconclusive", "{verdict:#}");
    assert_eq!(verdict["subkind"], "unseen device", "{verdict:#}");
    assert!(verdict["not_seen"].to_string().contains("administrators"), "{verdict:#}");
    assert!(verdict["next"].as_str().unwrap().contains("CUPTI"), "{verdict:#}");
    summary["verdict"].clone()
}

#[test]
fn a_wait_that_sleeps_for_a_device_that_is_not_seen_is_no_poll_loop() {
    let headline = unseen("spin=0")["headline"].to_string();
    assert!(headline.contains("waits that may be for a device"), "{headline}");
}

#[test]
fn a_wait_that_spins_for_a_device_that_is_not_seen_is_no_arithmetic() {
    let headline = unseen("spin=1")["headline"].to_string();
    assert!(headline.contains("in the driver of a device"), "{headline}");
}

/// A run of kernels whose spans declare nothing.
fn undeclared(setting: &str, fault: &str) -> Value {
    watched(setting, &["--undeclared", "--fault", fault, "--tokens", "400"])
}

#[test]
fn counters_tell_memory_from_arithmetic_where_nothing_is_declared() {
    in_one_of_three(|| {
        for (fault, kind, subkind) in [
            ("hbm-bound", "memory", "device bandwidth"),
            ("flop-bound", "compute", "device arithmetic"),
        ] {
            let summary = undeclared("counters=1", fault);
            let verdict = &summary["verdict"];
            assert_eq!(verdict["kind"], kind, "{verdict:#}");
            assert_eq!(verdict["subkind"], subkind, "{verdict:#}");
            let evidence = verdict["evidence"].as_array().unwrap();
            let counted: Vec<&Value> =
                evidence.iter().filter(|it| it["source"] == "counter").collect();
            assert!(counted.iter().any(|it| it["value"].as_f64() > Some(90.0)), "{verdict:#}");
            assert_eq!(summary["gpu"]["level"], "counters");
            assert_eq!(summary["gpu"]["kernels"][0]["kind"], kind);
        }
    });
}

#[test]
fn what_was_counted_is_what_the_device_did() {
    in_one_of_three(|| {
        let machine = Machine::new().unwrap().with("data=0");
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let decoded = decode(&machine, &["--tokens", "400"]);
        drop(turn);
        let summary = decoded.summary();
        let device = &summary["gpu"]["devices"][0];
        let used = |part: &str| {
            let kernels = decoded.truth.iter().filter(|it| is_kernel(it));
            let one = |it: &Value| {
                let ns = it["end"].as_u64().unwrap() - it["start"].as_u64().unwrap();
                it[part].as_f64().unwrap() * ns as f64
            };
            kernels.map(one).sum::<f64>() / device["in_use_ns"].as_f64().unwrap()
        };
        let counters = &device["counters"];
        about(counters["memory"].as_f64().unwrap(), used("memory"), "memory");
        assert_eq!(counters["units"][0]["name"], "f32 units");
        about(counters["units"][0]["share"].as_f64().unwrap(), used("arithmetic"), "f32 units");
    });
}

#[test]
fn without_counters_nothing_is_said_of_what_is_not_declared() {
    for (setting, why) in [("counters=0", "before Hopper"), ("divided=1", "MIG")] {
        let summary = undeclared(setting, "hbm-bound");
        let verdict = &summary["verdict"];
        assert_eq!(verdict["kind"], "inconclusive", "{verdict:#}");
        assert!(verdict["not_seen"].to_string().contains("declares no work"), "{verdict:#}");
        let device = &summary["gpu"]["devices"][0];
        assert!(device["counters"].is_null());
        assert!(device["not_counted"].as_str().unwrap().contains(why), "{device:#}");
        assert_eq!(summary["gpu"]["level"], "activity");
    }
}

/// ```text
/// token > replay > capture > forward > layers    once
/// token > replay                                 launches the graph, for each token
/// ```
#[test]
fn what_a_graph_runs_belongs_to_who_captured_it() {
    in_one_of_three(|| {
        let arguments = ["--graph", "--fault", "hbm-bound", "--tokens", "200"];
        let (decoded, summary) = run(&arguments);
        check(&summary);
        let verdict = &summary["verdict"];
        assert_eq!(verdict["kind"], "memory", "{verdict:#}");
        assert_eq!(verdict["subkind"], "device bandwidth", "{verdict:#}");
        let id = |name: &str| {
            let spans = summary["spans"].as_array().unwrap();
            spans.iter().find(|it| it["name"] == name).unwrap()["id"].clone()
        };
        assert_eq!(verdict["span"], id("layers"), "{verdict:#}");
        let kernels = &summary["gpu"]["kernels"];
        let truth = decoded.truth.iter().filter(|it| is_kernel(it)).count();
        assert_eq!((kernels[0]["count"].as_u64().unwrap(), truth), (200 * 16, 200 * 16));
        assert_eq!(kernels[0]["span"], id("layers"), "{kernels:#}");
        let svg = decoded.ran.message()["files"]["svg"].as_str().map(std::fs::read_to_string);
        assert!(svg.unwrap().unwrap().contains("[GPU: kernels in CUDA graphs]"));
        // What was declared once was done at each launch.
        let evidence = verdict["evidence"].as_array().unwrap();
        let bandwidth = evidence.iter().find(|it| it["unit"] == "GB/s").unwrap();
        let bytes: f64 = 3_200.0 * 0.6;
        let seconds = decoded.truth_ns("kernel", "start", "end") as f64 / 1e9;
        about(bandwidth["value"].as_f64().unwrap(), bytes / seconds, "GB/s");
    });
}

#[test]
fn a_device_that_waits_for_the_launch_of_a_graph_waits_for_who_launches_it() {
    in_one_of_three(|| {
        let (_, summary) = run(&["--graph", "--fault", "host-starved", "--tokens", "200"]);
        let rules = summary["gpu"]["rules"].as_array().unwrap();
        let starved = rules.iter().find(|it| it["rule"] == "host-starved").unwrap();
        let spans = summary["spans"].as_array().unwrap();
        let span = spans.iter().find(|it| it["id"] == starved["span"]).unwrap();
        assert!(["upload", "replay"].contains(&span["name"].as_str().unwrap()), "{starved:#}");
    });
}

//! What is recorded of a device, held against the log of the simulated one: nothing is missing, and each is of the right span.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::collections::BTreeMap;

use bottleneck_runtime::format::device_work::Class;
use bottleneck_tests::gpu::{Recording, example, program, truth};
use bottleneck_tests::summary::check;
use cuda_sim::harness::{Library, Machine};
use serde_json::Value;

fn machine() -> Machine {
    Machine::new().unwrap().with("data=0")
}

fn record(machine: &Machine, tokens: &str) -> Recording {
    let recording = Recording::new();
    let output = recording.command(machine, program()).args(["--tokens", tokens]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    recording
}

/// Every operation of the log is in the recording.
#[track_caller]
fn holds_all(recording: &Recording, truth: &[Value]) {
    for (op, class) in [("kernel", Class::Kernel), ("copy", Class::Copy), ("set", Class::Set)] {
        let found = recording.by_call(class);
        let own: Vec<&Value> = truth.iter().filter(|it| it["op"] == op).collect();
        assert!(!own.is_empty() || op == "set", "no {op} happened");
        assert_eq!(found.len(), own.len(), "{op}");
        for it in own {
            let corr = u32::try_from(it["corr"].as_u64().unwrap()).unwrap();
            let work = found.get(&corr).unwrap_or_else(|| panic!("{it} is missing"));
            assert_eq!(u64::from(work.stream), it["stream"].as_u64().unwrap(), "{it}");
            if op != "kernel" {
                assert_eq!(work.bytes, it["bytes"].as_u64().unwrap(), "{it}");
            }
        }
    }
    // Waits of the host and of streams, and the events that they are for; until the last kernel each is of a span. What comes
    // later is the example's own end.
    let corr = |it: &Value| u32::try_from(it["corr"].as_u64().unwrap()).unwrap();
    let last_kernel = truth.iter().filter(|it| it["op"] == "kernel").map(corr).max().unwrap();
    for (ops, class) in [(&["sync", "wait"][..], Class::Wait), (&["record"], Class::Event)] {
        let found = recording.by_call(class);
        let own = truth.iter().filter(|it| ops.iter().any(|op| it["op"] == *op)).map(corr);
        let own: Vec<u32> = own.collect();
        assert_eq!(found.len(), own.len(), "{ops:?}");
        for corr in own {
            let node = found.get(&corr).map(|it| it.node);
            assert!(
                node.is_some_and(|node| node != 0 || last_kernel < corr),
                "{ops:?} {corr}: {node:?}"
            );
        }
    }
}

#[test]
fn everything_that_happens_is_recorded_in_every_version() {
    for version in [12_000, 12_080, 13_000, 13_040] {
        let machine = machine().with(&format!("version={version}"));
        let recording = record(&machine, "20");
        holds_all(&recording, &truth(&machine));
    }
}

#[test]
fn records_that_come_in_any_order_are_the_same_records() {
    let machine = machine().with("shuffle=1");
    holds_all(&record(&machine, "20"), &truth(&machine));
}

#[test]
fn records_that_are_dropped_are_counted() {
    let machine = machine().with("drop_every=10");
    let recording = record(&machine, "50");
    let lost = recording
        .works()
        .iter()
        .filter(|it| it.class == Class::Lost as u32)
        .map(|it| it.bytes)
        .max();
    assert!(lost.is_some_and(|lost| lost > 10), "{lost:?}");
}

#[test]
fn where_cupti_refuses_the_reason_is_recorded() {
    for (code, words) in
        [(35, "administrators"), (39, "another tool"), (15, "code 15"), (999, "code 999")]
    {
        let machine = machine().with(&format!("cupti={code}"));
        let recording = record(&machine, "5");
        let (is_there, why) = recording.capability("gpu_activity").unwrap();
        assert!(!is_there && why.contains(words), "{code}: {why}");
        assert_eq!(recording.capability("gpu_events"), Some((true, String::new())));
    }
}

#[test]
fn where_cupti_refuses_streams_that_spans_name_are_timed() {
    let machine = machine().with("cupti=35");
    let recording = record(&machine, "100");
    let spans: Vec<_> =
        recording.works().into_iter().filter(|it| it.class == Class::Span as u32).collect();
    // The program ends behind the last one, which may be open still.
    assert!((99..=100).contains(&spans.len()), "{}", spans.len());
    assert!(spans.iter().all(|it| it.node == spans[0].node && it.node != 0));
    // Kernels follow one another on the stream: between the events lies little else.
    let truth = truth(&machine);
    let kernels = truth.iter().filter(|it| it["op"] == "kernel");
    let ns: u64 =
        kernels.map(|it| it["end"].as_u64().unwrap() - it["start"].as_u64().unwrap()).sum();
    let ticks: u64 = spans.iter().map(|it| it.end - it.start).sum();
    let found = recording.seconds(ticks) * 1e9 / spans.len() as f64;
    let expected = ns as f64 / 100.0;
    assert!((found / expected - 1.0).abs() < 0.05, "{found} ns instead of {expected}");
}

#[test]
fn without_libraries_the_program_runs_and_the_reason_is_recorded() {
    let machine = machine().without(Library::Cupti).unwrap();
    let recording = record(&machine, "5");
    let (is_there, why) = recording.capability("gpu_activity").unwrap();
    assert!(!is_there && why.contains("libcupti"), "{why}");
}

#[test]
fn a_program_that_is_killed_keeps_what_was_delivered() {
    let machine = machine();
    let recording = Recording::new();
    let mut child =
        recording.command(&machine, program()).args(["--tokens", "100000"]).spawn().unwrap();
    // Until the first works are in the file; the test's own limit is that of the harness.
    while recording.works().len() < 500 {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let found = recording.by_call(Class::Kernel);
    assert!(found.len() > 100, "{}", found.len());
    let truth = truth(&machine);
    assert!(truth.iter().filter(|it| it["op"] == "kernel").count() >= found.len());
}

#[test]
fn work_of_requests_that_take_turns_on_several_threads_is_of_its_own_span() {
    let machine = machine();
    let decoded = example(&machine, "gpu_requests", &[]);
    assert_eq!(decoded.ran.code, Some(0), "{}", decoded.ran.stderr);
    let summary = decoded.summary();
    check(&summary);
    let name_of = |id: &Value| {
        let spans = summary["spans"].as_array().unwrap();
        spans.iter().find(|it| it["id"] == *id).unwrap()["name"].as_str().unwrap().to_owned()
    };
    // By name of the kernel and of its span: 4 threads, 50 requests, 8 layers.
    let mut found = BTreeMap::new();
    for row in summary["gpu"]["kernels"].as_array().unwrap() {
        let key = (row["name"].as_str().unwrap().to_owned(), name_of(&row["span"]));
        *found.entry(key).or_insert(0) += row["count"].as_u64().unwrap();
    }
    let expected = [("multiply", "feed"), ("touch", "attend")]
        .map(|(kernel, span)| ((kernel.to_owned(), span.to_owned()), 4 * 50 * 8));
    assert_eq!(found, BTreeMap::from(expected));
    let waits = summary["gpu"]["waits"].as_array().unwrap();
    let of_streams = waits.iter().find(|it| it["of"] == "a stream").unwrap();
    assert_eq!(of_streams["count"], 200);
}

#[test]
fn spans_are_ranges_for_a_tool_that_listens() {
    let machine = machine();
    let mut command = std::process::Command::new(program());
    // Nothing is recorded: no folder is named.
    machine.prepare(&mut command).env("NVTX_INJECTION64_PATH", machine.library());
    let output = command.args(["--tokens", "3"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let truth = truth(&machine);
    let (mut open, mut tokens) = (Vec::new(), 0);
    for it in &truth {
        if it["op"] == "push" {
            open.push(it["name"].as_str().unwrap());
        } else if it["op"] == "pop" {
            assert!(open.pop().is_some(), "more ends than beginnings");
        } else if it["op"] == "kernel" {
            assert_eq!(open, ["token", "forward", "layers"]);
            tokens += 1;
        }
    }
    assert!(open.is_empty() && tokens == 3 * 8, "{open:?} {tokens}");
}

#[test]
fn without_a_driver_the_example_says_so() {
    let machine = machine().without(Library::Cuda).unwrap();
    let output = Recording::new().command(&machine, program()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(3) && stderr.contains("no CUDA driver"), "{stderr}");
}

#[test]
fn a_driver_without_a_device_is_no_reason_to_fail() {
    let machine = machine().with("devices=0");
    let recording = Recording::new();
    let output = recording.command(&machine, program()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    // The example's own error, of the driver; and a recording that is whole.
    assert!(output.status.code() == Some(1) && stderr.contains("NO_DEVICE"), "{stderr}");
    assert!(recording.works().iter().all(|it| it.class != Class::Kernel as u32));
    assert!(recording.capability("gpu_activity").is_some());
}

#[test]
fn every_kernel_and_copy_is_of_the_span_that_asked_for_it() {
    let machine = machine();
    let recording = record(&machine, "50");
    let kernels = recording.by_call(Class::Kernel);
    assert!(kernels.values().all(|it| it.node != 0), "a kernel has no span");
    let mut nodes: Vec<u32> = kernels.values().map(|it| it.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    assert_eq!(nodes.len(), 1, "all kernels are launched in `layers`");
    let copies = recording.by_call(Class::Copy);
    let uploads: Vec<_> = copies.values().filter(|it| it.what & 0xff == 1).collect();
    assert!(uploads.iter().all(|it| it.node != 0 && it.node != nodes[0]));
    assert_eq!(uploads.len(), 50);
}

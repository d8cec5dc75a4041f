//! `cargo bottleneck run --gpu`: what devices do is seen in programs that know nothing of it.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bottleneck_tests::command::{Ran, bottleneck, cargo, workspace};
use bottleneck_tests::gpu::{Decoded, truth};
use bottleneck_tests::summary::check;
use cuda_sim::harness::Machine;
use serde_json::Value;

/// `cargo bottleneck run --gpu --exec` on a simulated machine, with a cache that the tests have to themselves.
fn run(machine: &Machine, program: &Path, variables: &[(&str, &str)]) -> Decoded {
    run_with(&["--gpu"], machine, program, variables)
}

fn run_with(
    flags: &[&str],
    machine: &Machine,
    program: &Path,
    variables: &[(&str, &str)],
) -> Decoded {
    let target = bottleneck().target();
    let reports = tempfile::tempdir_in(target).unwrap();
    let words = ["--message-format", "json", "-o", reports.path().to_str().unwrap()];
    let program = ["--exec", "--", program.to_str().unwrap()];
    let all = ["run"].into_iter().chain(flags.iter().copied()).chain(words).chain(program);
    let mut command = bottleneck().command(workspace(), all);
    machine.prepare(&mut command).env("XDG_CACHE_HOME", target).envs(variables.iter().copied());
    Decoded { ran: Ran::of(command), truth: truth(machine) }
}

fn machine() -> Machine {
    Machine::new().unwrap().with("data=0")
}

/// An example, built with the feature that needs a device.
fn example(name: &str) -> PathBuf {
    let target = bottleneck().target();
    let words = ["build", "-p", "bottleneck-examples", "--features", "gpu", "--example", name];
    let output = cargo(workspace(), words).arg("--target-dir").arg(target).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("debug/examples").join(name)
}

/// A program with spans whose recorder knows nothing of devices.
fn with_spans_alone() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gpu-with-spans-alone");
    fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"spans-alone\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         bottleneck-runtime = {{ path = '{}' }}\n\
         cudarc = {{ version = \"0.19\", default-features = false, features = [\"std\", \"driver\", \"nvrtc\", \
         \"fallback-dynamic-loading\", \"cuda-version-from-build-system\", \"fallback-latest\"] }}\n",
        workspace().join("bottleneck-runtime").display()
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/main.rs"), include_str!("../data/gpu_spans_alone.rs")).unwrap();
    fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gpu-features-target");
    let output =
        cargo(&folder, ["build", "--offline"]).arg("--target-dir").arg(&target).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("debug/spans-alone")
}

fn count(truth: &[Value], op: &str) -> u64 {
    truth.iter().filter(|it| it["op"] == op).count() as u64
}

fn sum(rows: &Value) -> u64 {
    rows.as_array().unwrap().iter().map(|it| it["count"].as_u64().unwrap()).sum()
}

#[test]
fn a_program_without_one_annotation_is_judged_by_what_its_device_does() {
    let decoded = run(&machine(), &example("gpu_plain"), &[]);
    assert_eq!(decoded.ran.code, Some(0), "{}", decoded.ran.stderr);
    let summary = decoded.summary();
    check(&summary);
    assert_eq!(summary["verdict"]["kind"], "io", "{:#}", summary["verdict"]);
    assert_eq!(summary["gpu"]["rules"][0]["rule"], "pageable-copies");
    assert_eq!(sum(&summary["gpu"]["kernels"]), count(&decoded.truth, "kernel"));
    assert_eq!(sum(&summary["gpu"]["copies"]), count(&decoded.truth, "copy"));
}

#[test]
fn work_joins_the_spans_of_a_recorder_that_knows_nothing_of_devices() {
    let decoded = run(&machine(), &with_spans_alone(), &[]);
    assert_eq!(decoded.ran.code, Some(0), "{}", decoded.ran.stderr);
    let summary = decoded.summary();
    check(&summary);
    let spans = summary["spans"].as_array().unwrap();
    let name_of = |id: &Value| spans.iter().find(|it| it["id"] == *id).map(|it| it["name"].clone());
    let mut found = BTreeMap::new();
    for row in summary["gpu"]["kernels"].as_array().unwrap() {
        let key = (row["name"].to_string(), name_of(&row["span"]).map(|it| it.to_string()));
        found.insert(key, row["count"].as_u64().unwrap());
    }
    let expected = [("\"one\"", "\"first\""), ("\"two\"", "\"second\"")]
        .map(|(kernel, span)| ((kernel.to_owned(), Some(span.to_owned())), 100));
    assert_eq!(found, BTreeMap::from(expected), "{:#}", summary["gpu"]);
}

#[test]
fn without_the_flag_what_may_be_the_time_of_a_device_is_blamed_on_nobody() {
    for setting in ["spin=0", "spin=1"] {
        let machine = machine().with(setting).with_costs("one us=4000\ntwo us=2000\n").unwrap();
        let decoded = run_with(&[], &machine, &with_spans_alone(), &[]);
        assert_eq!(decoded.ran.code, Some(0), "{}", decoded.ran.stderr);
        let summary = decoded.summary();
        check(&summary);
        let verdict = &summary["verdict"];
        assert_eq!(verdict["kind"], "inconclusive", "{setting}: {verdict:#}");
        let why = verdict["not_seen"].to_string();
        assert!(why.contains("was run without `--gpu`"), "{setting}: {verdict:#}");
    }
}

#[test]
fn a_program_that_records_devices_itself_is_recorded_once() {
    let decoded = run(&machine(), &example("gpu_decode"), &[]);
    assert_eq!(decoded.ran.code, Some(0), "{}", decoded.ran.stderr);
    let summary = decoded.summary();
    assert_eq!(sum(&summary["gpu"]["kernels"]), count(&decoded.truth, "kernel"));
}

#[test]
fn a_tool_that_is_there_already_is_respected() {
    let decoded = run(
        &machine(),
        &example("gpu_plain"),
        &[("CUDA_INJECTION64_PATH", "/opt/tool/libtool.so")],
    );
    assert!(
        decoded.ran.stderr.contains("names another tool (`/opt/tool/libtool.so`)"),
        "{}",
        decoded.ran.stderr
    );
    assert_eq!(decoded.ran.code, Some(4), "nothing else records: {}", decoded.ran.stderr);
}

//! `cargo bottleneck run` on programs whose bottleneck is known: the verdict, and that every output says the same.
//!
//! What other programs do to the machine meanwhile must not decide a test: kinds are compared without the time in which
//! they had the CPU.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests and what they share: a panic fails them"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bottleneck_tests::command::{Ran, bottleneck, workspace};
use bottleneck_tests::picture;
use bottleneck_tests::summary::{self, largest_without_scheduling, number};
use serde_json::Value;

/// Runs that are judged do not run side by side: they would take each other's bandwidth.
fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An example's run and its files, checked for what holds for every run.
struct Run {
    ran: Ran,
    folder: PathBuf,
    summary: Value,
}

fn run_example(name: &str, args: &[&str]) -> Run {
    let command = bottleneck();
    let target = command.target().to_str().unwrap();
    let of_command = ["run", "--target-dir", target, "--example", name, "--"];
    let ran = Ran::of(command.command(workspace(), of_command.iter().chain(args)));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let latest = command.target().join("bottleneck-reports").join(name).join("latest");
    let folder = latest.canonicalize().unwrap();
    let run = Run { ran, summary: summary::read(&folder.join("summary.json")), folder };
    picture::check(&run.folder.join("flame.svg"), &run.summary);
    assert!(run.folder.join("run.bneck").is_file());
    assert_eq!((&run.summary["cut"], &run.summary["exit"]["code"]), (&false.into(), &0.into()));
    for file in ["flame.svg", "summary.json", "run.bneck"] {
        assert!(run.ran.stderr.contains(file), "{file} is not named: {}", run.ran.stderr);
    }
    run
}

/// The verdict names this kind. Where only the thread clock tells waits, it cannot know that they were preemption: there
/// the kinds of the CPU have to do.
#[track_caller]
fn assert_judged(summary: &Value, verdict: &Value, kinds: &Value, kind: &str) {
    assert_eq!(largest_without_scheduling(kinds), kind, "{verdict:#} {kinds:#}");
    if summary["on_cpu_source"] == "context switches" {
        assert_eq!(verdict["kind"], kind, "{verdict:#} {kinds:#}");
    } else {
        println!("verdict {}: {}", verdict["kind"], summary["warnings"]);
    }
}

/// A report made elsewhere, from the recording alone, judges as the run did: it holds the machine.
#[track_caller]
fn assert_same_elsewhere(run: &Run) {
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("copied.bneck");
    fs::copy(run.folder.join("run.bneck"), &copy).unwrap();
    let output = elsewhere.path().join("report");
    let ran = Ran::of(
        bottleneck()
            .command(elsewhere.path(), [Path::new("report"), Path::new("-o"), &output, &copy]),
    );
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let again = summary::read(&output.join("summary.json"));
    for (field, before) in run.summary.as_object().unwrap() {
        assert_eq!(&again[field], before, "{field}");
    }
    picture::check(&output.join("flame.svg"), &again);
}

#[test]
fn streaming_a_matrix_is_memory() {
    let _alone = alone();
    let run = run_example("memory_bound", &["2"]);
    assert_judged(&run.summary, &run.summary["verdict"], &run.summary["kinds"], "memory");
    assert!(run.ran.stdout.contains("passes over"), "{}", run.ran.stdout);
    assert!(!run.ran.stdout.contains("MEMORY"), "the verdict is not among the program's output");
    assert_same_elsewhere(&run);
}

#[test]
fn multiplying_in_the_cache_is_compute() {
    let _alone = alone();
    let run = run_example("compute_bound", &["1"]);
    assert_judged(&run.summary, &run.summary["verdict"], &run.summary["kinds"], "compute");
    assert_same_elsewhere(&run);
}

#[test]
fn a_transformer_decodes_from_memory_and_computes_its_prompt() {
    let _alone = alone();
    for threads in ["1", "2"] {
        let run = run_until_told("tiny_llm", &["--tokens", "12", "--threads", threads]);
        assert!(run.ran.stdout.contains("tokens/s"), "{}", run.ran.stdout);
        let phases = run.summary["phases"].as_array().unwrap();
        for (key, kind) in [("prefill", "compute"), ("decode", "memory")] {
            let phase = phases.iter().find(|phase| phase["key"] == key).unwrap();
            assert_judged(&run.summary, &phase["verdict"], &phase["kinds"], kind);
            assert!(number(&phase["total_ns"]) > 0);
            let is_told = |line: &str| line.trim_start().starts_with(key) && line.contains(kind);
            assert!(run.ran.stderr.lines().any(is_told), "{}", run.ran.stderr);
        }
        assert_same_elsewhere(&run);
    }
}

/// The first of three runs whose phases all have a verdict: on a machine whose ceilings move while it runs, as those of a
/// shared one do now and then, abstaining is right. A wrong kind is not.
fn run_until_told(name: &str, args: &[&str]) -> Run {
    let mut run = run_example(name, args);
    for _ in 0..2 {
        let phases = run.summary["phases"].as_array().unwrap();
        if phases.iter().all(|phase| phase["verdict"]["kind"] != "inconclusive") {
            break;
        }
        println!("abstained: {:#}", run.summary["phases"]);
        run = run_example(name, args);
    }
    run
}

/// `cargo bottleneck run FLAGS --exec -- probe ARGS`, with its files in a folder of its own.
fn run_probe(flags: &[&str], args: &[&str]) -> (Ran, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut all = vec!["run"];
    all.extend(flags);
    all.extend(["-o", "report", "--exec", "--", env!("CARGO_BIN_EXE_probe")]);
    all.extend(args);
    (Ran::of(bottleneck().command(folder.path(), all)), folder)
}

#[test]
fn stdout_and_the_exit_code_are_the_programs() {
    let _alone = alone();
    let (ran, folder) = run_probe(&[], &["say", "7"]);
    assert_eq!(ran.code, Some(7), "{ran:#?}");
    assert_eq!(ran.stdout, "to stdout, without an end of line");
    assert_eq!(ran.stderr.matches("to stderr\n").count(), 1, "{}", ran.stderr);
    let summary = summary::read(&folder.path().join("report/summary.json"));
    assert_eq!((&summary["exit"]["code"], &summary["cut"]), (&7.into(), &true.into()));
}

#[test]
fn a_program_can_read_the_verdict_from_one_line() {
    let _alone = alone();
    let (ran, folder) = run_probe(&["--message-format", "json"], &["nested"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    // On a pipe an empty line comes before it.
    assert_eq!(ran.stdout.trim_start().lines().count(), 1, "{}", ran.stdout);
    let message = ran.message();
    assert_eq!(message["reason"], "bottleneck-report");
    let written = summary::read(&folder.path().join("report/summary.json"));
    assert_eq!(message["summary"], written);
    for (format, path) in message["files"].as_object().unwrap() {
        assert!(Path::new(path.as_str().unwrap()).is_file(), "{format}: {path}");
    }
    picture::check(&folder.path().join("report/flame.svg"), &written);
}

#[test]
fn parts_sum_up_whatever_the_threads_do() {
    let _alone = alone();
    for probe in ["mixed", "contended", "recursion", "out-of-order", "leak", "threads", "keys"] {
        let (ran, folder) = run_probe(&[], &[probe, "200"]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        let summary = summary::read(&folder.path().join("report/summary.json"));
        picture::check(&folder.path().join("report/flame.svg"), &summary);
    }
}

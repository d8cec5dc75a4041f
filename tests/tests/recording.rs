//! The runtime against what a program knows of itself: counts, times, waits, and ends of every kind.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::path::Path;
use std::process::{Command, Output};

use bottleneck_runtime::format::{accesses, code, recipes, samples, snapshot, task};
use bottleneck_tests::{Recorded, profiles};

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
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), arguments);
    (Recorded::of_run(directory.path()), output)
}

#[test]
#[expect(clippy::float_cmp, reason = "small whole numbers are exact")]
fn every_call_is_counted_on_its_path() {
    let (recorded, _) = record(&["nested"]);
    assert_eq!(recorded.node("main/outer").count, 1);
    assert_eq!(recorded.node("main/outer/middle").count, 3);
    let inner = recorded.node("main/outer/middle/inner");
    assert_eq!(inner.count, 15);
    assert_eq!(recorded.node("main/outer/middle/other").count, 3);
    assert!(
        inner.min <= inner.max && inner.total >= 15 * inner.min && inner.total <= 15 * inner.max
    );
    assert_eq!(inner.declared_flops(), 15.0 * 48.0);
    assert_eq!(inner.work_count, 15);
    assert_ne!(recorded.header.end_ns, 0, "the end was orderly");
}

#[test]
fn a_key_has_a_node_and_a_name_of_its_own() {
    let (recorded, _) = record(&["keys"]);
    assert_eq!(recorded.node("main/forward#prefill").count, 2);
    assert_eq!(recorded.node("main/forward#decode").count, 3);
    assert_eq!(recorded.node("main/forward#decode/layer").count, 3);
    assert_eq!(recorded.node("main/numbered#2").count, 1);
}

#[test]
fn recursion_is_folded_and_no_call_is_lost() {
    let (recorded, _) = record(&["recursion", "1000"]);
    let calls: u64 = recorded.nodes.values().map(|node| node.count + node.folded).sum();
    assert_eq!(calls, 1001);
    assert_eq!(recorded.nodes.len(), 9, "the thread, and eight levels");
}

#[test]
fn guards_may_be_dropped_in_any_order_or_never() {
    // main_span |-----------------------------|
    // first       |-----|
    // second        |---|        its guard lives on; the span ends with the one around it
    // after               |-|
    // last                          |-|
    let (recorded, _) = record(&["out-of-order"]);
    for path in ["first", "first/second", "after", "last"] {
        assert_eq!(recorded.node(&format!("main/main_span/{path}")).count, 1, "{path}");
    }
    assert_eq!(recorded.header.out_of_order, 2);
    let (recorded, _) = record(&["leak"]);
    assert_eq!(recorded.node("main/main_span/around/leaked").count, 1);
    assert_eq!(recorded.node("main/main_span/after").count, 1);
}

#[test]
fn a_guard_that_outlives_its_span_counts_no_time_twice() {
    // outer  |--|       |-----|
    // inner    |-|        |-|     the first guard ends the second span; 5 ms lie between, in neither
    let (recorded, _) = record(&["stale"]);
    let (outer, inner) = ("main/main_span/outer", "main/main_span/outer/inner");
    assert_eq!((recorded.node(outer).count, recorded.node(inner).count), (2, 2));
    assert!(recorded.node(inner).total <= recorded.node(outer).total);
    assert!(recorded.ns(recorded.node(outer).total) < 4e6, "{:?}", recorded.node(outer));
}

#[test]
fn a_thread_per_request_needs_one_tree() {
    let (recorded, _) = record(&["threads", "50"]);
    assert_eq!(recorded.trees.len(), 1);
    assert_eq!(recorded.trees[0].threads, 50);
    let inner = recorded.nodes.iter().find(|(path, _)| path.ends_with("/request/inner")).unwrap();
    assert_eq!(inner.1.count, 50);
}

#[test]
fn a_forked_child_has_a_file_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), &["fork"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "child 7");
    let parent = Recorded::of_run(directory.path());
    assert_eq!(parent.node("main/around/inner/parent_work").count, 10);
    assert_eq!(parent.node("main/around").count, 1);
    assert!(!parent.nodes.keys().any(|path| path.contains("child")));
    let all = profiles(directory.path());
    assert_eq!(all.len(), 2);
    let child = all
        .iter()
        .map(|path| Recorded::read(path))
        .find(|file| file.header.pid != parent.header.pid)
        .unwrap();
    assert_eq!(child.node("main/child/child_work").count, 100);
    assert!(!child.nodes.keys().any(|path| path.contains("around") || path.contains("parent")));
}

#[test]
fn a_program_that_execs_another_leaves_both_files() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), &["exec"]);
    let before = Recorded::of_run(directory.path());
    assert_eq!(before.node("main/before_exec").count, 1);
    assert_ne!(before.node("main/open_at_exec").open_since, 0);
    assert_eq!(profiles(directory.path()).len(), 2);
}

#[test]
fn every_end_of_a_program_leaves_its_spans() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_probe"))
        .arg("panic")
        .env("BOTTLENECK_RUN_DIR", directory.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    let panicked = Recorded::of_run(directory.path());
    assert_eq!(panicked.node("main/outer/inner").count, 1);
    assert_eq!(panicked.node("main/after").count, 1);

    let (exited, output) = record(&["exit"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(exited.node("main/open_at_exit/closed").count, 1);
    assert_eq!(
        exited.node("main/open_at_exit").count,
        1,
        "`exit` ends the thread, and with it its spans"
    );
    assert_ne!(exited.header.end_ns, 0);

    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_probe"))
        .arg("abort")
        .env("BOTTLENECK_RUN_DIR", directory.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let aborted = Recorded::of_run(directory.path());
    assert_eq!(aborted.node("main/open_at_abort/closed").count, 1);
    assert_ne!(aborted.node("main/open_at_abort").open_since, 0);
    assert_eq!(aborted.header.end_ns, 0);
}

#[test]
fn a_file_does_not_grow_with_calls() {
    // A path has its histogram from the second call on.
    let (two, _) = record(&["many", "2"]);
    let (four, _) = record(&["many", "4"]);
    assert_eq!((two.bytes, two.header.used), (four.bytes, four.header.used));
    assert_eq!(four.node("main/group#3/step#4/leaf").count, 40_000);
    // What does not depend on the paths: the tables of snapshots and samples, the copied code, and the first record of tasks.
    let sampling = 32 * (samples::SLOTS + recipes::SLOTS)
        + 80 * accesses::ENTRIES
        + code::ENTRY_BYTES * code::BLOCKS
        + 8192;
    let fixed = 2 * snapshot::TABLE_BYTES + 64 * task::TASKS + sampling;
    let per_path = (four.header.used - fixed as u64) / four.nodes.len() as u64;
    assert!(per_path <= 2048, "{per_path} bytes a path");
}

#[test]
fn more_paths_than_the_budget_are_counted() {
    let (recorded, _) = record(&["paths", "1500"]);
    assert_eq!(
        recorded.nodes.len(),
        1 + 1024,
        "the thread, and the children that one node may have"
    );
    assert_eq!(recorded.header.refused, 1500 - 1024);
}

#[test]
fn a_program_killed_at_any_moment_leaves_every_closed_span() {
    use std::io::{BufRead as _, BufReader};
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for round in 0..50 {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_probe"))
            .arg("count")
            .env("BOTTLENECK_RUN_DIR", directory.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Killed after a random number of lines: the moment within the program is as random as the pipe.
        let lines = random % 200 + 1;
        let mut log = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        for _ in 0..lines {
            line.clear();
            log.read_line(&mut line).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let mut logged: u64 = line.trim().parse().unwrap();
        for rest in log.lines().map_while(Result::ok) {
            // The last line may be cut.
            logged = rest.parse().map_or(logged, |n: u64| n.max(logged));
        }
        let recorded = Recorded::of_run(directory.path());
        let step = recorded.node("main/outer/step");
        assert!(step.count >= logged, "round {round}: {} recorded, {logged} logged", step.count);
        assert!(
            step.count <= logged + 2000,
            "round {round}: {} recorded, {logged} logged",
            step.count
        );
        assert_ne!(recorded.node("main/outer").open_since, 0, "round {round}");
        assert_eq!(recorded.header.end_ns, 0, "round {round}");
    }
}

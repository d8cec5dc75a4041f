//! The simulated driver is held against what cudarc's safe interface promises, case by case, by a program that runs on any driver.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::process::{Command, Output};

use bottleneck_runtime::format::device_work::Class;
use bottleneck_tests::gpu::{Recording, conformance, truth};
use cuda_sim::harness::Machine;
use serde_json::Value;

/// All that is promised.
const CASES: [&str; 51] = [
    // Memory.
    "copies_come_back_as_they_went",
    "an_existing_slice_is_written_from_its_beginning",
    "new_memory_is_zero_where_that_is_asked_for",
    "copies_within_the_device_leave_their_source_alone",
    "a_view_is_a_part_of_its_slice",
    "halves_of_a_slice_do_not_overlap",
    "what_is_dropped_is_free_again",
    "too_much_memory_is_refused_and_the_program_goes_on",
    "pinned_memory_is_copied_as_any_other",
    "a_type_keeps_its_bytes",
    // Order.
    "a_kernel_waits_for_a_copy_on_another_stream",
    "without_event_tracking_it_does_not",
    "a_stream_joins_another",
    "a_fork_begins_behind_its_stream",
    "a_wait_is_for_what_was_recorded_then",
    "streams_of_ones_own_and_the_default_one_do_not_wait",
    "each_thread_has_a_stream_of_its_own",
    "the_default_stream_waits_for_that_of_a_thread",
    "a_context_waits_for_all_its_streams",
    "a_stream_that_is_dropped_does_what_it_was_given",
    "a_slice_may_be_dropped_before_its_copies_are_done",
    // Events.
    "an_event_that_was_never_recorded_is_complete",
    "an_event_is_complete_when_the_work_before_it_is_done",
    "time_between_events_is_that_of_the_work",
    "events_without_times_have_none_between_them",
    "an_event_that_was_never_recorded_has_no_time",
    "a_launch_can_be_timed",
    // Host functions.
    "an_event_behind_a_host_function_waits_for_its_return",
    "a_host_function_takes_its_turn_between_kernels",
    "host_functions_of_a_stream_run_in_its_order",
    "a_host_function_sees_what_was_copied_before_it",
    "what_a_host_function_writes_is_copied_after_it",
    "a_copy_to_pageable_memory_returns_when_it_is_done",
    "a_small_copy_from_pageable_memory_is_taken_over",
    "a_host_function_runs_on_a_thread_of_the_driver",
    "a_host_function_may_not_call_the_driver",
    // Graphs.
    "captured_work_runs_at_each_launch_and_not_before",
    "a_graph_copies_what_is_there_when_it_is_launched",
    "a_capture_has_a_status",
    "a_captured_stream_cannot_be_waited_for",
    "a_captured_event_cannot_be_asked",
    "a_capture_cannot_wait_for_what_is_outside",
    "a_host_function_of_a_graph_is_called_at_each_launch",
    // Modules.
    "a_kernel_that_a_module_does_not_have_is_not_found",
    "what_is_no_module_is_refused",
    "launches_that_cannot_be_are_refused",
    "a_text_is_compiled_and_runs",
    "a_text_that_cannot_be_compiled_is_refused",
    // Devices.
    "a_device_says_what_it_is",
    "each_device_has_a_number_and_an_identity",
    "a_device_that_is_not_there_is_refused",
];

/// Runs cases; its lines.
fn run(machine: &Machine, cases: &[&str]) -> Vec<String> {
    let mut command = Command::new(conformance());
    lines(machine.prepare(command.args(cases)).output().unwrap())
}

#[track_caller]
fn lines(output: Output) -> Vec<String> {
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<String> = stdout.lines().map(str::to_owned).collect();
    let failed: Vec<&String> = lines.iter().filter(|line| line.starts_with("failed ")).collect();
    assert!(failed.is_empty() && output.status.success(), "{failed:#?}\n{stdout}\n{stderr}");
    lines
}

/// Every case is there, and none has failed; its lines.
#[track_caller]
fn holds_all(machine: &Machine) -> Vec<String> {
    let lines = run(machine, &[]);
    let passed: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("ok ")).collect();
    assert_eq!(passed, CASES);
    lines
}

fn machine() -> Machine {
    Machine::new().unwrap()
}

fn ns(it: &Value, field: &str) -> u64 {
    it[field].as_u64().unwrap_or_else(|| panic!("no {field} in {it}"))
}

/// Operations of a sort, in the order of their calls.
fn of<'t>(truth: &'t [Value], op: &str) -> Vec<&'t Value> {
    let mut res: Vec<&Value> = truth.iter().filter(|it| it["op"] == op).collect();
    res.sort_by_key(|it| ns(it, "corr"));
    res
}

#[test]
fn every_promise_is_kept_on_the_clock_of_the_machine() {
    holds_all(&machine());
}

#[test]
fn every_promise_is_kept_on_a_virtual_clock() {
    holds_all(&machine().with("clock=virtual"));
}

#[test]
fn every_promise_is_kept_by_two_devices_of_another_version() {
    let lines = holds_all(&machine().with("devices=2").with("version=13000"));
    let seen = "seen each_device_has_a_number_and_an_identity count 2";
    assert!(lines.iter().any(|line| line == seen), "{lines:#?}");
}

#[test]
fn every_promise_is_kept_without_memory_that_streams_allocate() {
    // Without it what is dropped waits for all streams: also for one that the case lets go on later.
    const OTHER: &str = "a_slice_may_be_dropped_before_its_copies_are_done";
    let cases: Vec<&str> = CASES.into_iter().filter(|case| *case != OTHER).collect();
    assert_eq!(cases.len() + 1, CASES.len());
    run(&machine().with("pools=0"), &cases);
}

#[test]
fn time_between_events_is_what_the_log_says() {
    const CASE: &str = "time_between_events_is_that_of_the_work";
    let machine = machine();
    let lines = run(&machine, &[CASE]);
    let seen = lines.iter().find_map(|line| line.strip_prefix(&format!("seen {CASE} ms ")));
    let seen: f64 = seen.unwrap().parse().unwrap();
    let truth = truth(&machine);
    let (events, kernels) = (of(&truth, "record"), of(&truth, "kernel"));
    let [begin, end] = events[..] else { panic!("{events:?}") };
    let [kernel] = kernels[..] else { panic!("{kernels:?}") };
    assert_eq!(ns(end, "at"), ns(kernel, "end"));
    assert_eq!(ns(kernel, "end") - ns(kernel, "start"), 3_000_000);
    let expected = (ns(end, "at") - ns(begin, "at")) as f64 / 1e6;
    // A millisecond is a float of 32 bits.
    assert!((seen - expected).abs() < 1e-5, "{seen} ms instead of {expected}");
}

const TURN: &str = "a_host_function_takes_its_turn_between_kernels";

/// ```text
/// stream  |known 3 ms|-host function-|known 3 ms|copy|event
/// other   ------------------------------------------------|known 3 ms|
/// ```
#[track_caller]
fn takes_its_turn(truth: &[Value]) {
    let (kernels, hosts) = (of(truth, "kernel"), of(truth, "host"));
    let [before, behind, of_other] = kernels[..] else { panic!("{kernels:?}") };
    let [host] = hosts[..] else { panic!("{hosts:?}") };
    assert_eq!(ns(before, "end"), ns(host, "ready"));
    assert!(ns(host, "ready") <= ns(host, "start") && ns(host, "start") <= ns(host, "end"));
    assert!(ns(behind, "host") < ns(host, "end"), "it was submitted while the function ran");
    // Later than the function's end only if its call was held up.
    assert!(ns(host, "end") <= ns(behind, "ready"));
    assert_eq!(ns(behind, "ready"), ns(behind, "start"));
    let copies = of(truth, "copy");
    let copy = copies.iter().find(|it| it["direction"] == "h2d").unwrap();
    assert!(ns(behind, "end") <= ns(copy, "ready") && ns(behind, "corr") < ns(copy, "corr"));
    assert!(ns(copy, "end") <= ns(of_other, "ready"), "{of_other} waits for {copy}");
    assert_ne!(of_other["stream"], behind["stream"]);
    assert!(
        of(truth, "wait")
            .iter()
            .any(|it| it["stream"] == of_other["stream"] && ns(it, "at") == ns(copy, "end"))
    );
}

#[test]
fn what_is_behind_a_host_function_is_logged_when_it_has_run() {
    let machine = machine();
    run(&machine, &[TURN]);
    takes_its_turn(&truth(&machine));
}

#[test]
fn what_is_behind_a_host_function_is_recorded_with_the_call_that_submitted_it() {
    let machine = machine();
    let recording = Recording::new();
    lines(recording.command(&machine, conformance()).arg(TURN).output().unwrap());
    let truth = truth(&machine);
    takes_its_turn(&truth);
    for (op, class) in [("kernel", Class::Kernel), ("copy", Class::Copy), ("set", Class::Set)] {
        let found = recording.by_call(class);
        let own = of(&truth, op);
        assert_eq!(found.len(), own.len(), "{op}");
        for it in own {
            let work = &found[&u32::try_from(ns(it, "corr")).unwrap()];
            assert_eq!(u64::from(work.stream), ns(it, "stream"), "{it}");
            assert_ne!(work.node, 0, "{it} is of no span");
        }
    }
    let (works, kernels) = (recording.by_call(Class::Kernel), of(&truth, "kernel"));
    let at = |it: &Value| works[&u32::try_from(ns(it, "corr")).unwrap()];
    let gap = recording.seconds(at(kernels[1]).start - at(kernels[0]).end) * 1e9;
    let expected = (ns(kernels[1], "start") - ns(kernels[0], "end")) as f64;
    assert!((gap - expected).abs() < 0.05 * expected + 20_000.0, "{gap} ns instead of {expected}");
}

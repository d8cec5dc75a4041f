//! What every `summary.json` must hold, whatever the program: its schema, and sums that come out.

use std::path::Path;

use serde_json::Value;

use crate::command::workspace;

/// The five kinds, as `summary.json` names them.
pub const KINDS: [&str; 5] = ["memory", "compute", "io", "scheduling", "other"];

/// Reads a `summary.json` and checks it.
///
/// # Panics
/// If it is not there or breaks its contract.
#[track_caller]
pub fn read(path: &Path) -> Value {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let summary: Value = serde_json::from_str(&text).expect("summary.json is JSON");
    check(&summary);
    summary
}

/// Checks a summary against its schema, and its sums.
///
/// # Panics
/// If it breaks its contract.
#[track_caller]
pub fn check(summary: &Value) {
    check_schema(summary);
    check_shares(&summary["kinds"], number(&summary["in_flight_ns"]));
    let of_threads =
        KINDS.iter().map(|kind| number(&summary["thread_kinds"][kind]["ns"])).sum::<u64>();
    check_shares(&summary["thread_kinds"], of_threads);
    for phase in summary["phases"].as_array().into_iter().flatten() {
        let total = KINDS.iter().map(|kind| number(&phase["kinds"][kind]["ns"])).sum::<u64>();
        check_shares(&phase["kinds"], total);
        assert!(total <= number(&phase["total_ns"]), "{phase:#}");
    }
    let spans = summary["spans"].as_array().expect("the schema says so");
    spans.iter().for_each(check_parts);
    check_nesting(spans);
    let lived = number(&summary["in_flight_ns"]) + number(&summary["idle_ns"]);
    assert!(lived <= number(&summary["wall_ns"]), "{lived} ns of {}", summary["wall_ns"]);
}

/// A whole number of the summary.
#[track_caller]
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no whole number"))
}

/// The kind with the largest share among those of the CPU: preemption by other programs does not decide it.
pub fn largest_without_scheduling(kinds: &Value) -> &'static str {
    let kinds_on_cpu = KINDS.into_iter().filter(|&kind| kind != "scheduling");
    kinds_on_cpu.max_by_key(|kind| number(&kinds[kind]["ns"])).expect("there are five kinds")
}

fn check_schema(summary: &Value) {
    let schema = workspace().join("cargo-bottleneck/schema/summary.schema.json");
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    let path = schema.to_str().expect("the path of the workspace is text");
    let index = compiler.compile(path, &mut schemas).expect("the schema is one");
    if let Err(error) = schemas.validate(summary, index) {
        panic!("{error:#}");
    }
}

#[track_caller]
fn check_shares(kinds: &Value, whole_ns: u64) {
    let share = |kind: &&str| kinds[kind]["share"].as_f64().expect("the schema says so");
    let shares: f64 = KINDS.iter().map(share).sum();
    let ns: u64 = KINDS.iter().map(|kind| number(&kinds[kind]["ns"])).sum();
    assert_eq!(ns, whole_ns, "{kinds:#}");
    let expected = if ns == 0 { 0.0 } else { 1.0 };
    assert!((shares - expected).abs() < 1e-9, "shares sum to {shares}: {kinds:#}");
    for kind in KINDS {
        let exact = number(&kinds[kind]["ns"]) as f64 / ns.max(1) as f64;
        assert!((share(&kind) - exact).abs() < 1e-9, "{kind}: {kinds:#}");
    }
}

/// Own time is what was on the CPU, blocked, or waiting for a CPU; and every ns of it has one kind.
#[track_caller]
fn check_parts(span: &Value) {
    let field = |name: &str| number(&span[name]);
    let parts = field("on_cpu_ns") + field("blocked_ns") + field("preempted_ns");
    assert_eq!(parts, field("self_ns"), "{span:#}");
    let by_kind: u64 = KINDS.iter().map(|kind| number(&span["kinds"][format!("{kind}_ns")])).sum();
    assert_eq!(by_kind, field("self_ns"), "{span:#}");
}

/// Every span stands before its children: what lies below one is its total without its own time.
#[track_caller]
fn check_nesting(spans: &[Value]) {
    let depth = |span: &Value| span["path"].as_array().map_or(0, Vec::len);
    for (at, span) in spans.iter().enumerate() {
        let below = spans[at + 1..].iter().take_while(|it| depth(it) > depth(span));
        let children = below.filter(|it| depth(it) == depth(span) + 1);
        let in_children: u64 = children.map(|child| number(&child["total_ns"])).sum();
        let total = number(&span["total_ns"]);
        assert!(in_children <= total, "{in_children} ns in the children of {span:#}");
        assert_eq!(total - in_children, number(&span["self_ns"]), "{span:#}");
    }
}

//! Whole analyses of small timelines.

use proptest::prelude::*;

use super::fixture::{MS, context, report, report_of, streams, two_phases};
use super::*;
use crate::analysis::device::fixture::Drawing;
use crate::profile::Dtype;
use crate::profile::RowIdx as _;
use crate::profile::builder::{ProfileBuilder, SpanBuilder};
use crate::report::model::{Confidence, Frame, Summary, VerdictKind};

#[test]
fn phases_of_one_function_have_verdicts_of_their_own() {
    // generate  |--forward[prefill]--|--forward[decode]-------------|..|
    //              matmul, 30: CMP       matmul, 70: MEM              2
    let (summary, _) = report(&two_phases(30, 70), &context());
    assert_eq!(summary.verdict.kind, VerdictKind::Memory);
    assert_eq!(summary.verdict.confidence, Confidence::Strong);
    assert_eq!(summary.verdict.headline, "MEMORY-bound: 69% of the time in flight waits for DRAM");
    assert_eq!((summary.verdict.gain, summary.verdict.bound), (Some(1.52), Some(3.18)));
    let phases: Vec<_> =
        summary.phases.iter().map(|phase| (phase.key.as_str(), phase.verdict.kind)).collect();
    assert_eq!(phases, [("prefill", VerdictKind::Compute), ("decode", VerdictKind::Memory)]);
    let span =
        summary.spans.iter().find(|span| Some(&span.id) == summary.verdict.span.as_ref()).unwrap();
    assert_eq!(span.path, ["generate", "forward", "matmul"]);
    assert_eq!(summary.findings.len(), 2);
}

#[test]
fn kinds_about_as_large_are_mixed() {
    let (summary, _) = report(&two_phases(49, 51), &context());
    assert_eq!(summary.verdict.kind, VerdictKind::Mixed);
    assert_eq!(summary.verdict.headline, "MIXED: memory 50%, compute 48% of the time in flight");
}

#[test]
fn time_without_declared_work_is_inconclusive_and_says_where_to_declare_it() {
    // tokenize  |---------------|   80 on the CPU, nothing declared
    let builder = ProfileBuilder::new(100 * MS).span("tokenize", 0..80 * MS, |_| ());
    let (summary, _) = report(&builder, &context());
    assert_eq!(summary.verdict.kind, VerdictKind::Inconclusive);
    assert!(
        summary.verdict.next.starts_with("declare work at `tokenize`"),
        "{}",
        summary.verdict.next
    );
    assert_eq!(summary.verdict.span.as_deref(), Some(summary.spans[0].id.as_str()));
    assert_eq!(summary.verdict.gain, None);
}

#[test]
fn waits_of_unknown_cause_are_inconclusive_and_asserted_ones_are_not() {
    // load  |=====waits 70=====|-10-|
    let load = |kind: Option<Kind>| {
        ProfileBuilder::new(100 * MS).span("load", 0..80 * MS, |load| {
            load.blocked(70 * MS);
            if let Some(kind) = kind {
                load.asserted(kind);
            }
        })
    };
    let (unknown, _) = report(&load(None), &context());
    assert_eq!(unknown.verdict.kind, VerdictKind::Inconclusive);
    assert!(
        unknown.verdict.next.starts_with("say what `load` waits for"),
        "{}",
        unknown.verdict.next
    );
    let (asserted, _) = report(&load(Some(Kind::Io)), &context());
    assert_eq!(asserted.verdict.kind, VerdictKind::Io);
    assert_eq!(asserted.verdict.subkind.as_deref(), Some("asserted"));
    assert_eq!(asserted.verdict.confidence, Confidence::Moderate);
    assert_eq!(asserted.spans[0].asserted, Some(Kind::Io));
}

#[test]
fn preemption_is_scheduling() {
    let builder = ProfileBuilder::new(100 * MS).span("work", 0..80 * MS, |work| {
        work.preempted(60 * MS);
    });
    let (summary, frame) = report(&builder, &context());
    assert_eq!(summary.verdict.kind, VerdictKind::Scheduling);
    assert_eq!(summary.verdict.subkind.as_deref(), Some("oversubscribed"));
    let preempted = &frame.children[0].children[0];
    assert_eq!(
        (preempted.name.as_str(), preempted.is_wait, preempted.total_ns),
        ("[preempted]", true, 60 * MS)
    );
}

#[test]
fn without_ceilings_the_verdict_is_withheld_with_the_reason() {
    let context = Context { ceilings: Err("not measured: --no-ceilings".into()), ..context() };
    let (summary, _) = report(&two_phases(30, 70), &context);
    assert_eq!(summary.verdict.kind, VerdictKind::Inconclusive);
    let reason = "how close it is to the machine's ceilings (not measured: --no-ceilings)";
    assert!(
        summary.verdict.not_seen.iter().any(|line| line == reason),
        "{:?}",
        summary.verdict.not_seen
    );
}

#[test]
fn a_server_that_nobody_asked_has_no_bottleneck() {
    // main  |--serve------|   no request inside; the site is known from another thread's empty call
    let builder = ProfileBuilder::new(100 * MS).span("ask", 0..0, |ask| {
        ask.request();
    });
    let (summary, _) = report(&builder, &context());
    assert_eq!(summary.verdict.kind, VerdictKind::None);
    assert_eq!(summary.idle_ns, 100 * MS);
    let (nothing, frame) = report(&ProfileBuilder::new(100 * MS), &context());
    assert_eq!(nothing.verdict.kind, VerdictKind::Inconclusive);
    assert!(nothing.verdict.next.contains("#[bottleneck]"));
    assert_eq!(frame.total_ns, 0);
}

#[test]
fn several_threads_cap_confidence_and_say_what_shares_are_of() {
    let builder =
        ["main", "worker-1"].into_iter().fold(ProfileBuilder::new(200 * MS), |builder, name| {
            builder.thread(name, |thread| {
                thread.span("gemv", 0..100 * MS, |gemv| streams(gemv, 50));
            })
        });
    let mut context = context();
    if let Ok(ceilings) = &mut context.ceilings {
        ceilings.threads = Some(2);
    }
    let (summary, frame) = report(&builder, &context);
    assert_eq!(summary.verdict.kind, VerdictKind::Memory);
    assert_eq!(summary.verdict.confidence, Confidence::Moderate);
    assert_eq!(summary.verdict.of, "thread time in spans (2 threads)");
    assert_eq!((summary.verdict.gain, summary.verdict.bound), (None, None));
    assert_eq!(
        frame.children.iter().map(|child| child.name.as_str()).collect::<Vec<_>>(),
        ["[thread main]", "[thread worker]"]
    );
    assert!(
        summary.warnings.iter().any(|warning| warning.contains("too few snapshots")),
        "{:?}",
        summary.warnings
    );
    assert_eq!(summary.kinds["memory"].ns, 100 * MS);
    assert_eq!(summary.thread_kinds["memory"].ns, 200 * MS);
    assert_sums(&summary, &frame);
}

#[test]
fn open_spans_are_named_and_counted() {
    let builder = ProfileBuilder::new(100 * MS).cut().thread("main", |main| {
        main.open("outer", 10 * MS, |outer| {
            outer.open("inner", 30 * MS, |_| ());
        });
    });
    let (summary, _) = report(&builder, &context());
    assert!(summary.cut);
    assert_eq!(summary.open_spans, [["outer", "inner"]]);
    assert_eq!(summary.in_flight_ns, 90 * MS);
}

/// Adds the uncovered widths by kind.
fn widths(frame: &Frame, sums: &mut kinds::ByKind) {
    let covered: u64 = frame.children.iter().map(|child| child.total_ns).sum();
    assert_eq!(frame.self_ns + covered, frame.total_ns, "{}", frame.name);
    sums.add(frame.kind, frame.self_ns);
    for child in &frame.children {
        widths(child, sums);
    }
}

#[track_caller]
fn assert_sums(summary: &Summary, frame: &Frame) {
    let mut drawn = kinds::ByKind::default();
    widths(frame, &mut drawn);
    let whole: u64 = summary.kinds.values().map(|share| share.ns).sum();
    assert_eq!(whole, summary.in_flight_ns);
    assert_eq!(summary.in_flight_ns + summary.idle_ns, summary.wall_ns);
    for (name, share) in drawn.shares() {
        assert_eq!(share.ns, summary.kinds[name].ns, "{name}");
    }
    if whole > 0 {
        for kinds in [&summary.kinds, &summary.thread_kinds] {
            let sum: f64 = kinds.values().map(|share| share.share).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        }
    }
    for span in &summary.spans {
        assert_eq!(
            span.on_cpu_ns + span.blocked_ns + span.preempted_ns,
            span.self_ns,
            "{:?}",
            span.path
        );
        assert_eq!(span.kinds.values().sum::<u64>(), span.self_ns, "{:?}", span.path);
    }
    let ids: std::collections::HashSet<_> = summary.spans.iter().map(|span| &span.id).collect();
    assert_eq!(ids.len(), summary.spans.len());
    assert!(summary.verdict.span.as_ref().is_none_or(|id| ids.contains(id)));
    let judged =
        std::iter::once(&summary.verdict).chain(summary.phases.iter().map(|phase| &phase.verdict));
    for (gain, bound) in judged
        .map(|it| (it.gain, it.bound))
        .chain(summary.findings.iter().map(|it| (it.gain, it.bound)))
    {
        assert!(
            gain.is_none_or(|gain| gain >= 1.03 && bound.is_none_or(|bound| gain <= bound)),
            "{gain:?} {bound:?}"
        );
    }
}

/// One random span: its place, what it does, and how many children it gets.
#[derive(Clone, Debug)]
struct Shape {
    length: u64,
    blocked: u64,
    preempted: u64,
    work: Option<(f64, f64)>,
    asserted: usize,
    is_request: bool,
    children: Vec<Shape>,
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = (
        1_u64..1_000_000,
        0_u64..100_000,
        0_u64..100_000,
        prop::option::of((0.0..1e8, 0.0..1e8)),
        0_usize..8,
        any::<bool>(),
    );
    let leaf = leaf.prop_map(|(length, blocked, preempted, work, asserted, is_request)| Shape {
        length,
        blocked,
        preempted,
        work,
        asserted,
        is_request: is_request && blocked % 5 == 0,
        children: Vec::new(),
    });
    leaf.prop_recursive(3, 20, 4, |inner| {
        (inner.clone(), prop::collection::vec(inner, 0..4)).prop_map(|(mut outer, children)| {
            outer.length += children.iter().map(|child| child.length).sum::<u64>();
            outer.children = children;
            outer
        })
    })
}

fn describe(shape: &Shape, span: &mut SpanBuilder) {
    // No more waits than the span has time of its own.
    let own = shape.length - shape.children.iter().map(|child| child.length).sum::<u64>();
    let blocked = shape.blocked.min(own);
    span.blocked(blocked).preempted(shape.preempted.min(own - blocked));
    if let Some((flops, bytes)) = shape.work {
        span.work(flops, bytes, Dtype::F32);
    }
    if let Some(&kind) = Kind::ALL.get(shape.asserted).filter(|&&kind| kind != Kind::Other) {
        span.asserted(kind);
    }
    if shape.is_request {
        span.request();
    }
    let mut at = 0;
    for (n, child) in shape.children.iter().enumerate() {
        span.span(&format!("s{n}"), at..at + child.length, |span| describe(child, span));
        at += child.length;
    }
}

proptest! {
    #[test]
    fn whatever_the_program_did_the_sums_hold(threads in prop::collection::vec(prop::collection::vec(shape(), 0..4), 1..4)) {
        let builder = threads.iter().enumerate().fold(ProfileBuilder::new(1_000_000_000), |builder, (n, shapes)| {
            builder.thread(&format!("t{n}"), |thread| {
                let mut at = 0;
                for (n, shape) in shapes.iter().enumerate() {
                    thread.span(&format!("top{n}"), at..at + shape.length, |span| describe(shape, span));
                    at += shape.length;
                }
            })
        });
        let (summary, frame) = report(&builder, &context());
        assert_sums(&summary, &frame);
    }
}

#[test]
fn the_same_profile_gives_the_same_report() {
    let json = || serde_json::to_string(&report(&two_phases(30, 70), &context()).0).unwrap();
    assert_eq!(json(), json());
}

#[test]
fn the_functions_inside_a_span_are_parts_of_its_own_time() {
    let samples = [
        ("matmul", "app::matvec", 81, false),
        ("matmul", "app::softmax", 19, false),
        ("matmul", "rayon::in_a_pool", 7, true),
        ("generate", "app::sample", 3, false),
    ];
    let (summary, frame) = fixture::sampled_report(&two_phases(300, 700), &samples);
    for span in summary.spans.iter().filter(|span| span.name == "matmul") {
        let found: Vec<_> =
            span.leaves.iter().map(|it| (it.function.as_str(), it.ns, it.adopted)).collect();
        let part = |percent: u64| span.on_cpu_ns * percent / 100;
        let adopted_ns = 7 * 4 * MS;
        assert_eq!(
            found,
            [
                ("matvec", part(81), false),
                ("softmax", part(19), false),
                ("in_a_pool", adopted_ns, true)
            ]
        );
        assert_eq!(span.leaves[0].file.as_deref(), Some("src/math.rs"));
    }
    let mut open = vec![&frame];
    let mut n_leaves = 0;
    while let Some(frame) = open.pop() {
        assert!(frame.leaves.iter().map(|leaf| leaf.ns).sum::<u64>() <= frame.self_ns);
        n_leaves += frame.leaves.len();
        open.extend(&frame.children);
    }
    assert_eq!(n_leaves, 2 * 2 + 1);
}

#[test]
fn what_devices_did_is_known_without_snapshots() {
    // token   |--20 on the CPU--|=========== waits 80 ===========|
    // device     |--k1 30--| |--k1 30--|   declared: 2 TB/s of 2 TB/s; between them 5 wait for an event
    let mut profile = ProfileBuilder::new(100 * MS)
        .span("token", 0..100 * MS, |token| {
            token.blocked(80 * MS);
            token.work(1e6, 120e9, Dtype::F32);
        })
        .build();
    let token = SpanIdx::from_position(0);
    let drawing = Drawing::new()
        .attribute("memory_clock_khz", 1_000_000)
        .attribute("memory_bus_bits", 8000)
        .launch(1, 9 * MS..10 * MS, "k1", 7, 10 * MS..40 * MS)
        .in_span(token)
        .record(1, 10 * MS..11 * MS, 1, 8)
        .stream_wait(1, 11 * MS..12 * MS, 1, 7)
        .launch(1, 12 * MS..13 * MS, "k1", 7, 45 * MS..75 * MS)
        .in_span(token);
    profile.devices = Some(std::sync::Arc::new(drawing.devices()));
    let (summary, _) = report_of(&profile, &context());
    let share = |kind: &str| summary.kinds.get(kind).map_or(0.0, |it| it.share);
    assert!((share("memory") - 0.60).abs() < 0.01, "{:#?}", summary.kinds);
    assert!((share("scheduling") - 0.05).abs() < 0.01, "{:#?}", summary.kinds);
    assert_eq!(summary.verdict.kind, VerdictKind::Memory);
    assert_eq!(summary.verdict.confidence, Confidence::Moderate);
}

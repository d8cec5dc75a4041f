//! One drawn timeline for each rule of blame, and for the shapes that a naive rule gets wrong. A character is 10 ms.

use std::collections::BTreeMap;

use super::blame::RULES;
use super::fixture::{MS, context};
use super::ledger::Basis;
use super::{Analysis, Context, analyze};
use crate::kind::Kind;
use crate::number::percent;
use crate::profile::builder::*;
use crate::profile::snapshots::Throttling;
use crate::profile::{Dtype, Profile};
use crate::report::model::VerdictKind;

/// Declared rates: 18 of 20 GB/s, and 80 of 100 GFLOP/s.
const STREAMS: (f64, f64) = (1.8, 18.0);
const COMPUTES: (f64, f64) = (80.0, 1.0);

/// Two CPUs; `streams` and `computes` declare work, `ask` is a request.
pub(super) fn draw(lanes: Vec<Lane>) -> ProfileBuilder {
    ProfileBuilder::new(0)
        .affinity(2)
        .lanes(10 * MS, lanes)
        .declare("streams", STREAMS.0, STREAMS.1, Dtype::F32)
        .declare("computes", COMPUTES.0, COMPUTES.1, Dtype::F32)
        .mark("ask", Mark::Request)
}

pub(super) fn judge(builder: &ProfileBuilder) -> (Profile, Analysis) {
    let profile = builder.build();
    let threads = super::working_threads(&profile);
    let mut context: Context = context();
    if let Ok(ceilings) = &mut context.ceilings {
        // Ceilings of so many threads together: each alone reaches those of the fixture.
        let n = f64::from(threads);
        ceilings.threads = Some(threads);
        ceilings.dram_read = ceilings.dram_read.map(|it| it.scaled(n));
        ceilings.cache_read.iter_mut().for_each(|it| *it = it.scaled(n));
        ceilings.peaks.iter_mut().for_each(|it| it.rate = it.rate.scaled(n));
    }
    let analysis = analyze(&profile, &context);
    (profile, analysis)
}

/// Checks every share above one percent, as `MEM bandwidth forward 40%`, and that the shares sum to the time in flight.
#[track_caller]
pub(super) fn check(builder: &ProfileBuilder, expected: &[&str]) -> (Profile, Analysis) {
    let (profile, analysis) = judge(builder);
    let ledger = &analysis.ledger;
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for row in &ledger.rows {
        let subkind = row.blamed.subkind.map_or("-", |subkind| subkind.word());
        let name = &analysis.labels[row.blamed.span].name;
        let what = format!("{} {subkind} {name}", row.blamed.kind.tag());
        *sums.entry(what).or_default() += row.ns;
    }
    assert_eq!(sums.values().sum::<u64>(), ledger.in_flight_ns);
    assert_eq!(ledger.in_flight_ns + ledger.idle_ns, profile.life_ns);
    let whole = ledger.in_flight_ns.max(1) as f64;
    let mut found: Vec<(u64, String)> = sums
        .into_iter()
        .filter(|&(_, ns)| ns as f64 >= 0.01 * whole)
        .map(|(what, ns)| (ns, format!("{what} {}", percent(ns as f64 / whole))))
        .collect();
    found.sort_by_key(|(ns, what)| (std::cmp::Reverse(*ns), what.clone()));
    let found: Vec<_> = found.into_iter().map(|(_, what)| what).collect();
    assert_eq!(found, expected, "decided by {:?}", ledger.decided_by);
    (profile, analysis)
}

#[track_caller]
pub(super) fn decided(analysis: &Analysis, rule: &str, moments: u64) {
    assert!(RULES.iter().any(|it| it.name == rule), "no rule {rule:?}");
    let by = &analysis.ledger.decided_by;
    assert_eq!(by.get(rule), Some(&moments), "{by:?}");
}

#[track_caller]
pub(super) fn verdict(analysis: &Analysis, kind: VerdictKind, subkind: &str, span: &str) {
    let verdict = &analysis.verdict;
    let at = analysis.labels.iter().find(|(_, label)| Some(&label.id) == verdict.span.as_ref());
    let found = (verdict.kind, verdict.subkind.as_deref(), at.map(|(_, it)| it.name.as_str()));
    assert_eq!(found, (kind, Some(subkind), Some(span)), "{}", verdict.headline);
}

#[test]
fn idle_is_in_no_share() {
    // A request half of the time; the model's thread waits for the next one in its body.
    let builder = draw(vec![
        Lane::new(
            "main",
            "aaaaaaaaaa WWWWWWWWWW",
            &[('a', runs(&["ask", "computes"])), ('W', waits(&[], poll()))],
        ),
        Lane::new("model", "wwwwwwwwww wwwwwwwwww", &[('w', waits(&["serve"], parked(0x20)))]),
    ]);
    let (_, analysis) = check(&builder, &["CMP vector computes 100%"]);
    decided(&analysis, "idle", 10);
    assert_eq!(analysis.ledger.idle_ns, 100 * MS);
}

#[test]
fn a_server_in_accept_is_idle_though_nothing_is_marked() {
    let builder = draw(vec![
        Lane::new(
            "main",
            "aaaaaaaaaa AAAAAAAAAA",
            &[('a', runs(&["serve", "computes"])), ('A', waits(&["serve"], accept()))],
        ),
        Lane::new("worker", "wwwwwwwwww wwwwwwwwww", &[('w', waits(&["work"], parked(0x20)))]),
    ]);
    let (_, analysis) = check(&builder, &["CMP vector computes 100%"]);
    assert_eq!(analysis.ledger.idle_ns, 100 * MS);
}

#[test]
fn handlers_that_wait_for_one_model_have_its_kind() {
    // Each handler waits for its own reply; the model streams. One CPU idles, and that is not scheduling's fault.
    let asks = |name: &'static str, address| {
        Lane::new(
            name,
            "aWWWWWWWWW aWWWWWWWWW",
            &[('a', runs(&["ask", "tokenize"])), ('W', waits(&["ask", "reply"], parked(address)))],
        )
    };
    let builder = draw(vec![
        asks("handler-1", 0x10),
        asks("handler-2", 0x11),
        asks("handler-3", 0x12),
        Lane::new(
            "model",
            "smmmmmmmmm smmmmmmmmm",
            &[('m', runs(&["serve", "streams"])), ('s', waits(&["serve"], parked(0x20)))],
        ),
    ]);
    let (_, analysis) = check(&builder, &["MEM bandwidth streams 90%", "--- - tokenize 10%"]);
    decided(&analysis, "working", 20);
    verdict(&analysis, VerdictKind::Memory, "bandwidth", "streams");
}

#[test]
fn threads_that_queue_for_a_lock_beside_an_idle_cpu_are_scheduling() {
    // One of three holds the lock and computes; the others are in the same call, in the wait of a contended mutex.
    let submits = |name: &'static str, timeline: &str| {
        Lane::new(
            name,
            timeline,
            &[
                ('h', runs(&["ask", "submit"])),
                ('L', waits(&["ask", "submit"], mutex(0x10))),
                ('o', runs(&["ask", "computes"])),
            ],
        )
    };
    let builder = draw(vec![
        submits("handler-1", "hhhhoLLLLLLLLLL"),
        submits("handler-2", "LLLLLhhhhoLLLLL"),
        submits("handler-3", "LLLLLLLLLLhhhho"),
    ]);
    let (_, analysis) = check(&builder, &["SCH lock submit 100%"]);
    decided(&analysis, "queueing for a lock beside an idle CPU", 15);
    verdict(&analysis, VerdictKind::Scheduling, "lock", "submit");
    // One of two CPUs idles: more than half of the time cannot be won back.
    assert_eq!(analysis.verdict.bound, Some(2.0));
}

#[test]
fn idle_workers_that_share_the_lock_of_their_queue_are_no_convoy() {
    // One waits for a job with the queue locked, one for the lock; a third works.
    let builder = draw(vec![
        Lane::new("worker-1", "jjjjjjjjjj jjjjjjjjjj", &[('j', runs(&["work", "computes"]))]),
        Lane::new(
            "worker-2",
            "qqqqqqqqqq qqqqqLLLLL",
            &[
                ('q', waits(&["work", "next"], parked(0x30))),
                ('L', waits(&["work", "next"], mutex(0x10))),
            ],
        ),
        Lane::new(
            "worker-3",
            "LLLLLLLLLL LLLLLqqqqq",
            &[
                ('q', waits(&["work", "next"], parked(0x31))),
                ('L', waits(&["work", "next"], mutex(0x10))),
            ],
        ),
    ]);
    let (_, analysis) = check(&builder, &["CMP vector computes 100%"]);
    decided(&analysis, "working", 20);
}

#[test]
fn who_still_works_when_its_region_ends_for_others_is_an_imbalance() {
    // layer  |--part--| wait at a barrier; the second thread's part is five times as large.
    let works = |name: &'static str, timeline: &str| {
        Lane::new(
            name,
            timeline,
            &[('p', runs(&["layer", "computes"])), ('B', waits(&["layer", "end"], futex(0x10)))],
        )
    };
    let builder = draw(vec![
        works("worker-1", "ppBBBBBBBB.ppBBBBBBBB"),
        works("worker-2", "pppppppppp.pppppppppp"),
    ]);
    let (_, analysis) = check(&builder, &["SCH imbalance computes 80%", "CMP vector computes 20%"]);
    decided(&analysis, "waiting at the end of a region beside an idle CPU", 16);
    verdict(&analysis, VerdictKind::Scheduling, "imbalance", "computes");
}

/// A pool of two, whose threads have spans only while they compute a part of the layer that `main` waits for.
fn pool(first: &str, second: &str, waiter: &str) -> ProfileBuilder {
    let computes = |name: &'static str, address, timeline: &str| {
        Lane::new(
            name,
            &timeline.repeat(3),
            &[('p', runs(&["computes"])), ('w', waits(&[], futex(address)))],
        )
    };
    draw(vec![
        Lane::new("main", &waiter.repeat(3), &[('M', waits(&["layer"], futex(0x50)))]),
        computes("pool-1", 0x51, first),
        computes("pool-2", 0x52, second),
    ])
}

#[test]
fn a_thread_of_a_pool_that_has_finished_its_part_is_an_imbalance() {
    // The second one waits outside of spans, for the next layer.
    let builder = pool("pppppppppp.", "ppwwwwwwww.", "MMMMMMMMMM.");
    let (_, analysis) = check(&builder, &["SCH imbalance computes 80%", "CMP vector computes 20%"]);
    decided(&analysis, "finished with its part beside an idle CPU", 24);
    verdict(&analysis, VerdictKind::Scheduling, "imbalance", "computes");
    // One of two CPUs idles in four fifths of the time; the bound is that of the most that 30 moments allow.
    assert_eq!((analysis.verdict.gain, analysis.verdict.bound), (Some(1.66), Some(2.24)));
}

#[test]
fn a_pool_that_takes_whole_jobs_in_turn_is_not_out_of_balance() {
    // Each layer is one job, and each thread has every other one.
    let builder = pool("pppppwwwww", "wwwwwppppp", "MMMM.MMMM.");
    check(&builder, &["CMP vector computes 100%"]);
}

#[test]
fn a_consumer_that_starves_for_input_blames_the_producer() {
    // infer 1, waits 4 for tokenize; a CPU idles meanwhile.
    let once = "iNNNN";
    let builder = draw(vec![
        Lane::new("main", &"t".repeat(60), &[('t', runs(&["produce", "tokenize"]))]),
        Lane::new(
            "consumer",
            &once.repeat(12),
            &[
                ('i', runs(&["consume", "computes"])),
                ('N', waits(&["consume", "next"], parked(0x40))),
            ],
        ),
    ]);
    let (_, analysis) = check(
        &builder,
        &["SCH starved queue tokenize 80%", "--- - tokenize 10%", "CMP vector computes 10%"],
    );
    decided(&analysis, "starving for input beside an idle CPU", 48);
    verdict(&analysis, VerdictKind::Scheduling, "starved queue", "tokenize");
}

#[test]
fn a_logger_without_work_of_its_own_does_not_starve() {
    let builder = draw(vec![
        Lane::new("main", &"c".repeat(60), &[('c', runs(&["run", "computes"]))]),
        Lane::new(
            "logger",
            &"iNNNN".repeat(12),
            &[('i', runs(&["log"])), ('N', waits(&["log", "next"], parked(0x40)))],
        ),
    ]);
    let (_, analysis) = judge(&builder);
    assert_eq!(analysis.verdict.kind, VerdictKind::Compute, "{}", analysis.verdict.headline);
}

#[test]
fn spinning_is_waiting_though_the_cpu_is_busy() {
    let turns = |name: &'static str, timeline: &str| {
        Lane::new(
            name,
            timeline,
            &[('c', runs(&["ask", "computes"])), ('S', runs(&["ask", "lock"]))],
        )
    };
    let builder =
        draw(vec![turns("a", "ccccSSSSSS ccccSSSSSS"), turns("b", "SSSScccccc SSSScccccc")])
            .samples("lock", 20, 19)
            .samples("computes", 20, 0);
    let (_, analysis) = check(&builder, &["SCH spin lock 100%"]);
    decided(&analysis, "spinning beside work", 20);
    verdict(&analysis, VerdictKind::Scheduling, "spin", "lock");
}

#[test]
fn spinning_on_the_cpu_that_others_need_is_oversubscription() {
    let spins =
        |name: &'static str| Lane::new(name, "SSSSSSSSSS", &[('S', runs(&["layer", "spin"]))]);
    let builder = draw(vec![
        spins("a"),
        spins("b"),
        Lane::new("c", "PPPPPPPPPP", &[('P', preempted(&["layer", "computes"]))]),
    ])
    .samples("spin", 20, 19);
    let (_, analysis) = check(&builder, &["SCH oversubscribed computes 100%"]);
    decided(&analysis, "spinning on the CPU that others need", 10);
}

#[test]
fn threads_that_serve_nobody_and_take_the_cpus_are_oversubscription() {
    let rebuilds =
        |name: &'static str| Lane::new(name, "rrrrrrrrrr rrrrrrrrrr", &[('r', runs(&["rebuild"]))]);
    let builder = draw(vec![
        Lane::new(
            "main",
            "cPPPPPPPPc PPPPPPPPcc",
            &[('c', runs(&["ask", "computes"])), ('P', preempted(&["ask", "computes"]))],
        ),
        rebuilds("index-1"),
        rebuilds("index-2"),
    ]);
    let (_, analysis) =
        check(&builder, &["SCH oversubscribed computes 80%", "CMP vector computes 20%"]);
    verdict(&analysis, VerdictKind::Scheduling, "oversubscribed", "computes");
}

#[test]
fn without_switch_records_a_runnable_thread_has_a_cpu_in_proportion() {
    // Nine can run, two CPUs.
    let mut lanes =
        vec![Lane::new("main", &"c".repeat(20), &[('c', runnable(&["ask", "computes"]))])];
    let names = ["b-1", "b-2", "b-3", "b-4", "b-5", "b-6", "b-7", "b-8"];
    lanes.extend(
        names.map(|name| Lane::new(name, &"r".repeat(20), &[('r', runnable(&["rebuild"]))])),
    );
    let (_, analysis) = judge(&draw(lanes).thread("helper", |helper| {
        helper.span("ask", 0..MS, |_| ());
    }));
    let share = analysis.kinds.share(Kind::Scheduling);
    assert!((share - 7.0 / 9.0).abs() < 0.03, "{share}");
}

#[test]
fn more_threads_in_flight_than_cpus_are_no_loss_while_all_cpus_work() {
    let computes = |name: &'static str, timeline: &str| {
        Lane::new(name, timeline, &[('c', runs(&["computes"])), ('P', preempted(&["computes"]))])
    };
    let builder = draw(vec![
        computes("a", "ccccccPPPPPP"),
        computes("b", "PPPccccccPPP"),
        computes("c", "PPPPPPcccccc"),
        computes("d", "cccPPPPPPccc"),
    ]);
    let (_, analysis) = check(&builder, &["CMP vector computes 100%"]);
    decided(&analysis, "working", 12);
}

#[test]
fn a_throttled_group_is_to_blame_where_cpus_idle() {
    let builder = draw(vec![
        Lane::new(
            "a",
            "cccccPPPPP cccccPPPPP",
            &[('c', runs(&["computes"])), ('P', preempted(&["computes"]))],
        ),
        Lane::new(
            "b",
            "cccccPPPPP cccccPPPPP",
            &[('c', runs(&["computes"])), ('P', preempted(&["computes"]))],
        ),
    ])
    .throttled(Throttling {
        quota_ns: 100 * MS,
        period_ns: 100 * MS,
        periods: 2,
        throttled_periods: 2,
        throttled_ns: 100 * MS,
    });
    let (_, analysis) = check(&builder, &["CMP vector computes 50%", "SCH throttled computes 50%"]);
    decided(&analysis, "kept from running by nobody in the program", 10);
}

#[test]
fn a_pool_without_spans_has_the_kind_of_the_span_that_waits_for_it() {
    let rayon = |name: &'static str| Lane::new(name, ".rrrrrrrrr .rrrrrrrrr", &[('r', runs(&[]))]);
    let builder = draw(vec![
        Lane::new(
            "main",
            "cWWWWWWWWW cWWWWWWWWW",
            &[('c', runs(&["step"])), ('W', waits(&["step", "all_rows"], futex(0x10)))],
        ),
        rayon("rayon-0"),
        rayon("rayon-1"),
    ])
    // Two threads stream for it, each at 18 GB/s.
    .declare_wall("all_rows", 2.0 * STREAMS.0, 2.0 * STREAMS.1, Dtype::F32);
    let (_, analysis) = check(&builder, &["MEM bandwidth all_rows 90%", "--- - step 10%"]);
    assert_eq!(analysis.ledger.basis, Basis::Exact);
    decided(&analysis, "threads without spans work for those that wait", 18);
    verdict(&analysis, VerdictKind::Memory, "bandwidth", "all_rows");
}

#[test]
fn every_rule_has_a_name_of_its_own() {
    let names: std::collections::HashSet<_> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), RULES.len());
}

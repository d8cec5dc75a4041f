//! What samples say, on small loops of known meaning.

use super::fixture::{MS, computes, context, report, streams};
use crate::profile::builder::{Lane, ProfileBuilder, runs};
use crate::profile::sampling::Probing;
use crate::report::model::{Confidence, Summary, VerdictKind};

/// `mov rax, [rax]; dec rsi; jnz`: each load waits for the one before.
const CHASE: (u64, &[u8]) = (0x1000, &[0x48, 0x8B, 0x00, 0x48, 0xFF, 0xCE, 0x75, 0xF8]);
/// `vaddps ymm0, ymm0, [rdi + rcx]; add rcx, 32; cmp rcx, rdx; jb`: 32 bytes a turn.
const STREAM: (u64, &[u8]) =
    (0x2000, &[0xC5, 0xFC, 0x58, 0x04, 0x0F, 0x48, 0x83, 0xC1, 0x20, 0x48, 0x39, 0xD1, 0x72, 0xF2]);
/// `vfmadd231ps ymm0, ymm1, ymm2; dec rsi; jnz`: no data.
const MULTIPLY: (u64, &[u8]) =
    (0x3000, &[0xC4, 0xE2, 0x75, 0xB8, 0xC2, 0x48, 0xFF, 0xCE, 0x75, 0xF6]);
/// `mov eax, 24; syscall; dec rsi; jnz`: `sched_yield`.
const YIELD: (u64, &[u8]) =
    (0x4000, &[0xB8, 24, 0, 0, 0, 0x0F, 0x05, 0x48, 0xFF, 0xCE, 0x75, 0xF4]);

const BEHIND_CHASE: u64 = 0x1003;
const BEHIND_STREAM: u64 = 0x2005;
const BEHIND_MULTIPLY: u64 = 0x3005;
const BEHIND_YIELD: u64 = 0x4007;

const NEAR: u32 = 60;
const BETWEEN: u32 = 120;
const FAR: u32 = 300;

/// `work` is on the CPU for a second.
fn program() -> ProfileBuilder {
    ProfileBuilder::new(1_000 * MS)
        .span("work", 0..1_000 * MS, |_| ())
        .code(CHASE.0, CHASE.1)
        .code(STREAM.0, STREAM.1)
        .code(MULTIPLY.0, MULTIPLY.1)
        .code(YIELD.0, YIELD.1)
}

/// `n` timed loads, all of one length, of data that the instruction used.
fn probed(mut builder: ProfileBuilder, sampled: u64, n: u64, ticks: u32) -> ProfileBuilder {
    for at in 0..n {
        // No two of one call: nothing is said of a stream.
        builder = builder.access("work", |access| {
            let address = 0x7000_0000 + 4096 * at;
            access
                .at(at * MS)
                .since(at * MS)
                .sampled(sampled)
                .address(address)
                .probe(address, ticks);
        });
    }
    builder
}

fn summary(builder: &ProfileBuilder) -> Summary {
    report(builder, &context()).0
}

#[track_caller]
fn check(builder: &ProfileBuilder, kind: VerdictKind, subkind: &str, share: f64) {
    let verdict = summary(builder).verdict;
    assert_eq!((verdict.kind, verdict.subkind.as_deref()), (kind, Some(subkind)), "{verdict:#?}");
    assert!((verdict.share - share).abs() < 0.02, "{verdict:#?}");
}

#[test]
fn loads_that_wait_for_dram_one_after_the_other() {
    let builder = probed(program().sampled("work", BEHIND_CHASE, 200), BEHIND_CHASE, 40, FAR);
    check(&builder, VerdictKind::Memory, "latency", 1.0);
    let verdict = summary(&builder).verdict;
    assert_eq!(verdict.confidence, Confidence::Moderate);
    let what: Vec<_> = verdict.evidence.iter().map(|it| (it.what.as_str(), it.value)).collect();
    assert_eq!(
        what,
        [
            ("held up by loads and stores, in 200 samples", 100.0),
            ("from DRAM, of 40 timed loads of data it needed next", 100.0),
            ("time that waits for DRAM, about", 100.0),
        ]
    );
}

#[test]
fn a_stream_from_dram_and_the_same_code_on_near_data() {
    let sampled = || program().sampled("work", BEHIND_STREAM, 200);
    check(&probed(sampled(), BEHIND_STREAM, 40, FAR), VerdictKind::Memory, "bandwidth", 1.0);
    check(&probed(sampled(), BEHIND_STREAM, 40, BETWEEN), VerdictKind::Memory, "cache", 1.0);
    check(&probed(sampled(), BEHIND_STREAM, 40, NEAR), VerdictKind::Compute, "arithmetic", 1.0);
}

#[test]
fn arithmetic_needs_no_timed_load() {
    let builder = program().sampled("work", BEHIND_MULTIPLY, 200).sampled("work", BEHIND_CHASE, 20);
    check(&builder, VerdictKind::Compute, "arithmetic", 1.0);
}

#[test]
fn two_loops_of_one_function_are_told_apart() {
    let builder =
        program().sampled("work", BEHIND_MULTIPLY, 160).sampled("work", BEHIND_CHASE, 240);
    let builder = probed(builder, BEHIND_CHASE, 40, FAR);
    check(&builder, VerdictKind::Memory, "latency", 0.6);
    let kinds = summary(&builder).kinds;
    assert!((kinds["compute"].share - 0.4).abs() < 0.01, "{kinds:?}");
}

#[test]
fn too_few_samples_and_loads_that_were_not_timed_say_nothing() {
    let few = summary(&probed(program().sampled("work", BEHIND_CHASE, 30), BEHIND_CHASE, 30, FAR));
    assert_eq!(few.verdict.kind, VerdictKind::Inconclusive);
    assert!(few.verdict.next.contains("80.0 ms more of its time"), "{}", few.verdict.next);
    let untimed = summary(&program().sampled("work", BEHIND_CHASE, 300));
    assert_eq!(untimed.verdict.kind, VerdictKind::Inconclusive);
    let alone = Probing { samples: 300, ..Probing::default() };
    let alone = summary(&program().sampled("work", BEHIND_CHASE, 300).probing(alone));
    assert!(alone.verdict.next.contains("beside the program"), "{}", alone.verdict.next);
}

#[test]
fn a_stream_that_draws_little_is_fetched_in_time() {
    // One call, samples 4 ms apart:   |--4 MB--|--4 MB--|--4 MB--|   1 GB/s of 20
    let mut builder = program().sampled("work", BEHIND_STREAM, 200);
    for at in 0..100 {
        builder = builder.access("work", |access| {
            let address = 0x7000_0000 + 4_000_000 * at;
            access.at(4 * MS * (at + 1)).since(1).sampled(BEHIND_STREAM).address(address);
            access.probe(address + 40_000, FAR);
        });
    }
    check(&builder, VerdictKind::Compute, "arithmetic", 1.0);
}

#[test]
fn of_two_that_spin_in_turn_for_one_lock_one_works() {
    // l is the lock: to ask for it (43 % of its samples), and to compute with it. p is the rest of a request.
    let turns = |name: &'static str, timeline: &str| {
        Lane::new(name, timeline, &[('p', runs(&["ask", "parse"])), ('l', runs(&["ask", "lock"]))])
    };
    let builder = ProfileBuilder::new(0)
        .affinity(2)
        .lanes(
            10 * MS,
            vec![turns("a", "llllllll llllllll pppp"), turns("b", "pppp llllllll llllllll")],
        )
        .code(MULTIPLY.0, MULTIPLY.1)
        .code(YIELD.0, YIELD.1)
        .sampled("lock", BEHIND_YIELD, 86)
        .sampled("lock", BEHIND_MULTIPLY, 114)
        .sampled("parse", BEHIND_MULTIPLY, 60);
    // 12 of 20 moments, and of the other 8 the part that one of two CPUs spins for: 0.43 / 2.
    check(&builder, VerdictKind::Scheduling, "spin", (12.0 + 8.0 * 0.43 / 2.0) / 20.0);
}

#[test]
fn a_thread_alone_spins_for_a_part_of_its_time() {
    let builder = program().sampled("work", BEHIND_YIELD, 120).sampled("work", BEHIND_MULTIPLY, 80);
    check(&builder, VerdictKind::Scheduling, "spin", 0.6);
}

#[test]
fn page_faults_are_a_part_of_their_own() {
    // 100 entries with 4000 faults of 500 ns each are 0.2 s of the 0.8 s that 200 samples stand for.
    let mut builder = program().sampled("work", BEHIND_MULTIPLY, 200);
    for at in 0..100 {
        builder = builder.access("work", |access| {
            access.at(at * MS).sampled(BEHIND_MULTIPLY).faults(4_000);
        });
    }
    let kinds = summary(&builder).kinds;
    assert!((kinds["memory"].share - 0.25).abs() < 0.02, "{kinds:?}");
}

#[test]
fn giving_the_cpu_away_again_and_again_is_no_work() {
    let builder = program().sampled("work", BEHIND_YIELD, 200);
    check(&builder, VerdictKind::Scheduling, "spin", 1.0);
}

#[test]
fn declared_work_that_agrees_makes_it_strong_and_the_contrary_weak() {
    let declared = |declare: fn(&mut crate::profile::builder::SpanBuilder, u64)| {
        let builder = ProfileBuilder::new(1_000 * MS)
            .span("work", 0..1_000 * MS, |work| declare(work, 1_000))
            .code(CHASE.0, CHASE.1);
        summary(&probed(builder.sampled("work", BEHIND_CHASE, 200), BEHIND_CHASE, 40, FAR)).verdict
    };
    let agrees = declared(streams);
    assert_eq!((agrees.kind, agrees.confidence), (VerdictKind::Memory, Confidence::Strong));
    let differs = declared(computes);
    assert_eq!((differs.kind, differs.confidence), (VerdictKind::Compute, Confidence::Weak));
    assert!(differs.not_seen.iter().any(|it| it.contains("samples say memory")), "{differs:#?}");
    assert!(differs.evidence.iter().any(|it| it.what.contains("from DRAM")), "{differs:#?}");
}

#[test]
fn samples_of_threads_without_spans_are_the_kind_of_what_they_do() {
    // main  |--work, waits-------------|   200 samples of the pool's threads, which chase
    let builder = ProfileBuilder::new(1_000 * MS)
        .span("work", 0..1_000 * MS, |_| ())
        .code(CHASE.0, CHASE.1)
        .sampled_adopted("work", BEHIND_CHASE, 200);
    let mut builder = builder;
    for at in 0..40 {
        builder = builder.access("work", |access| {
            let address = 0x7000_0000 + 4096 * at;
            access.at(at * MS).sampled(BEHIND_CHASE).address(address).probe(address, FAR).adopted();
        });
    }
    check(&builder, VerdictKind::Memory, "latency", 1.0);
}

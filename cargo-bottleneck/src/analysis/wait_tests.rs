//! Drawn timelines of waits, phases and idle time: what is to blame while nobody can run. A character is 10 ms.

use super::blame_tests::{check, decided, draw, judge, verdict};
use super::fixture::MS;
use super::ledger::Basis;
use crate::kind::Kind;
use crate::profile::builder::*;
use crate::profile::snapshots::Target;
use crate::report::model::VerdictKind;

#[test]
fn if_nobody_runs_the_wait_that_ends_by_itself_limits() {
    // The handler waits for the batcher, which lets a window pass: the timer, not the handler's wait.
    let builder = draw(vec![
        Lane::new("main", "WWWWWWWWWW WWWWWWWWWW", &[('W', waits(&["ask"], parked(0x10)))]),
        Lane::new(
            "batcher",
            "TTTTTTTTTc TTTTTTTTTc",
            &[
                ('T', waits(&["batch", "collect"], timed_futex(0x20))),
                ('c', runs(&["batch", "computes"])),
            ],
        ),
    ]);
    let (_, analysis) = check(&builder, &["SCH timer collect 90%", "CMP vector computes 10%"]);
    decided(&analysis, "waiting", 18);
    verdict(&analysis, VerdictKind::Scheduling, "timer", "collect");
}

#[test]
fn waits_by_cause() {
    for (wait, expected) in [
        (fault(), "I/O disk load 100%"),
        (read(Target::PlainFile), "I/O disk load 100%"),
        (sync(), "I/O sync load 100%"),
        (receive(Target::NearSocket), "I/O network load 100%"),
        (connect(), "I/O network load 100%"),
        (read(Target::PipeEnd), "I/O pipe load 100%"),
        (child(), "I/O child process load 100%"),
        (sleep(), "SCH timer load 100%"),
        (timed_futex(0x10), "SCH timer load 100%"),
        (futex(0x10), "--- - load 100%"),
        (call(crate::profile::snapshots::Call::Ioctl), "--- - load 100%"),
    ] {
        let builder = draw(vec![Lane::new(
            "main",
            &"W".repeat(12),
            &[('W', waits(&["ask", "load"], wait.clone()))],
        )]);
        let (_, analysis) = check(&builder, &[expected]);
        assert_eq!(analysis.ledger.basis, Basis::Exact);
        // The same, sampled, because a second thread has spans in flight.
        let builder = draw(vec![
            Lane::new("main", &"W".repeat(12), &[('W', waits(&["ask", "load"], wait.clone()))]),
            Lane::new("other", &"V".repeat(12), &[('V', waits(&["ask", "load"], wait.clone()))]),
        ]);
        let (_, analysis) = check(&builder, &[expected]);
        assert_eq!(analysis.ledger.basis, Basis::Sampled);
    }
}

#[test]
fn who_works_hides_the_waits_of_others() {
    // A thread that reads ahead costs nothing while the main thread computes.
    let builder = draw(vec![
        Lane::new("main", "cccccccccc cccccccccc", &[('c', runs(&["run", "computes"]))]),
        Lane::new(
            "reader",
            "DDDDDDDDDD DDDDDDDDDD",
            &[('D', waits(&["prefetch"], read(Target::PlainFile)))],
        ),
    ]);
    check(&builder, &["CMP vector computes 100%"]);
}

#[test]
fn helpers_with_spans_belong_to_the_phase_of_their_caller() {
    let builder = draw(vec![
        Lane::new(
            "main",
            "pppppPPPPP mmmmmMMMMM",
            &[
                ('p', runs(&["forward[prefill]", "computes"])),
                ('P', waits(&["forward[prefill]", "gather"], futex(0x10))),
                ('m', runs(&["forward[decode]", "streams"])),
                ('M', waits(&["forward[decode]", "gather"], futex(0x10))),
            ],
        ),
        Lane::new(
            "helper",
            "cccccccccc ssssssssss",
            &[('c', runs(&["job", "computes"])), ('s', runs(&["job", "streams"]))],
        ),
    ]);
    let (_, analysis) = judge(&builder);
    let phases: Vec<_> = analysis
        .phases
        .iter()
        .map(|it| (it.key.as_str(), it.verdict.kind, it.total_ns / MS))
        .collect();
    assert_eq!(
        phases,
        [("prefill", VerdictKind::Compute, 100), ("decode", VerdictKind::Memory, 100)]
    );
}

#[test]
fn a_server_that_is_hardly_ever_asked_is_not_limited() {
    let builder = draw(vec![
        Lane::new(
            "main",
            &("c".to_owned() + &"A".repeat(29)),
            &[('c', runs(&["ask", "computes"])), ('A', waits(&[], accept()))],
        ),
        Lane::new(
            "worker",
            &("W".to_owned() + &"w".repeat(29)),
            &[('W', waits(&["ask"], parked(0x10))), ('w', waits(&["next"], parked(0x10)))],
        ),
    ]);
    let (_, analysis) = judge(&builder);
    assert_eq!(analysis.verdict.kind, VerdictKind::None);
    assert!(analysis.verdict.headline.starts_with("NOT LIMITED"), "{}", analysis.verdict.headline);
    assert!(analysis.findings.iter().all(|it| it.kind == Kind::Compute), "{:?}", analysis.findings);
}

#[test]
fn a_program_that_is_busy_outside_of_its_requests_is_not_idle() {
    // It loads for most of the run, which is in no share; the one request computes.
    let builder = draw(vec![Lane::new(
        "main",
        &("l".repeat(28) + "cc"),
        &[('l', runs(&["load"])), ('c', runs(&["ask", "computes"]))],
    )]);
    let (_, analysis) = judge(&builder);
    assert_eq!(analysis.verdict.kind, VerdictKind::Compute, "{}", analysis.verdict.headline);
}

#[test]
fn a_time_in_which_nothing_of_the_process_ran_is_the_machines() {
    let builder = draw(vec![
        Lane::new("a", "cccccccccc", &[('c', runs(&["computes"]))]),
        Lane::new("b", "cccccccccc", &[('c', runs(&["computes"]))]),
    ])
    .stalled(4, 5 * MS);
    let (_, analysis) = judge(&builder);
    assert_eq!(analysis.kinds.ns(Kind::Scheduling), 5 * MS);
}

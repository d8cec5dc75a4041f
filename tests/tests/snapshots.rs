//! Snapshots against what the threads of a program are known to do. A file of its own, so that no other test runs meanwhile.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bottleneck_runtime::format::snapshot::{CONTENDED_MUTEX, Call, State, Target};
use bottleneck_tests::seen::{Entry, Seen};

/// One measurement at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Whether the kernel gives context-switch records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    Rings,
    NoPerf,
}

fn program(tier: Tier, arguments: &[&str]) -> Command {
    let doings = env!("CARGO_BIN_EXE_doings");
    let mut command = match tier {
        Tier::Rings => Command::new(doings),
        Tier::NoPerf => {
            let mut command = Command::new(env!("CARGO_BIN_EXE_confined"));
            command.args(["no-perf", "--", doings]);
            command
        }
    };
    command.args(arguments);
    command
}

fn record(tier: Tier, arguments: &[&str]) -> Seen {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let output =
        program(tier, arguments).env("BOTTLENECK_RUN_DIR", directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    Seen::of_run(directory.path())
}

/// The share of the snapshots of a task in which it did this.
fn share(doings: &[Entry], did: impl Fn(&Entry) -> bool) -> f64 {
    doings.iter().filter(|entry| did(entry)).count() as f64 / doings.len() as f64
}

#[track_caller]
fn mostly(seen: &Seen, name: &str, did: impl Fn(&Entry) -> bool) {
    let doings = seen.doings(name);
    assert!(doings.len() > 5, "{name}: {} snapshots", doings.len());
    let share = share(&doings, did);
    assert!(share > 0.8, "{name}: {share} of {:?}", doings.last());
}

#[test]
fn every_task_is_seen_at_what_it_does() {
    for tier in [Tier::Rings, Tier::NoPerf] {
        let seen = record(tier, &["each", "1500"]);
        eprintln!("{tier:?}: {} moments, {:?}", seen.moments.len(), seen.counters);
        let blocked = |call: Call| move |it: &Entry| (it.state, it.call) == (State::Blocked, call);
        let in_span = |it: &Entry| it.node != 0;
        mostly(&seen, "locked", |it| {
            blocked(Call::Futex)(it)
                && in_span(it)
                && it.value == CONTENDED_MUTEX
                && !it.is_timed
                && it.argument != 0
        });
        mostly(&seen, "sleeper", |it| blocked(Call::Sleep)(it) && it.is_timed && in_span(it));
        mostly(&seen, "receiver", |it| {
            blocked(Call::Receive)(it)
                && it.target == Target::Loopback
                && !it.is_timed
                && in_span(it)
        });
        mostly(&seen, "piped", |it| {
            blocked(Call::Read)(it) && it.target == Target::Pipe && in_span(it)
        });
        mostly(&seen, "queued", |it| {
            blocked(Call::Futex)(it) && it.value != CONTENDED_MUTEX && !it.is_timed && in_span(it)
        });
        mostly(&seen, "bare-accept", |it| {
            blocked(Call::Accept)(it) && it.target == Target::Listener && it.node == 0
        });
        mostly(&seen, "main", |it| blocked(Call::Sleep)(it) && in_span(it));
        mostly(&seen, "busy", |it| it.state != State::Blocked && in_span(it));
        mostly(&seen, "bare-busy", |it| it.state != State::Blocked && it.node == 0);
        // Which of the states "can run" has depends on what the kernel tells.
        let able = match tier {
            Tier::Rings => [State::Running, State::Preempted],
            Tier::NoPerf => [State::Runnable; 2],
        };
        mostly(&seen, "busy", |it| able.contains(&it.state));
        mostly(&seen, "bare-busy", |it| it.state == State::Runnable);
        let bare = seen.tasks.iter().find(|task| task.name() == "bare-busy").unwrap();
        assert!(bare.cpu_ns > 50_000_000 && bare.root == 0, "{bare:?}");
        assert!(seen.tasks.iter().all(|task| task.name() != "bottleneck"), "{:?}", seen.tasks);
        let main = seen.tasks.iter().filter(|task| task.flags == 2).count();
        assert!(main >= 1, "{:?}", seen.tasks);
        assert!(
            seen.capabilities.contains(&"wait_causes\n1\n".to_owned()),
            "{:?}",
            seen.capabilities
        );
        let start = seen.header.start_ns;
        assert!(seen.moments[0].at_ns - start < 20_000_000, "{}", seen.moments[0].at_ns - start);
    }
}

#[test]
fn snapshots_cost_less_than_half_a_percent_of_a_core() {
    for tier in [Tier::Rings, Tier::NoPerf] {
        for what in ["blocked", "busy", "bare-blocked", "bare-busy"] {
            let seen = record(tier, &[what, "16"]);
            let life = (seen.header.last_ns - seen.header.start_ns) as f64;
            let snapshots = seen.counters.cpu_ns as f64 / life;
            let all = seen.header.recorder_cpu_ns as f64 / life;
            eprintln!(
                "{tier:?} {what} 16: {} snapshots in {:.2} s, every {:.1} ms; {:.1} µs each; {:.3} % of a core, \
                 the recorder {:.3} %",
                seen.counters.taken,
                life / 1e9,
                seen.counters.period_ns as f64 / 1e6,
                seen.counters.cpu_ns as f64 / 1e3 / seen.counters.taken as f64,
                100.0 * snapshots,
                100.0 * all,
            );
            assert!(all < 0.005 && snapshots < 0.005, "{tier:?} {what}: {snapshots} {all}");
            assert!(seen.counters.taken > 10, "{:?}", seen.counters);
        }
    }
}

/// A program that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_program_killed_while_the_tables_flip_leaves_them_readable() {
    let mut halvings = 0;
    for _ in 0..2 {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::tempdir().unwrap();
        let mut child = Killed(
            program(Tier::Rings, &["flip"])
                .env("BOTTLENECK_RUN_DIR", directory.path())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap(),
        );
        BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        // Killed once it has flipped: at the first look that sees it.
        let deadline = Instant::now() + Duration::from_secs(30);
        let seen = loop {
            let seen = Seen::of_run(directory.path());
            if seen.counters.halvings >= 1 {
                break seen;
            }
            assert!(Instant::now() < deadline, "not full yet: {:?}", seen.counters);
        };
        drop(child);
        halvings += seen.counters.halvings;
        let left = Seen::of_run(directory.path());
        assert!(left.counters.taken >= seen.counters.taken);
        assert!(!left.moments.is_empty());
    }
    eprintln!("{halvings} halvings");
}

#[test]
fn a_thread_for_every_request_needs_one_record() {
    let seen = record(Tier::Rings, &["short-lived", "100"]);
    let of_name: Vec<_> =
        seen.tasks.iter().filter(|task| task.name().starts_with("conn-")).collect();
    assert!(of_name.len() <= 3, "{of_name:?}");
    assert!(of_name.iter().map(|task| task.threads).sum::<u64>() > 2, "{of_name:?}");
}

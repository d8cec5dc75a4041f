//! Snapshots against what the threads of a program are known to do. A file of its own, so that no other test runs meanwhile.
#![expect(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bottleneck_runtime::format::conditions::{KNOWS_STEAL, KNOWS_THROTTLING};
use bottleneck_runtime::format::samples::{FLAG_SPINS, FLAG_UNREAD};
use bottleneck_runtime::format::snapshot::{CONTENDED_MUTEX, Call, State, Target};
use bottleneck_tests::seen::{Entry, Seen};
use bottleneck_tests::{GROUP_PREFIX, NOT_ALLOWED_HERE, Recorded};

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
    record_all(tier, arguments).0
}

fn record_all(tier: Tier, arguments: &[&str]) -> (Seen, Recorded) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let output =
        program(tier, arguments).env("BOTTLENECK_RUN_DIR", directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (Seen::of_run(directory.path()), Recorded::of_run(directory.path()))
}

/// The share of the snapshots of a task in which it did this.
fn share(doings: &[Entry], did: impl Fn(&Entry) -> bool) -> f64 {
    doings.iter().filter(|entry| did(entry)).count() as f64 / doings.len() as f64
}

#[track_caller]
fn mostly(seen: &Seen, name: &str, did: impl Fn(&Entry) -> bool + Copy) {
    let doings = seen.doings(name);
    assert!(doings.len() > 5, "{name}: {} snapshots", doings.len());
    let share = share(&doings, did);
    let others: Vec<_> = doings.iter().filter(|entry| !did(entry)).collect();
    assert!(share > 0.8, "{name}: {share} of {:?}, not {others:?}", doings.last());
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
        mostly(&seen, "sleeper", |it| blocked(Call::Sleeping)(it) && it.is_timed && in_span(it));
        mostly(&seen, "receiver", |it| {
            blocked(Call::Receiving)(it)
                && it.target == Target::NearSocket
                && !it.is_timed
                && in_span(it)
        });
        mostly(&seen, "piped", |it| {
            blocked(Call::Reading)(it) && it.target == Target::PipeEnd && in_span(it)
        });
        mostly(&seen, "queued", |it| {
            blocked(Call::Futex)(it) && it.value != CONTENDED_MUTEX && !it.is_timed && in_span(it)
        });
        mostly(&seen, "bare-accept", |it| {
            blocked(Call::Accepting)(it) && it.target == Target::Listener && it.node == 0
        });
        mostly(&seen, "main", |it| blocked(Call::Sleeping)(it) && in_span(it));
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

#[test]
fn samples_tell_a_loop_that_waits_from_one_that_computes() {
    let (seen, recorded) = record_all(Tier::Rings, &["spin"]);
    if seen.sample_counters.period_ns == 0 {
        eprintln!("SKIP: this kernel does not sample here");
        return;
    }
    // Half a second each, of which other programs may have taken a part.
    let samples = |name: &str| {
        let node = recorded.reference(&format!("main/{name}"));
        let of_node = || seen.samples.iter().filter(move |it| it.node == node);
        let spinning = of_node().filter(|it| it.flags & FLAG_SPINS != 0).map(|it| it.count).sum();
        let all: u64 = of_node().map(|it| it.count).sum();
        assert!(of_node().all(|it| it.flags & FLAG_UNREAD == 0), "{:?}", seen.samples);
        (spinning, all)
    };
    let (spinning, all): (u64, u64) = samples("spin_wait");
    // The loop looks at the clock too.
    assert!(5 <= all && all <= 2 * spinning, "{spinning} of {all}: {:?}", seen.samples);
    let (spinning, computing): (u64, u64) = samples("arithmetic");
    assert!(5 <= computing && 10 * spinning <= computing, "{spinning} of {computing}");
    // A hundred a second of CPU time.
    let cpu = seen.header.process_cpu_ns / seen.sample_counters.period_ns;
    let n = all + computing;
    assert!(n <= cpu + 2 && cpu <= 2 * n, "{n} samples, {cpu} expected");
    assert_eq!(seen.sample_counters.lost, 0);
}

#[test]
fn asynchronous_requests_in_flight_are_counted() {
    let seen = record(Tier::Rings, &["requests"]);
    let mut counts: Vec<u16> = seen.moments.iter().map(|it| it.requests).collect();
    counts.dedup();
    // The polls are short, and may fall between two snapshots.
    assert_eq!(counts, [0, 4, 3, 0], "{:?}", seen.counters);
}

#[test]
fn a_program_that_closes_every_descriptor_is_seen_on_and_keeps_its_own() {
    for tier in [Tier::Rings, Tier::NoPerf] {
        let seen = record(tier, &["closes"]);
        let late = seen.header.start_ns + 600_000_000;
        let late = || seen.moments.iter().filter(|moment| moment.at_ns > late);
        assert!(late().count() > 3, "{:?}", seen.counters);
        for name in ["idle", "bare"] {
            // A thread that was seen before its first span has two records.
            let doings: Vec<Entry> = late()
                .flat_map(|moment| &moment.entries)
                .filter(|entry| seen.tasks[entry.task].name() == name)
                .copied()
                .collect();
            let share = share(&doings, |it| (it.state, it.call) == (State::Blocked, Call::Futex));
            assert!(share > 0.6, "{tier:?} {name}: {share} of {doings:?}");
        }
    }
}

#[test]
fn where_waits_are_hidden_their_states_are_known_all_the_same() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let anyone = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(directory.path(), anyone).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_confined"))
        .args(["user", "65534", "--", env!("CARGO_BIN_EXE_doings"), "hidden"])
        .env("BOTTLENECK_RUN_DIR", directory.path())
        .output()
        .unwrap();
    if output.status.code() == Some(i32::from(NOT_ALLOWED_HERE)) {
        eprintln!("SKIP: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen = Seen::of_run(directory.path());
    let said = seen.capabilities.iter().find(|it| it.starts_with("wait_causes\n")).unwrap();
    assert!(said.starts_with("wait_causes\n0\ncannot read /proc/self/task/*/syscall: "), "{said}");
    for name in ["sleeper", "bare-idle"] {
        let unknown = (State::Blocked, Call::Unknown, Target::Unknown);
        mostly(&seen, name, |it| (it.state, it.call, it.target) == unknown);
    }
    mostly(&seen, "bare-busy", |it| it.state == State::Runnable);
}

#[test]
fn a_thousand_threads_are_seen_as_rarely_as_they_are_dear() {
    for (tier, what) in [(Tier::Rings, "blocked"), (Tier::NoPerf, "bare-blocked")] {
        let seen = record(tier, &[what, "1000"]);
        let life = (seen.header.last_ns - seen.header.start_ns) as f64;
        let all = seen.header.recorder_cpu_ns as f64 / life;
        let most = seen.moments.iter().map(|it| it.entries.len()).max().unwrap_or(0);
        let counters = seen.counters;
        eprintln!(
            "{tier:?} {what} 1000: {:.3} % of a core, at most {most} tasks, {counters:?}",
            100.0 * all
        );
        assert!(seen.counters.taken > 2 && seen.counters.left_out == 0, "{counters:?}");
    }
}

#[test]
fn the_conditions_of_a_run_are_known() {
    let seen = record(Tier::Rings, &["each", "100"]);
    let conditions = seen.conditions.unwrap();
    assert_ne!(conditions.known & KNOWS_STEAL, 0);
    assert!(conditions.cpus >= 1 && conditions.affinity >= 1, "{conditions:?}");
    // The end of the process brings them up to date.
    let (seen_ns, end_ns) = (conditions.seen_ns, seen.header.end_ns);
    assert!(seen_ns <= end_ns && end_ns - seen_ns < 50_000_000, "{conditions:?}");
    assert!(conditions.steal_ns <= u64::from(conditions.cpus) * (end_ns - seen.header.start_ns));
}

#[test]
fn a_limit_of_cpu_time_is_seen_and_its_stalls_are_no_time_of_tasks() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_confined"))
        .args(["cpu", "10", "--", env!("CARGO_BIN_EXE_doings"), "busy", "1"])
        .env("BOTTLENECK_RUN_DIR", directory.path())
        .spawn()
        .unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    for mount in ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup"] {
        // At most one of them is there.
        let _ = std::fs::remove_dir(format!("{mount}/{GROUP_PREFIX}{id}"));
    }
    if output.status.code() == Some(i32::from(NOT_ALLOWED_HERE)) {
        eprintln!("SKIP: no control group can be made here");
        return;
    }
    assert!(output.status.success());
    let seen = Seen::of_run(directory.path());
    let conditions = seen.conditions.unwrap();
    assert_ne!(conditions.known & KNOWS_THROTTLING, 0);
    assert_eq!((conditions.quota_ns, conditions.period_ns), (10_000_000, 100_000_000));
    let life_ns = seen.header.end_ns - seen.header.start_ns;
    let periods = life_ns / conditions.period_ns;
    assert!(conditions.throttled_periods * 2 > periods, "{conditions:?}");
    assert!(conditions.throttled_ns * 4 > life_ns, "{conditions:?} of {life_ns}");
    // It ran for a tenth of the time, and could have all the time. The rest was either taken from all of its threads, and from
    // the recorder's too, or from its thread alone, which then is one that lost its CPU.
    let (mut stalled_ns, mut preempted_ns) = (0, 0);
    for pair in seen.moments.windows(2) {
        let stalled = 1000 * u64::from(pair[1].stalled_us);
        stalled_ns += stalled;
        // A thread that was seen before its first span has two records.
        let is_worker = |entry: &&Entry| seen.tasks[entry.task].name().starts_with("worker");
        let entry = pair[1].entries.iter().find(is_worker);
        if entry.is_some_and(|entry| matches!(entry.state, State::Preempted | State::Runnable)) {
            preempted_ns += (pair[1].at_ns - pair[0].at_ns).saturating_sub(stalled);
        }
    }
    let [stalled, preempted] = [stalled_ns, preempted_ns].map(|ns| ns as f64 / life_ns as f64);
    eprintln!("stalled for {stalled:.3}, preempted for {preempted:.3} of the time: {conditions:?}");
    assert!((0.4..1.05).contains(&(stalled + preempted)), "{stalled} {preempted} {conditions:?}");
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

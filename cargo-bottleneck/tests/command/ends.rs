//! Ends that the user brings about: a time limit, Ctrl-C at any moment, a program with workers, Ctrl-Z.

use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::project::{PROGRAM, Project, manifest, output, stderr, stdout};
use crate::terminal::Terminal;

fn run(project: &Project, args: &[&str]) -> std::process::Output {
    output(&mut project.bottleneck("", &[&["run", "--dev"][..], args].concat()))
}

/// Blocks until `is_so`; fails the test after a minute.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The state of a process, such as `T` for stopped; nothing if there is no such process.
fn state_of(pid: &str) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn runs(project: &Project) -> usize {
    let folder = project.path().join("target/bottleneck-reports/prog");
    fs::read_dir(folder).map_or(0, Iterator::count)
}

#[test]
fn a_program_is_stopped_when_its_time_is_up_and_that_is_no_failure() {
    let project = Project::with_program();
    let actual = run(&project, &["--duration", "200ms", "--", "wait"]);
    let text = stderr(&actual);
    // It has no spans, or it would be 0.
    assert_eq!(actual.status.code(), Some(4), "{text}");
    assert!(text.contains("Running `target/debug/prog wait` for 200 ms"), "{text}");
    assert!(text.contains("Stopping `prog` after 0.2 s, as Ctrl-C would"), "{text}");
    assert!(!text.contains("didn't exit successfully"), "{text}");
    let facts = project.facts("prog");
    assert_eq!((&facts["cut"], &facts["stopped_by"]), (&false.into(), &"duration".into()));
    assert_eq!(
        (&facts["exit"]["signal"], &facts["stopped_after_ns"]),
        (&2.into(), &200_000_000.into())
    );
    let wall = Duration::from_nanos(facts["wall_ns"].as_u64().unwrap());
    assert!(Duration::from_millis(200) <= wall && wall < Duration::from_secs(3), "{wall:?}");
}

#[test]
fn a_program_that_fails_when_its_time_is_up_has_failed() {
    let project = Project::with_program();
    let actual = run(&project, &["--duration", "200ms", "--", "leave"]);
    assert_eq!(actual.status.code(), Some(7), "{}", stderr(&actual));
    assert!(stdout(&actual).contains("left"));
    assert_eq!(project.facts("prog")["cut"], true);
}

#[test]
fn a_program_that_ends_before_its_time_ends_as_ever() {
    let project = Project::with_program();
    let actual = run(&project, &["--duration", "1h", "--", "exit", "3"]);
    assert_eq!(actual.status.code(), Some(3));
    let facts = project.facts("prog");
    assert!(facts["stopped_by"].is_null() && facts["stopped_after_ns"].is_null(), "{facts}");
}

#[test]
fn a_program_that_ignores_the_end_of_its_time_is_killed_with_its_workers() {
    let project = Project::with_program();
    // The worker holds stdout: the output would not end before it.
    let actual = run(&project, &["--duration", "100ms", "--", "parent"]);
    let text = stderr(&actual);
    assert_eq!(actual.status.code(), Some(4), "{text}");
    assert!(text.contains("Killing `prog`, which ran on for 5 s; its report follows"), "{text}");
    let facts = project.facts("prog");
    assert_eq!((&facts["exit"]["signal"], &facts["cut"]), (&9.into(), &false.into()));
}

#[test]
fn the_second_ctrl_c_kills_the_workers_too() {
    let project = Project::with_program();
    let terminal = Terminal::start(project.bottleneck("", &["run", "--dev", "--", "parent"]));
    terminal.wait_for("ready");
    terminal.press_ctrl_c();
    terminal.wait_for("waiting for `prog` to stop");
    terminal.press_ctrl_c();
    // The terminal is held by the worker too.
    let (code, text) = terminal.finish();
    assert_eq!(code, Some(137), "{text}");
    assert_eq!(project.facts("prog")["stopped_by"], "kill");
}

#[test]
fn ctrl_c_during_the_build_ends_both_and_leaves_no_run() {
    let project = Project::new(&[
        ("Cargo.toml", &manifest("prog")),
        ("src/main.rs", PROGRAM),
        // Waits for ever, as a slow build script may.
        (
            "build.rs",
            "fn main() { println!(\"cargo::warning=x\"); std::fs::write(\"building\", \"\").unwrap(); \
            loop { std::thread::park() } }",
        ),
    ]);
    let terminal = Terminal::start(project.bottleneck("", &["run", "--dev"]));
    let building = project.path().join("building");
    wait_until("no build", || building.exists());
    terminal.press_ctrl_c();
    let (code, text) = terminal.finish();
    assert_eq!(code, Some(130), "{text}");
    assert_eq!(runs(&project), 0);
}

#[test]
fn ctrl_c_while_the_machine_is_measured_leaves_nothing_behind() {
    let project = Project::with_program();
    assert_eq!(run(&project, &["--", "exit", "3"]).status.code(), Some(3));
    let latest = project.latest("prog").canonicalize().unwrap();
    let before = runs(&project);
    // The ceilings are measured anew, which takes a while.
    for entry in fs::read_dir(project.path().join("target/bottleneck-reports")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            fs::remove_file(path).unwrap();
        }
    }
    let terminal = Terminal::start(project.bottleneck("", &["run", "--dev", "--", "wait"]));
    wait_until("no folder", || runs(&project) > before);
    terminal.press_ctrl_c();
    let (code, text) = terminal.finish();
    if text.contains("Running `") {
        // Too late: it has started, and was interrupted as any program.
        assert_eq!(code, Some(130), "{text}");
        return;
    }
    assert_eq!(code, Some(130), "{text}");
    assert_eq!(runs(&project), before, "{text}");
    assert_eq!(project.latest("prog").canonicalize().unwrap(), latest);
}

#[test]
fn a_program_that_cannot_be_started_leaves_no_run() {
    let project = Project::with_program();
    let actual = output(&mut project.bottleneck("", &["run", "--exec", "--", "./prog"]));
    assert_eq!(actual.status.code(), Some(96));
    assert!(stderr(&actual).contains("  fix: "), "{}", stderr(&actual));
    assert_eq!(runs(&project), 0);
}

#[test]
fn ctrl_z_stops_both_and_the_run_goes_on_where_it_was() {
    let project = Project::with_program();
    // Only under a shell that can continue it does the terminal stop a job.
    let script = "set -m; \"$@\"; read _; fg";
    let terminal = Terminal::start(project.in_shell(script, &["run", "--dev", "--", "leave"]));
    terminal.wait_for("ready");
    let command = child_of(&terminal.id());
    let program = child_of(&command);
    terminal.press_ctrl_z();
    for pid in [&command, &program] {
        wait_until("it did not stop", || state_of(pid) == Some('T'));
    }
    terminal.press_enter();
    for pid in [&command, &program] {
        wait_until("it did not go on", || state_of(pid) != Some('T'));
    }
    terminal.press_ctrl_c();
    let (code, text) = terminal.finish();
    assert_eq!(code, Some(7), "{text}");
    assert_eq!(project.facts("prog")["exit"]["code"], 7);
}

fn child_of(pid: &str) -> String {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.trim().to_owned()
}

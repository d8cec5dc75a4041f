//! Programs that end badly, and places where nothing can be recorded: there is a report, and it says what happened.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests and what they share: a panic fails them"
)]

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bottleneck_tests::command::{Ran, bottleneck};
use bottleneck_tests::summary::{self, number};
use bottleneck_tests::{NOT_ALLOWED_HERE, Recorded};
use serde_json::Value;
use tempfile::TempDir;

const PROBE: &str = env!("CARGO_BIN_EXE_probe");
const CONFINED: &str = env!("CARGO_BIN_EXE_confined");

/// The arguments of `cargo bottleneck run` for a program that is built already.
fn run_args(folder: &Path, program: &[&str]) -> Vec<OsString> {
    let report = folder.join("report");
    let flags = ["run", "--message-format", "json", "-o"].map(OsString::from);
    let rest = ["--exec", "--"].into_iter().chain(program.iter().copied()).map(OsString::from);
    flags.into_iter().chain([report.into()]).chain(rest).collect()
}

/// A report on a program, with its files in a folder that is removed at the end.
struct Run {
    ran: Ran,
    folder: TempDir,
}

impl Run {
    fn of(program: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let command = bottleneck().command(folder.path(), run_args(folder.path(), program));
        Self { ran: Ran::of(command), folder }
    }

    fn probe(args: &[&str]) -> Self {
        Self::of(&[&[PROBE], args].concat())
    }

    fn report(&self) -> PathBuf {
        self.folder.path().join("report")
    }

    /// The summary, which must be there and in order.
    #[track_caller]
    fn summary(&self) -> Value {
        assert!(self.report().join("flame.svg").is_file(), "{:#?}", self.ran);
        summary::read(&self.report().join("summary.json"))
    }

    /// The span of a path, with the calls that ended.
    #[track_caller]
    fn calls(&self, path: &[&str]) -> u64 {
        number(&span(&self.summary(), path)["calls"])
    }
}

#[track_caller]
fn span<'a>(summary: &'a Value, path: &[&str]) -> &'a Value {
    let mut spans = summary["spans"].as_array().unwrap().iter();
    spans
        .find(|span| span["path"] == serde_json::json!(path))
        .unwrap_or_else(|| panic!("no {path:?}: {summary:#}"))
}

#[track_caller]
fn has_warning(summary: &Value, text: &str) {
    let warnings = &summary["warnings"];
    let mut texts = warnings.as_array().unwrap().iter().filter_map(Value::as_str);
    assert!(texts.any(|warning| warning.contains(text)), "{text:?} is not in {warnings:#}");
}

/// Whether the restriction could be had; if not, says so.
fn is_allowed(ran: &Ran) -> bool {
    let is_allowed = ran.code != Some(i32::from(NOT_ALLOWED_HERE));
    if !is_allowed {
        println!("SKIP: {}", ran.stderr.trim());
    }
    is_allowed
}

#[test]
fn a_program_that_a_signal_ends_has_a_report_with_its_open_spans() {
    for (signal, name) in [(libc::SIGKILL, "SIGKILL"), (libc::SIGTERM, "SIGTERM")] {
        let run = Run::probe(&["signal", &signal.to_string()]);
        assert_eq!(run.ran.code, Some(128 + signal), "{:#?}", run.ran);
        assert!(run.ran.stderr.contains(name), "{}", run.ran.stderr);
        let summary = run.summary();
        assert_eq!((&summary["cut"], &summary["exit"]["signal"]), (&true.into(), &signal.into()));
        assert_eq!(summary["open_spans"], serde_json::json!([["outer", "inner"]]));
        assert_eq!(run.calls(&["outer", "step"]), 1000);
        // Its clock is known although it lived for less than the period of the recorder's thread.
        assert!(!summary["warnings"].to_string().contains("calibrated"), "{summary:#}");
        let lived = number(&span(&summary, &["outer"])["total_ns"]);
        assert!(0 < lived && lived < number(&summary["wall_ns"]), "{summary:#}");
    }
}

#[test]
fn a_program_that_aborts_at_once_names_what_was_open() {
    let run = Run::probe(&["abort"]);
    assert_eq!(run.ran.code, Some(128 + libc::SIGABRT), "{:#?}", run.ran);
    let summary = run.summary();
    assert_eq!(summary["open_spans"], serde_json::json!([["open_at_abort"]]), "{summary:#}");
    assert_eq!(run.calls(&["open_at_abort", "closed"]), 1);
}

#[test]
fn a_panic_closes_its_spans() {
    let run = Run::probe(&["panic-out"]);
    assert_eq!(run.ran.code, Some(101), "{:#?}", run.ran);
    assert!(run.ran.stderr.contains("as the test wants it"));
    assert_eq!((run.calls(&["outer"]), run.calls(&["outer", "inner"])), (1, 1));
    assert_eq!(run.summary()["cut"], true);
}

#[test]
fn exit_closes_the_spans_of_its_thread() {
    let run = Run::probe(&["exit"]);
    assert_eq!(run.ran.code, Some(3), "{:#?}", run.ran);
    let summary = run.summary();
    assert_eq!((&summary["cut"], &summary["exit"]["code"]), (&true.into(), &3.into()));
    assert_eq!((run.calls(&["open_at_exit"]), run.calls(&["open_at_exit", "closed"])), (1, 1));
}

#[test]
fn an_endless_program_is_reported_on_when_it_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let mut command =
        bottleneck().command(folder.path(), run_args(folder.path(), &[PROBE, "count"]));
    // As a shell does it: Ctrl-C goes to every process of the group.
    let mut child =
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let logged: u64 = lines.by_ref().nth(20).expect("it counts").parse().unwrap();
    // SAFETY: touches no memory; the group is the child's own, and the child was not waited for.
    unsafe { libc::kill(-child.id().cast_signed(), libc::SIGINT) };
    lines.for_each(drop);
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(128 + libc::SIGINT), "{ran:#?}");
    let summary = summary::read(&folder.path().join("report/summary.json"));
    assert_eq!((&summary["cut"], &summary["exit"]["signal"]), (&true.into(), &2.into()));
    assert!(number(&span(&summary, &["outer", "step"])["calls"]) >= logged);
    assert_eq!(summary["open_spans"][0][0], "outer");
}

#[test]
fn an_endless_program_is_reported_on_when_its_time_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut args = run_args(folder.path(), &[PROBE, "count"]);
    args.splice(1..1, ["--duration".into(), "300ms".into()]);
    let ran = Ran::of(bottleneck().command(folder.path(), args));
    // Nothing has failed: this is what was asked for.
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(!ran.stderr.contains("error"), "{}", ran.stderr);
    let summary = summary::read(&folder.path().join("report/summary.json"));
    assert_eq!(
        (&summary["cut"], &summary["stopped_after_ns"]),
        (&false.into(), &300_000_000.into())
    );
    assert_eq!(summary["exit"]["signal"], 2);
    assert!(number(&span(&summary, &["outer", "step"])["calls"]) > 0);
    assert_eq!(summary["open_spans"][0][0], "outer");
    let again = Ran::of(bottleneck().command(folder.path(), ["report", "report"]));
    assert!(again.stderr.contains("Stopped: after 300 ms, as asked"), "{}", again.stderr);
}

#[test]
fn a_forked_child_is_named_and_left_out() {
    let run = Run::probe(&["fork"]);
    assert_eq!(run.ran.code, Some(0), "{:#?}", run.ran);
    assert_eq!(run.ran.stdout_of_program(), "child 7\n");
    let summary = run.summary();
    assert_eq!(run.calls(&["around", "inner", "parent_work"]), 10);
    assert!(!summary.to_string().contains("child_work"));
    has_warning(&summary, "another process recorded spans too");
    let recordings = run.ran.message()["recordings"].as_array().unwrap().clone();
    assert_eq!(recordings.len(), 2);
    let child = recordings[1].as_str().unwrap();
    has_warning(&summary, child);
    let again =
        Ran::of(bottleneck().command(
            run.folder.path(),
            ["report", "--message-format", "json", "-o", "child", child],
        ));
    assert_eq!(again.code, Some(0), "{again:#?}");
    let of_child = summary::read(&run.folder.path().join("child/summary.json"));
    assert_eq!(span(&of_child, &["child", "child_work"])["calls"], 100);
}

#[test]
fn the_program_behind_an_exec_is_the_one_reported_on() {
    let run = Run::probe(&["exec"]);
    assert_eq!(run.ran.code, Some(0), "{:#?}", run.ran);
    let summary = run.summary();
    assert_eq!(run.calls(&["outer", "middle", "inner"]), 15);
    assert_eq!((&summary["cut"], &summary["open_spans"]), (&false.into(), &serde_json::json!([])));
    has_warning(&summary, "before `exec`");
    // A later report on `run.bneck` or on the folder is about the same program.
    let root = Recorded::of_run(&run.report());
    assert_eq!(root.node("main/outer/middle/inner").count, 15);
    let again = Ran::of(bottleneck().command(run.folder.path(), ["report", "report"]));
    assert_eq!(again.code, Some(0), "{again:#?}");
    assert_eq!(run.calls(&["outer", "middle", "inner"]), 15);
}

#[test]
fn a_program_without_spans_is_told_how_to_get_some() {
    let run = Run::probe(&["no-spans"]);
    assert_eq!(run.ran.code, Some(4), "{:#?}", run.ran);
    assert!(run.ran.stderr.contains("no spans were recorded in `probe`"), "{}", run.ran.stderr);
    assert!(run.ran.stderr.contains("fix: put #[bottleneck_runtime::bottleneck] on"));
}

#[test]
fn a_recording_that_cannot_grow_says_so_and_loses_no_time() {
    let run = Run::of(&[CONFINED, "file-size", "400000", "--", PROBE, "paths", "1000"]);
    assert_eq!(run.ran.code, Some(0), "{:#?}", run.ran);
    let summary = run.summary();
    has_warning(&summary, "the recording could not grow (File too large");
    let recorded: u64 =
        summary["spans"].as_array().unwrap().iter().map(|span| number(&span["calls"])).sum();
    let refused = number(&summary["lost"]["refused"]);
    assert!(refused > 0 && recorded + refused == 1000, "{recorded} and {refused}");
}

#[test]
fn a_program_that_can_record_nothing_runs_on_and_says_why() {
    let run = Run::of(&[CONFINED, "file-size", "1000", "--", PROBE, "say", "0"]);
    assert_eq!(run.ran.code, Some(4), "{:#?}", run.ran);
    let stderr = &run.ran.stderr;
    assert!(run.ran.stdout.starts_with("to stdout, without an end of line"));
    assert!(stderr.contains("nothing is recorded: cannot make a profile in"), "{stderr}");
    assert!(stderr.contains("File too large"), "{stderr}");
    // The command cannot know why there is no recording, and does not claim to.
    assert!(stderr.contains("or no recording could be made"), "{stderr}");
}

/// Runs the command itself, and with it the program, under a restriction of a folder.
fn run_on_disk(restriction: &str, value: &dyn Fn(&Path) -> OsString) -> (Ran, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("report");
    fs::create_dir(&disk).unwrap();
    let inside = bottleneck().command(folder.path(), run_args(folder.path(), &[PROBE, "mixed"]));
    let mut command = Command::new(CONFINED);
    command.arg(restriction).arg(value(&disk)).arg("--").arg(inside.get_program());
    command.args(inside.get_args()).current_dir(folder.path()).stdin(Stdio::null());
    (Ran::of(command), folder)
}

fn disk_of(bytes: u64) -> impl Fn(&Path) -> OsString {
    move |folder| {
        let mut value = folder.as_os_str().to_owned();
        value.push(format!("={bytes}"));
        value
    }
}

#[test]
fn a_folder_without_room_for_the_recording_still_gets_it_in_the_end() {
    // Room for the report, but not for the 256 KiB that a recording takes at its start.
    let (ran, _folder) = run_on_disk("disk", &disk_of(252 << 10));
    if !is_allowed(&ran) {
        return;
    }
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stderr.contains("recording into memory"), "{}", ran.stderr);
    let message = ran.message();
    summary::check(&message["summary"]);
    assert_eq!(span(&message["summary"], &["busy", "work"])["calls"], 40);
    assert!(message["recording"].as_str().unwrap().ends_with("report/run.bneck"), "{message:#}");
    assert_eq!(message["files"].as_object().unwrap().len(), 2);
}

/// What hinders, how a folder is made that shows it, and what is said of it.
type Case<'a> = (&'a str, &'a dyn Fn(&Path) -> OsString, &'a str);

#[test]
fn a_run_is_judged_even_if_nothing_of_it_can_be_written() {
    let read_only = |folder: &Path| folder.as_os_str().to_owned();
    let full = disk_of(4096);
    let cases: [Case<'_>; 2] = [
        ("read-only", &read_only, "Read-only file system"),
        ("disk", &full, "No space left on device"),
    ];
    for (restriction, value, reason) in cases {
        let (ran, _folder) = run_on_disk(restriction, value);
        if !is_allowed(&ran) {
            return;
        }
        assert_eq!(ran.code, Some(110), "{ran:#?}");
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
        assert!(ran.stderr.contains("name another folder with -o DIR"), "{}", ran.stderr);
        let message = ran.message();
        summary::check(&message["summary"]);
        assert_eq!(span(&message["summary"], &["busy", "work"])["calls"], 40);
    }
}

/// `/proc` is a folder in which nobody can make a file, on every machine and for every user.
#[test]
fn without_the_command_a_folder_that_takes_no_file_is_named_and_the_program_runs_on() {
    let output = Command::new(PROBE)
        .args(["say", "7"])
        .env("BOTTLENECK_RUN_DIR", "/proc/self")
        .output()
        .unwrap();
    let ran = Ran::from(output);
    assert_eq!(ran.code, Some(7));
    assert_eq!(ran.stdout, "to stdout, without an end of line");
    assert_eq!(ran.stderr.lines().count(), 2, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("nothing is recorded: cannot make a profile in /proc/self"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_folder_that_takes_no_file_is_replaced_by_the_file_in_memory() {
    use std::os::fd::{AsRawFd as _, FromRawFd as _};
    // SAFETY: the name ends with a zero byte.
    let descriptor = unsafe { libc::memfd_create(c"memory".as_ptr(), libc::MFD_CLOEXEC) };
    // SAFETY: the kernel has just given this descriptor, and nobody else has it.
    let memory = unsafe { fs::File::from_raw_fd(descriptor) };
    let path = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
    let status = Command::new(PROBE)
        .arg("fork")
        .env("BOTTLENECK_RUN_DIR", "/proc/self")
        .env("BOTTLENECK_FALLBACK_FILE", &path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    // The child finds the file taken, records nothing, and harms nothing.
    let recorded = Recorded::read(Path::new(&path));
    assert_eq!(recorded.node("main/around/inner/parent_work").count, 10);
    assert!(!recorded.nodes.keys().any(|path| path.contains("child")));
}

/// On-CPU time of a path and what is below, against the clock that the program printed (wall, CPU). `None` if they agree.
fn off_the_clock(ran: &Ran, summary: &Value, path: &str, tolerance: f64) -> Option<String> {
    let spans = summary["spans"].as_array().unwrap().iter();
    let on_cpu: u64 =
        spans.filter(|span| span["path"][0] == path).map(|span| number(&span["on_cpu_ns"])).sum();
    let (wall, cpu) = ran.stdout_of_program().trim().split_once(' ').unwrap();
    let (wall, cpu): (f64, f64) = (wall.parse().unwrap(), cpu.parse().unwrap());
    let off = (on_cpu as f64 - cpu).abs();
    (off > tolerance * wall)
        .then(|| format!("{on_cpu} ns on the CPU, {cpu} by its clock, of {wall}"))
}

/// What a hypervisor takes is on the CPU for the switch records and not for the clock: one run of three is without. A
/// mistake of ours would be in each.
#[track_caller]
fn agrees_once(run: impl Fn() -> Option<String>) {
    let problems: Vec<String> = (0..3).map_while(|_| run()).collect();
    assert!(problems.len() < 3, "{problems:#?}");
}

#[test]
fn where_the_kernel_refuses_switch_records_the_thread_clock_is_named_and_right() {
    agrees_once(|| {
        let run = Run::of(&[CONFINED, "no-perf", "--", PROBE, "mixed"]);
        if !is_allowed(&run.ran) {
            return None;
        }
        assert_eq!(run.ran.code, Some(0), "{:#?}", run.ran);
        let summary = run.summary();
        assert_eq!(summary["on_cpu_source"], "thread clock");
        has_warning(&summary, "perf_event_open gave errno 1");
        off_the_clock(&run.ran, &summary, "busy", 0.05)
    });
}

#[test]
fn an_ordinary_user_gets_the_same() {
    agrees_once(run_as_an_ordinary_user);
}

fn run_as_an_ordinary_user() -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    fs::create_dir(&report).unwrap();
    // The user of the restricted run: `nobody` on most systems; it need not exist.
    let user = 65_534;
    std::os::unix::fs::chown(folder.path(), Some(user), Some(user)).ok();
    std::os::unix::fs::chown(&report, Some(user), Some(user)).ok();
    let inside = bottleneck().command(folder.path(), run_args(folder.path(), &[PROBE, "mixed"]));
    let mut command = Command::new(CONFINED);
    command.args(["user", &user.to_string(), "--"]).arg(inside.get_program());
    command.args(inside.get_args()).current_dir(folder.path()).stdin(Stdio::null());
    let ran = Ran::of(command);
    if !is_allowed(&ran) {
        return None;
    }
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let summary = summary::read(&report.join("summary.json"));
    let source = summary["on_cpu_source"].as_str().unwrap();
    if source == "context switches" {
        return off_the_clock(&ran, &summary, "busy", 0.02);
    }
    println!("no switch records for an ordinary user here: {}", summary["warnings"]);
    off_the_clock(&ran, &summary, "busy", 0.05)
}

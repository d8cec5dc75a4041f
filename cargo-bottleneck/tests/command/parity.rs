//! One program under cargo and under the command: its environment, arguments, folder, stdin, stdout, stderr and exit are
//! the same, for every kind of target.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output, Stdio};

use crate::environment::rich;
use crate::project::{Project, assert_same, stderr, stdout};

/// A target, and how it is run by each side.
struct Target {
    folder: &'static str,
    by_cargo: &'static [&'static str],
    by_us: &'static [&'static str],
}

const BINARY: Target = Target { folder: "", by_cargo: &["run"], by_us: &["run", "--dev"] };
const EXAMPLE: Target = Target {
    folder: "docs",
    by_cargo: &["run", "--example", "ex"],
    by_us: &["run", "--dev", "--example", "ex"],
};
const TEST: Target = Target {
    folder: "src",
    by_cargo: &["test", "--test", "t"],
    by_us: &["test", "--dev", "--test", "t"],
};
const BENCH: Target = Target {
    folder: "",
    by_cargo: &["bench", "--bench", "b"],
    by_us: &["bench", "--release", "--bench", "b"],
};
const MEMBER: Target =
    Target { folder: "crates/member/src", by_cargo: &["run"], by_us: &["run", "--dev"] };
const MEMBER_BY_NAME: Target = Target {
    folder: "src",
    by_cargo: &["run", "-p", "member@4.5.6"],
    by_us: &["run", "--dev", "-p", "member@4.5.6"],
};
const MEMBER_TEST: Target = Target {
    folder: "crates/member/src",
    by_cargo: &["test", "--test", "mt"],
    by_us: &["test", "--dev", "--test", "mt"],
};

const STDIN: &[u8] = b"not a line\nbytes \xff\x00 and no end";

/// Runs a command with bytes on its stdin, and a variable that is no text.
fn run(mut command: Command, args: &[&str]) -> Output {
    if !args.is_empty() {
        command.arg("--").args(args);
        // Cargo takes arguments that are no text for a program, not for a test.
        if command.get_args().any(|arg| arg == "run") {
            command.arg(OsStr::from_bytes(b"not text \xfe"));
        }
    }
    command.env("NOT_TEXT", OsStr::from_bytes(b"\xff")).env("EMPTY", "");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read may have ended before.
    let _ = child.stdin.take().unwrap().write_all(STDIN);
    child.wait_with_output().unwrap()
}

fn both(project: &Project, target: &Target, args: &[&str]) -> (Output, Output) {
    let cargo = project.cargo(target.folder, target.by_cargo);
    let ours = project.bottleneck(target.folder, target.by_us);
    (run(cargo, args), run(ours, args))
}

/// What the program wrote itself, without the number of its thread.
fn of_program(output: &Output) -> Vec<String> {
    let is_its_own = |line: &&str| {
        ["program: ", "thread 'main'", "as asked", "note: run with `RUST_BACKTRACE"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let without_number = |line: &str| match (line.split_once(" ("), line.split_once(") ")) {
        (Some((before, _)), Some((_, after))) => format!("{before} {after}"),
        _ => line.to_owned(),
    };
    stderr(output).lines().filter(is_its_own).map(without_number).collect()
}

/// The code that a shell would show.
fn code(output: &Output) -> i32 {
    output.status.code().or(output.status.signal().map(|signal| 128 + signal)).unwrap()
}

#[test]
fn every_variable_argument_and_folder_is_the_same() {
    let project = rich();
    for target in [&BINARY, &EXAMPLE, &TEST, &BENCH, &MEMBER, &MEMBER_BY_NAME, &MEMBER_TEST] {
        for args in [&[][..], &["--", "", "a b", "--color", "-q", "é"]] {
            let (expected, actual) = both(&project, target, args);
            assert_same(&expected, &actual);
            // What makes the comparison worth something is there.
            let text = stdout(&actual);
            for name in ["NOT_TEXT=\\xff", "EMPTY=\n", "FROM_RUNNER=1", "LANG=forced", "CARGO="] {
                assert!(text.contains(name), "{name} is missing: {text}");
            }
            for name in ["OUT_DIR", "LD_LIBRARY_PATH", "CARGO_PKG_AUTHORS", "RELATIVE"] {
                assert!(text.contains(&format!("\n{name}=")), "{name} is missing: {text}");
            }
            assert_eq!(of_program(&expected), of_program(&actual));
        }
    }
}

#[test]
fn streams_and_exits_are_the_same() {
    let project = rich();
    for (target, modes) in [
        (&BINARY, &["cat", "say x", "exit 0", "exit 7", "panic", "segv", "signal 9"][..]),
        (&TEST, &["cat", "exit 0", "exit 7", "panic"]),
        (&EXAMPLE, &["exit 7"]),
        (&BENCH, &["cat", "exit 7"]),
        (&MEMBER, &["panic", "signal 15"]),
    ] {
        for mode in modes {
            let args: Vec<&str> = mode.split(' ').collect();
            let (expected, actual) = both(&project, target, &args);
            let of = format!("{:?} {mode}:\n{}", target.by_us, stderr(&actual));
            assert_eq!(expected.stdout, actual.stdout, "stdout of {of}");
            assert_eq!(of_program(&expected), of_program(&actual), "stderr of {of}");
            assert!(!of_program(&actual).is_empty(), "stderr of {of}");
            // A good end without spans has a code of its own.
            let expected = if expected.status.success() { 4 } else { code(&expected) };
            assert_eq!(code(&actual), expected, "exit of {of}");
        }
    }
}

#[test]
fn a_test_that_a_signal_ends_gives_the_code_of_a_shell() {
    // Cargo gives 101 then, which is also that of a failed assertion.
    let (expected, actual) = both(&rich(), &TEST, &["signal", "9"]);
    assert_eq!((code(&expected), code(&actual)), (101, 137), "{}", stderr(&actual));
    assert!(stderr(&actual).contains("(signal: 9, SIGKILL: kill)"), "{}", stderr(&actual));
}

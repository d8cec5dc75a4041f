//! What is said when something goes wrong: one golden file per situation, in `snapshots`. Each message says what happened,
//! why, and how to go on.
//!
//! Lines of cargo and of rustc, which differ from version to version, are left out, but for the first of an error.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use bottleneck_runtime::format::{MAJOR, MINOR};

use crate::project::{Project, manifest, output, stderr, stdout, text};
use crate::recordings;

/// The messages of a run of the command, and its code, held against the golden file of this name.
#[track_caller]
fn golden(name: &str, project: &Project, mut command: Command) {
    let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let output = output(&mut command);
    assert_calm(&output);
    let code = output.status.code().map_or("none".to_owned(), |code| code.to_string());
    let text = format!(
        "$ cargo {}\ncode: {code}\nstdout: {}\n\n{}",
        args.join(" "),
        stdout(&output).lines().count(),
        messages(&stderr(&output))
    );
    let text = without_machine(&text, project);
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

/// No words of a panic, and nothing that a terminal would obey.
#[track_caller]
pub(crate) fn assert_calm(output: &Output) {
    for text in [stdout(output), stderr(output)] {
        for words in ["panicked at", "RUST_BACKTRACE", "stack backtrace", "called `Option::unwrap"]
        {
            assert!(!text.contains(words), "{words}: {text}");
        }
        assert!(!text.chars().any(|c| c.is_control() && !"\n\t".contains(c)), "{text:?}");
    }
}

/// Errors, warnings and notes with the lines that belong to them. Status lines and the output of other tools are not of
/// this test.
fn messages(text: &str) -> String {
    let mut res = String::new();
    let mut is_inside = false;
    for line in text.lines() {
        let is_start = ["error", "warning", "note"].iter().any(|label| line.starts_with(label));
        let is_rustcs = line.starts_with("error[E") || line.contains("could not compile");
        is_inside = (is_start && !is_rustcs) || (is_inside && !is_status(line));
        let is_cargos = line.starts_with("  |") || line.contains("Caused by");
        if is_inside && !is_cargos && !line.trim().is_empty() {
            res.push_str(line);
            res.push('\n');
        }
    }
    res
}

/// `    Finished ...`: a word that ends at the twelfth column.
fn is_status(line: &str) -> bool {
    let Some((word, _)) = line.split_at_checked(12) else { return false };
    let name = word.trim_start();
    line[12..].starts_with(' ')
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && !name.contains(' ')
}

/// Times, places and numbers of this machine.
fn without_machine(text: &str, project: &Project) -> String {
    let text = text
        .replace(text_of(project).as_str(), "[PROJECT]")
        .replace(&format!(" {MAJOR}.{}", MINOR + 7), " [NEWER]")
        .replace(&format!(" {MAJOR}.{MINOR}"), " [OURS]");
    let mut res = String::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        if let Some((before, after)) = line.split_once("(ran ") {
            let rest = after.split_once(')').map_or("", |(_, rest)| rest);
            line = format!("{before}(ran [TIME]){rest}");
        }
        if let Some(at) = line.find("/20").filter(|&at| line[at + 1..].contains('Z')) {
            let end = at + 1 + line[at + 1..].find('Z').unwrap() + 1;
            line.replace_range(at + 1..end, "[RUN]");
        }
        res.push_str(&line);
        res.push('\n');
    }
    res
}

fn text_of(project: &Project) -> String {
    text(&project.path()).to_owned()
}

fn empty() -> Project {
    Project::new(&[])
}

fn two_binaries() -> Project {
    const PROGRAM: &str = "fn main() {}";
    Project::new(&[
        ("Cargo.toml", &manifest("server")),
        ("src/main.rs", PROGRAM),
        ("src/bin/tool.rs", PROGRAM),
        ("examples/demo.rs", PROGRAM),
    ])
}

#[test]
fn what_cannot_be_built() {
    let project = empty();
    golden("no_manifest", &project, project.bottleneck("", &["run"]));
    let project = Project::new(&[("Cargo.toml", "[package]\nname = 3\n"), ("src/main.rs", "")]);
    golden("bad_manifest", &project, project.bottleneck("", &["run"]));
    let project =
        Project::new(&[("Cargo.toml", &manifest("prog")), ("src/main.rs", "fn main() { x }")]);
    golden("build_fails", &project, project.bottleneck("", &["run", "--dev"]));
    let project = Project::new(&[
        ("Cargo.toml", &manifest("lib")),
        ("src/lib.rs", ""),
        ("examples/demo.rs", "fn main() {}"),
    ]);
    golden("no_binary", &project, project.bottleneck("", &["run"]));
}

#[test]
fn which_program_is_not_clear() {
    let project = two_binaries();
    let run = |args: &[&str]| project.bottleneck("", &[&["run", "--dev"][..], args].concat());
    golden("no_such_binary", &project, run(&["--bin", "serve"]));
    golden("no_such_example", &project, run(&["--example", "dem"]));
    golden("no_such_package", &project, run(&["-p", "servr"]));
    golden("ambiguous_binary", &project, run(&[]));
    golden("ambiguous_binary_with_a_path", &project, run(&["--", "./src/main.rs"]));
    golden("two_targets", &project, run(&["--bin", "server", "--example", "demo"]));
}

#[test]
fn what_cannot_be_started() {
    let project = Project::new(&[
        ("notes.txt", "text\n"),
        ("script.sh", "#!/no/such/shell -e\n"),
        ("folder/x", ""),
    ]);
    let path = project.path();
    for (name, mode) in [("notes.txt", 0o644), ("script.sh", 0o755)] {
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::write(path.join("no-program"), [0_u8; 64]).unwrap();
    fs::set_permissions(path.join("no-program"), fs::Permissions::from_mode(0o755)).unwrap();
    let exec = |program: &str| project.bottleneck("", &["run", "--exec", "--", program]);
    golden("program_not_found", &project, exec("./nowhere"));
    golden("program_not_in_path", &project, exec("no-such-program"));
    golden("program_not_executable", &project, exec("./notes.txt"));
    golden("program_is_a_folder", &project, exec("./folder"));
    golden("program_is_no_program", &project, exec("./no-program"));
    golden("script_without_interpreter", &project, exec("./script.sh"));
}

#[test]
fn a_runner_that_is_not_there() {
    let project = Project::with_program();
    let config = "target.'cfg(unix)'.runner=['no-such-runner', '-x']";
    golden(
        "runner_not_found",
        &project,
        project.bottleneck("", &["run", "--dev", "--config", config]),
    );
}

#[test]
fn how_a_program_ended() {
    let project = Project::with_program();
    let run = |args: &[&str]| project.bottleneck("", &[&["run"][..], args].concat());
    golden("no_spans_and_dev_profile", &project, run(&["--dev", "--", "exit", "0"]));
    golden("killed_by_a_signal", &project, run(&["-q", "--dev", "--", "signal", "9"]));
    golden("failed_without_spans", &project, run(&["-q", "--dev", "--", "exit", "3"]));
    golden("no_line_numbers", &project, run(&["--release", "--", "exit", "0"]));
}

#[test]
fn what_cannot_be_reported_on() {
    let project =
        Project::new(&[("text.bneck", "a text\n"), ("empty.bneck", ""), ("folder/notes.txt", "")]);
    let path = project.path();
    fs::write(path.join("other-major.bneck"), recordings::other_major()).unwrap();
    fs::write(path.join("foreign.bneck"), recordings::foreign_endian()).unwrap();
    fs::write(path.join("torn.bneck"), recordings::torn()).unwrap();
    recordings::huge(&path.join("huge.bneck"));
    assert!(Command::new("mkfifo").arg(path.join("pipe.bneck")).status().unwrap().success());
    let report = |file: &str| project.bottleneck("", &["report", file, "-o", "reports"]);
    golden("nothing_to_report_on", &project, project.bottleneck("", &["report"]));
    golden("recording_missing", &project, report("missing.bneck"));
    golden("recording_is_text", &project, report("text.bneck"));
    golden("recording_is_empty", &project, report("empty.bneck"));
    golden("recording_is_torn", &project, report("torn.bneck"));
    golden("recording_of_another_version", &project, report("other-major.bneck"));
    golden("recording_of_another_byte_order", &project, report("foreign.bneck"));
    golden("recording_is_huge", &project, report("huge.bneck"));
    golden("recording_is_a_pipe", &project, report("pipe.bneck"));
    golden("recording_is_a_device", &project, report("/dev/zero"));
    golden("folder_without_recordings", &project, report("folder"));
}

#[test]
fn a_recording_that_may_not_be_read() {
    let project = empty();
    let file = project.path().join("secret.bneck");
    fs::write(&file, recordings::good()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(project.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = project.bottleneck("", &["report", "secret.bneck", "-o", "reports"]);
    // SAFETY: `geteuid` cannot fail and touches no memory.
    if unsafe { libc::geteuid() } == 0 {
        // Nothing is forbidden to root: the command becomes nobody.
        command.gid(65_534).uid(65_534);
        fs::create_dir(project.path().join("reports")).unwrap();
        let folder = project.path().join("reports");
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
        if Command::new(env!("CARGO_BIN_EXE_cargo-bottleneck"))
            .arg("-V")
            .uid(65_534)
            .output()
            .is_err()
        {
            return println!("SKIP: nobody may not start the command here");
        }
    }
    golden("recording_not_readable", &project, command);
}

#[test]
fn recordings_with_something_to_know() {
    let project = empty();
    let path = project.path();
    fs::write(path.join("damaged.bneck"), recordings::damaged()).unwrap();
    fs::write(path.join("newer.bneck"), recordings::newer_minor()).unwrap();
    fs::write(path.join("good.bneck"), recordings::good()).unwrap();
    let report = |file: &str| project.bottleneck("", &["report", "-q", file, "-o", "reports"]);
    golden("recording_good", &project, report("good.bneck"));
    golden("recording_damaged", &project, report("damaged.bneck"));
    golden("recording_of_a_newer_minor_version", &project, report("newer.bneck"));
    let summary = fs::read_to_string(path.join("reports/summary.json")).unwrap();
    assert!(summary.contains("install a newer cargo-bottleneck"), "{summary}");
}

#[test]
fn what_cannot_be_written() {
    let project = Project::with_program();
    fs::write(project.path().join("taken"), "").unwrap();
    fs::write(project.path().join("good.bneck"), recordings::good()).unwrap();
    let with =
        |args: &[&str], output: &str| project.bottleneck("", &[args, &["-o", output]].concat());
    golden("run_cannot_write", &project, with(&["run", "-q", "--dev"], "taken/reports"));
    golden("report_cannot_write", &project, with(&["report", "good.bneck"], "taken/reports"));
    golden(
        "report_cannot_write_one_file",
        &project,
        with(&["report", "-q", "good.bneck"], "taken/flame.svg"),
    );
    let mut command = with(&["report", "-q", "good.bneck", "--format", "svg"], "full");
    no_more_than(&mut command, 4096);
    golden("disk_full", &project, command);
}

/// As on a disk with so much room: a file that grows beyond it gives an error.
fn no_more_than(command: &mut Command, bytes: u64) {
    // SAFETY: the closure only makes async-signal-safe calls, with values on its own stack.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit);
            Ok(())
        });
    }
}

#[test]
fn words_that_make_no_sense() {
    let project = empty();
    let words = |args: &[&str]| project.bottleneck("", args);
    golden("bad_format", &project, words(&["run", "--format", "htm"]));
    golden("bad_message_format", &project, words(&["report", "--message-format", "xml"]));
    golden("bad_color", &project, words(&["run", "--color", "sometimes"]));
    golden("bad_flag", &project, words(&["run", "--relese"]));
    golden("bad_command", &project, words(&["rnu"]));
    golden("release_and_dev", &project, words(&["run", "--release", "--dev"]));
    golden("quiet_and_verbose", &project, words(&["run", "-q", "-v"]));
    golden("exec_and_bin", &project, words(&["run", "--exec", "--bin", "a", "--", "./x"]));
    golden("exec_without_program", &project, words(&["run", "--exec"]));
}

#[test]
fn a_fault_of_the_command_itself() {
    let project = Project::with_program();
    fs::write(project.path().join("good.bneck"), recordings::good()).unwrap();
    let fault = |place: &str, args: &[&str]| {
        let mut command = project.bottleneck("", args);
        command.env("BOTTLENECK_TEST_FAULT", place).env("RUST_BACKTRACE", "1");
        command
    };
    golden("fault", &project, fault("main", &["doctor"]));
    golden(
        "fault_in_a_report",
        &project,
        fault("report", &["report", "good.bneck", "-o", "reports"]),
    );
    // The code of the program comes before ours, as always.
    let failed = fault("report", &["run", "-q", "--dev", "--", "exit", "3"]);
    golden("fault_after_a_failed_program", &project, failed);
}

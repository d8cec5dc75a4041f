//! Exit codes, reports of failed runs, and what is said where.

use std::fs;

use crate::project::{Project, manifest, output, stderr, stdout, text};

fn run(project: &Project, args: &[&str]) -> std::process::Output {
    output(&mut project.bottleneck("", &[&["run", "--dev"][..], args].concat()))
}

#[test]
fn the_code_of_the_program_is_passed_on() {
    let project = Project::with_program();
    for code in ["1", "2", "4", "96", "101", "255"] {
        let actual = run(&project, &["--", "exit", code]);
        assert_eq!(actual.status.code().unwrap().to_string(), code, "{}", stderr(&actual));
        assert_eq!(project.facts("prog")["cut"], true);
    }
    assert_eq!(run(&project, &["--", "panic"]).status.code(), Some(101));
}

#[test]
fn a_good_end_without_spans_has_a_code_of_its_own() {
    let project = Project::with_program();
    let actual = run(&project, &["--", "exit", "0"]);
    assert_eq!(actual.status.code(), Some(4));
    assert!(
        stderr(&actual).contains("error: no spans were recorded in `prog` (ran "),
        "{}",
        stderr(&actual)
    );
    assert_eq!(project.facts("prog")["cut"], false);
}

#[test]
fn a_signal_gives_the_code_of_a_shell_and_the_words_of_cargo() {
    let project = Project::with_program();
    for (args, code, words) in [
        (&["signal", "9"][..], 137, "(signal: 9, SIGKILL: kill)"),
        (&["signal", "15"], 143, "(signal: 15, SIGTERM: termination signal)"),
        (&["segv"], 139, "(signal: 11, SIGSEGV: invalid memory reference)"),
    ] {
        let actual = run(&project, &[&["--"][..], args].concat());
        assert_eq!(actual.status.code(), Some(code));
        let text = stderr(&actual);
        assert!(text.contains("process didn't exit successfully: `target/debug/prog "), "{text}");
        assert!(text.contains(words), "{text}");
        let facts = project.facts("prog");
        assert_eq!((&facts["cut"], &facts["exit"]["signal"]), (&true.into(), &(code - 128).into()));
        assert!(0 < facts["wall_ns"].as_u64().unwrap());
    }
}

#[test]
fn json_is_one_line_after_the_output_of_the_program() {
    let project = Project::with_program();
    let actual = run(&project, &["--message-format", "json", "--", "exit", "3"]);
    assert_eq!(actual.status.code(), Some(3));
    assert_eq!(stdout(&actual).trim().lines().count(), 1, "{}", stdout(&actual));

    let actual = run(&project, &["--message-format", "json"]);
    let text = stdout(&actual);
    let (program, last) = text.trim_end().rsplit_once('\n').unwrap();
    assert!(program.contains("cwd ") && !program.contains("\"reason\""));
    let line: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(line["reason"], "bottleneck-report");
    assert_eq!(line["program"], "prog");
    assert_eq!(line["exit"]["code"], 0);
    assert!(line["directory"].as_str().unwrap().starts_with(crate::project::text(&project.path())));
}

#[test]
fn the_line_of_json_never_begins_in_a_line_of_the_program() {
    let project = Project::with_program();
    let args = ["run", "--dev", "--message-format", "json", "--", "say"];
    let into_file = |before: &str, words: &str| {
        let path = project.path().join("out.txt");
        fs::write(&path, before).unwrap();
        let file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        let mut command = project.bottleneck("", &[&args[..], &[words]].concat());
        command.stdin(std::process::Stdio::null()).stdout(file).output().unwrap();
        fs::read_to_string(path).unwrap()
    };
    // What a file ends with can be seen.
    assert!(into_file("", "open").starts_with("open\n{\"cut\""), "{}", into_file("", "open"));
    assert!(into_file("", "closed\n").starts_with("closed\n{\"cut\""));
    assert!(into_file("", "").starts_with("{\"cut\""));
    assert!(into_file("open", "").starts_with("open\n{\"cut\""));
    // What went through a pipe cannot.
    let through_pipe =
        |words: &str| stdout(&output(&mut project.bottleneck("", &[&args[..], &[words]].concat())));
    assert!(through_pipe("open").starts_with("open\n{\"cut\""));
    assert!(through_pipe("closed\n").starts_with("closed\n\n{\"cut\""));
    let report = project.bottleneck("", &["report", "--message-format", "json"]).output().unwrap();
    assert!(
        stdout(&report).is_empty() || stdout(&report).starts_with('{'),
        "nothing was before it"
    );
}

#[test]
fn a_failing_build_ends_with_the_code_of_cargo_and_its_words_only() {
    let project = Project::new(&[
        ("Cargo.toml", &manifest("prog")),
        ("src/main.rs", "fn main() { nonsense }"),
    ]);
    let actual = run(&project, &[]);
    assert_eq!(actual.status.code(), Some(101));
    let text = stderr(&actual);
    let errors = text.lines().filter(|line| line.starts_with("error")).count();
    assert_eq!(errors, 2, "the one of rustc and the one of cargo:\n{text}");
    assert!(text.contains("cannot find value `nonsense`"), "{text}");
    assert!(!project.path().join("target/bottleneck-reports").exists());
}

#[test]
fn a_program_that_cannot_be_started_is_a_failed_set_up() {
    let project = Project::with_program();
    let actual = output(&mut project.bottleneck("", &["run", "--exec", "--", "./nowhere"]));
    assert_eq!(actual.status.code(), Some(96));
    assert!(
        stderr(&actual).contains("error: cannot start `./nowhere`\n  why: No such file"),
        "{}",
        stderr(&actual)
    );
}

#[test]
fn a_folder_that_cannot_be_written_is_said_with_the_way_out() {
    let project = Project::with_program();
    fs::write(project.path().join("taken"), "").unwrap();
    let actual = run(&project, &["-o", "taken/reports"]);
    assert_eq!(actual.status.code(), Some(110));
    let text = stderr(&actual);
    assert!(
        text.contains("error: cannot write `taken/reports`")
            && text.contains("fix: name another folder"),
        "{text}"
    );
}

#[test]
fn quiet_says_nothing_but_errors() {
    let project = Project::with_program();
    let actual = run(&project, &["-q", "--", "exit", "3"]);
    let text = stderr(&actual);
    assert!(
        !text.contains("Running") && !text.contains("Finished") && !text.contains("Compiling"),
        "{text}"
    );
}

#[test]
fn color_is_as_asked() {
    let project = Project::with_program();
    let of = |when: &str| stderr(&run(&project, &["--color", when, "--", "exit", "3"]));
    assert!(of("always").contains("\u{1b}["));
    assert!(!of("never").contains("\u{1b}["));
    assert!(!of("auto").contains("\u{1b}["), "a pipe is no terminal");
}

#[test]
fn two_runs_have_two_folders_and_latest_is_the_second() {
    let project = Project::with_program();
    run(&project, &["--", "exit", "1"]);
    let first = project.latest("prog").canonicalize().unwrap();
    run(&project, &["--", "exit", "2"]);
    let second = project.latest("prog").canonicalize().unwrap();
    assert_ne!(first, second);
    assert!(first.join("run.json").exists());
    assert_eq!(project.facts("prog")["exit"]["code"], 2);
}

#[test]
fn a_report_needs_a_recording() {
    let project = Project::with_program();
    let report =
        |args: &[&str]| output(&mut project.bottleneck("", &[&["report"][..], args].concat()));
    let nothing = report(&[]);
    assert_eq!(nothing.status.code(), Some(96));
    assert!(stderr(&nothing).contains("error: no run to report on"), "{}", stderr(&nothing));
    let missing = report(&[text(&project.path().join("x.bneck"))]);
    assert!(stderr(&missing).contains("why: No such file or directory"), "{}", stderr(&missing));
}

#[test]
fn the_doctor_answers_in_words_and_in_json() {
    let project = Project::with_program();
    let words = output(&mut project.bottleneck("", &["doctor"]));
    for heading in ["Machine\n", "\nCeilings\n", "\nWhat can be observed here\n"] {
        assert!(stdout(&words).contains(heading), "{}", stdout(&words));
    }
    let json = output(&mut project.bottleneck("", &["doctor", "--message-format", "json"]));
    let line: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(line["reason"], "bottleneck-doctor");
}

//! Folders that cannot be written, are taken, or are used by two runs at once.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Stdio};

use crate::project::{Project, output, stderr, text};

fn run(project: &Project, args: &[&str]) -> std::process::Output {
    output(&mut project.bottleneck("", &[&["run", "--dev"][..], args].concat()))
}

#[test]
fn two_runs_in_the_same_second_keep_apart() {
    let project = Project::with_program();
    assert_eq!(run(&project, &["--", "exit", "1"]).status.code(), Some(1));
    let start = |code: &str| -> Child {
        let program = project.path().join("target/debug/prog");
        let args = ["run", "-q", "--exec", "--", text(&program), "exit", code];
        let mut command = project.bottleneck("", &args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let codes = ["11", "12", "13", "14", "15", "16"];
    let children = codes.map(|code| (code, start(code)));
    for (code, child) in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code().unwrap().to_string(), code, "{}", stderr(&output));
    }
    let reports = project.path().join("target/bottleneck-reports/prog");
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(&reports).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.extension().is_none_or(|it| it != "tmp"), "{path:?} is left over");
        if !path.is_symlink() {
            let facts: serde_json::Value =
                serde_json::from_slice(&fs::read(path.join("run.json")).unwrap()).unwrap();
            seen.insert(facts["exit"]["code"].as_u64().unwrap());
        }
    }
    assert_eq!(seen, BTreeSet::from([1, 11, 12, 13, 14, 15, 16]));
    assert!(
        project.facts("prog")["exit"]["code"].as_u64().unwrap() > 10,
        "`latest` is one of them"
    );
}

#[test]
fn a_folder_that_another_run_records_into_is_refused() {
    use std::io::{BufRead as _, BufReader};
    let project = Project::with_program();
    let mut command = project.bottleneck("", &["run", "--dev", "-o", "out", "--", "wait"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let second = run(&project, &["-o", "out", "--", "exit", "3"]);
    assert_eq!(second.status.code(), Some(110));
    let text = stderr(&second);
    assert!(
        text.contains("error: cannot record into `out`\n  why: another `cargo bottleneck run`"),
        "{text}"
    );
    // SAFETY: touches no memory, and the child has not been waited for, so its id is its own.
    unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(run(&project, &["-o", "out", "--", "exit", "3"]).status.code(), Some(3));
}

#[test]
fn a_file_where_a_folder_should_be_is_named() {
    let project = Project::with_program();
    fs::create_dir(project.path().join("target")).unwrap();
    fs::write(project.path().join("target/bottleneck-reports"), "").unwrap();
    let actual = run(&project, &["--", "exit", "3"]);
    let text = stderr(&actual);
    assert_eq!(actual.status.code(), Some(110), "{text}");
    assert!(
        text.contains("bottleneck-reports` is no folder (") && text.contains("\n  fix: "),
        "{text}"
    );
    assert_eq!(run(&project, &["-o", "out", "--", "exit", "3"]).status.code(), Some(3));
    let refused = output(&mut project.bottleneck("", &["clean"]));
    assert!(stderr(&refused).contains("why: it is no folder"), "{}", stderr(&refused));
}

#[test]
fn neither_a_home_nor_a_folder_for_temporary_files_is_needed_to_run() {
    let project = Project::with_program();
    assert_eq!(run(&project, &["--", "exit", "3"]).status.code(), Some(3));
    let program = project.path().join("target/debug/prog");
    let args = ["run", "--exec", "--", text(&program), "exit", "5"];
    let mut command = project.bottleneck("", &args);
    command.env_remove("HOME").env("TMPDIR", "/nowhere/at/all");
    let actual = output(&mut command);
    assert_eq!(actual.status.code(), Some(5), "{}", stderr(&actual));
}

#[test]
fn outside_of_any_package_reports_are_put_here_and_can_be_cleaned() {
    let project = Project::with_program();
    assert_eq!(run(&project, &["--", "exit", "3"]).status.code(), Some(3));
    let program = project.path().join("target/debug/prog");
    let elsewhere = tempfile::tempdir().unwrap();
    let here = |args: &[&str]| output(project.bottleneck("", args).current_dir(elsewhere.path()));
    let actual = here(&["run", "--exec", "--", text(&program), "exit", "5"]);
    assert_eq!(actual.status.code(), Some(5), "{}", stderr(&actual));
    assert!(elsewhere.path().join("target/bottleneck-reports/prog/latest/run.json").exists());
    let cleaned = here(&["clean"]);
    assert!(stderr(&cleaned).contains("Removed 1 run of 1 program"), "{}", stderr(&cleaned));
    assert!(!elsewhere.path().join("target/bottleneck-reports").exists());
}

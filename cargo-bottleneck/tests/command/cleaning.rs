//! `cargo bottleneck clean`: what it removes, and what it leaves alone.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::project::{Project, output, stderr};

fn clean(project: &Project, args: &[&str]) -> (Option<i32>, String) {
    let actual = output(&mut project.bottleneck("", &[&["clean"][..], args].concat()));
    (actual.status.code(), stderr(&actual))
}

/// Makes a folder that looks like a run, without the time that one takes.
fn with_run(project: &Project, target: &str, program: &str, name: &str) {
    let folder = project.path().join(target).join("bottleneck-reports").join(program).join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("run.bneck"), vec![1; 100_000]).unwrap();
}

/// A project with three runs of `a` and one of `b`, in a target directory that cargo has marked.
fn with_runs() -> Project {
    let project = Project::with_program();
    for (program, hour) in [("a", 10), ("a", 11), ("a", 12), ("b", 10)] {
        with_run(&project, "target", program, &format!("2026-01-02T{hour}-00-00Z"));
    }
    mark(&project, "target");
    project
}

fn mark(project: &Project, target: &str) {
    let tag = "Signature: 8a477f597d28d172789f06886806bc55\n# by cargo\n";
    fs::write(project.path().join(target).join("CACHEDIR.TAG"), tag).unwrap();
}

fn reports(project: &Project) -> std::path::PathBuf {
    project.path().join("target/bottleneck-reports")
}

#[test]
fn everything_goes_and_the_room_is_told() {
    let project = with_runs();
    let (code, text) = clean(&project, &["--dry-run", "-v"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Found 4 runs of 2 programs, ") && text.contains("KiB"), "{text}");
    assert!(text.contains("nothing is removed (--dry-run)"), "{text}");
    assert!(reports(&project).join("a/2026-01-02T10-00-00Z/run.bneck").exists());

    let (code, text) = clean(&project, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Removed 4 runs of 2 programs, "), "{text}");
    assert!(!reports(&project).exists());
    assert!(project.path().join("target/CACHEDIR.TAG").exists());

    let (code, text) = clean(&project, &[]);
    assert_eq!((code, text.contains("Removed 0 runs, 0 B")), (Some(0), true), "{text}");
}

#[test]
fn the_newest_runs_stay_if_asked() {
    let project = with_runs();
    let latest = reports(&project).join("a/latest");
    std::os::unix::fs::symlink("2026-01-02T10-00-00Z", &latest).unwrap();
    let (code, text) = clean(&project, &["--keep", "1"]);
    assert!(latest.canonicalize().unwrap().ends_with("2026-01-02T12-00-00Z"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Removed 2 runs of 1 program, "), "{text}");
    for (run, stays) in [
        ("a/2026-01-02T11-00-00Z", false),
        ("a/2026-01-02T12-00-00Z", true),
        ("b/2026-01-02T10-00-00Z", true),
    ] {
        assert_eq!(reports(&project).join(run).exists(), stays, "{run}");
    }
}

#[test]
fn what_we_did_not_make_is_left_alone() {
    let project = with_runs();
    fs::remove_file(project.path().join("target/CACHEDIR.TAG")).unwrap();
    let (code, text) = clean(&project, &[]);
    assert_eq!(code, Some(96), "{text}");
    assert!(text.contains("bottleneck-reports` is left alone\n  why: no CACHEDIR.TAG"), "{text}");
    assert!(text.contains("\n  fix: "), "{text}");

    mark(&project, "target");
    fs::rename(reports(&project), project.path().join("precious")).unwrap();
    std::os::unix::fs::symlink(project.path().join("precious"), reports(&project)).unwrap();
    let (code, text) = clean(&project, &[]);
    assert_eq!(code, Some(96), "{text}");
    assert!(text.contains("it is a link"), "{text}");
    assert!(project.path().join("precious/b/2026-01-02T10-00-00Z/run.bneck").exists());
}

#[test]
fn other_target_directories_are_found_as_cargo_finds_them() {
    let project = Project::with_program();
    let make = || {
        with_run(&project, "elsewhere", "a", "2026-01-02T10-00-00Z");
        mark(&project, "elsewhere");
    };
    let is_there = || project.path().join("elsewhere/bottleneck-reports").exists();
    let path = project.path().join("elsewhere");

    make();
    assert_eq!(clean(&project, &["--target-dir", "elsewhere"]).0, Some(0));
    assert!(!is_there());

    make();
    let mut command = project.bottleneck("", &["clean"]);
    assert_eq!(output(command.env("CARGO_TARGET_DIR", &path)).status.code(), Some(0));
    assert!(!is_there());

    make();
    fs::create_dir_all(project.path().join(".cargo")).unwrap();
    let config = "[build]\ntarget-dir = \"elsewhere\"\n";
    fs::write(project.path().join(".cargo/config.toml"), config).unwrap();
    let manifest = project.path().join("Cargo.toml");
    let manifest = crate::project::text(&manifest);
    let mut command = project.bottleneck("src", &["clean", "--manifest-path", manifest]);
    assert_eq!(output(&mut command).status.code(), Some(0));
    assert!(!is_there());
}

#[test]
fn builds_go_on_request_only() {
    let project = with_runs();
    for folder in
        ["bottleneck/.fingerprint", "some-triple/bottleneck/.fingerprint", "doc/bottleneck"]
    {
        fs::create_dir_all(project.path().join("target").join(folder)).unwrap();
    }
    let is_there = |folder: &str| project.path().join("target").join(folder).exists();
    assert_eq!(clean(&project, &[]).0, Some(0));
    assert!(is_there("bottleneck"));
    let (code, text) = clean(&project, &["--build"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Removed 0 runs and 2 builds, "), "{text}");
    assert!(
        !is_there("bottleneck")
            && !is_there("some-triple/bottleneck")
            && is_there("doc/bottleneck")
    );
}

#[test]
fn a_run_that_goes_on_stays() {
    let project = with_runs();
    let mut command = project.bottleneck("", &["run", "--dev", "--", "wait"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let (code, text) = clean(&project, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("Removed 4 runs of 2 programs") && text.contains("it is being recorded"),
        "{text}"
    );
    // SAFETY: touches no memory, and the child has not been waited for, so its id is its own.
    unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(project.facts("prog")["exit"]["signal"], 15, "its folder is whole");
}

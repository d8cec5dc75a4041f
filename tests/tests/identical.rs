//! A program computes the same under `cargo bottleneck run` as under `cargo run`: what it prints, the code it ends with, and
//! the files it writes, to the byte.

#![expect(clippy::unwrap_used, reason = "tests and what they share: a panic fails them")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bottleneck_tests::command::{bottleneck, cargo, workspace};

/// What a run leaves behind.
#[derive(PartialEq, Eq)]
struct Traces {
    code: Option<i32>,
    stdout: Vec<u8>,
    /// Content by path.
    files: BTreeMap<PathBuf, Vec<u8>>,
}

/// Runs a target of the workspace under cargo and under the command, in that order, and compares the traces; what the program
/// writes is a file or a folder, and is removed before each run. Returns the traces under `cargo run`.
#[track_caller]
fn assert_identical(flags: &[&str], target: &[&str], args: &[&str], written: &Path) -> Traces {
    let reports = tempfile::tempdir().unwrap();
    let report = reports.path().join("report");
    let shared = ["--target-dir", bottleneck().target().to_str().unwrap()];
    let behind = [&shared[..], target, &["--"], args].concat();
    let expected = traces(cargo(workspace(), [&["run"][..], &behind].concat()), written);

    let ours = ["run", "--output", report.to_str().unwrap()];
    let found =
        traces(bottleneck().command(workspace(), [&ours[..], flags, &behind].concat()), written);

    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&found.stdout), text(&expected.stdout), "what {args:?} prints");
    let names = |traces: &Traces| traces.files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected), "which files {args:?} writes");
    assert!(found == expected, "{args:?}: {:?} instead of {:?}", found.code, expected.code);
    assert!(report.join("run.bneck").is_file(), "nothing was recorded, so nothing was compared");
    expected
}

/// Runs a command with the manifest of this package on its stdin.
fn traces(mut command: Command, written: &Path) -> Traces {
    if written.is_dir() {
        fs::remove_dir_all(written).unwrap();
    } else if written.exists() {
        fs::remove_file(written).unwrap();
    }
    command.stdin(File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap());
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(written.exists(), "nothing is written: {}", String::from_utf8_lossy(&stderr));
    let mut files = BTreeMap::new();
    read_all(written, &mut files);
    Traces { code: status.code(), stdout, files }
}

fn read_all(path: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            read_all(&entry.unwrap().path(), files);
        }
    } else {
        files.insert(path.to_owned(), fs::read(path).unwrap());
    }
}

#[test]
fn threads_panics_futures_and_children_compute_the_same() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("written");
    for (threads, code) in [("1", "0"), ("2", "0"), ("5", "3")] {
        let args = [folder.to_str().unwrap(), threads, code];
        let traces = assert_identical(&["--dev"], &["--bin", "checksums"], &args, &folder);
        assert_eq!(traces.code, Some(code.parse().unwrap()));
        let text = String::from_utf8(traces.stdout).unwrap();
        assert!(text.ends_with("done") && text.contains("a wait of 20 ms: over"), "{text}");
        let of_child = usize::from(threads != "1");
        assert_eq!(traces.files.len(), threads.parse::<usize>().unwrap() + of_child);
    }
}

#[test]
fn a_transformer_writes_the_same_weights_and_text() {
    // Its weights lie in the target directory, under the dimensions of the model: these are of no other test.
    let weights = bottleneck().target().join("tiny-llm-128x7.f32");
    for threads in ["1", "2"] {
        let args = ["--quiet", "--size=5", "--tokens=48", "--seed=11", "--threads", threads];
        let traces = assert_identical(&[], &["--example", "tiny_llm"], &args, &weights);
        assert_eq!(traces.code, Some(0));
        assert!(traces.stdout.len() > 48, "{}", String::from_utf8_lossy(&traces.stdout));
    }
}

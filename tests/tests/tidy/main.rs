//! What holds for the repository as a whole, and no compiler checks: its layout, its documents, its licenses, its text.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the repository fails")]

mod arrows;
mod documents;
mod licenses;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

/// The crates whose modules ARCHITECTURE.md maps.
const CRATES: [&str; 3] = ["bottleneck-macros", "bottleneck-runtime", "cargo-bottleneck"];

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The text of a file, by its path from the root.
#[track_caller]
fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Paths from the root of the files below a folder, in order. Builds, and what git keeps, are left out.
fn files(below: &str) -> Vec<String> {
    let mut res = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && name != "target" && name != ".git" {
                folders.push(entry.path());
            } else if kind.is_file() {
                let path = entry.path();
                res.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    res.sort();
    res
}

/// Whether a path ends so: file names of this repository are lowercase.
fn has_ending(path: &str, ending: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == ending)
}

/// Names of the modules directly in a crate's `src`: files without their ending, and folders.
fn top_modules(krate: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(krate).join("src")).unwrap();
    let mut res: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.trim_end_matches(".rs").to_owned())
        .filter(|name| !["lib", "main"].contains(&name.as_str()) && !name.ends_with("_test"))
        .collect();
    res.sort();
    res
}

/// Fails with every finding at once.
#[track_caller]
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

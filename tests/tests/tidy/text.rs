//! Every text file: its length, its ends of lines, and what it must not name.

use super::{files, has_ending, none, read};

/// Most lines of a source file.
const MOST_LINES: usize = 500;

/// Files that may be longer, each with the reason.
const LONG: &[(&str, &str)] = &[];

/// Parts of paths that belong to one machine. Written in pieces, or this file would be a finding.
const PRIVATE: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Homes that examples and tests make up.
const MADE_UP: [&str; 2] = [concat!("/ho", "me/x/"), concat!("/ho", "me/you/")];

fn text_files() -> Vec<String> {
    const ENDINGS: [&str; 12] = [
        "rs",
        "md",
        "toml",
        "json",
        "js",
        "css",
        "snap",
        "stderr",
        "lock",
        "svg",
        "gitignore",
        "ci/run",
    ];
    let is_text = |path: &String| {
        ENDINGS.iter().any(|ending| path.ends_with(ending)) || path.contains("LICENSE")
    };
    files("").into_iter().filter(is_text).collect()
}

#[test]
fn source_files_are_short() {
    let mut findings = Vec::new();
    for path in text_files().into_iter().filter(|path| has_ending(path, "rs")) {
        let lines = read(&path).lines().count();
        let is_exception = LONG.iter().any(|&(long, _)| long == path);
        if MOST_LINES < lines && !is_exception {
            findings.push(format!("{path}: {lines} lines, at most {MOST_LINES}"));
        }
        if lines <= MOST_LINES && is_exception {
            findings.push(format!("{path}: {lines} lines, no exception is needed"));
        }
    }
    for (path, reason) in LONG {
        if reason.is_empty() || !super::root().join(path).exists() {
            findings.push(format!("{path}: an exception without a file or a reason"));
        }
    }
    none(&findings);
}

#[test]
fn source_files_say_first_what_they_are_for() {
    let mut findings = Vec::new();
    for path in text_files() {
        let is_source = has_ending(&path, "rs") && !path.contains("/ui/");
        if is_source && !read(&path).starts_with("//! ") {
            findings.push(format!("{path}: begins without `//!`"));
        }
    }
    none(&findings);
}

#[test]
fn names_of_files_say_what_is_in_them() {
    let vague = ["utils", "util", "helpers", "common", "types", "misc", "imp"];
    let mut findings = Vec::new();
    for path in files("") {
        if path.split('/').any(|part| vague.contains(&part.trim_end_matches(".rs"))) {
            findings.push(path);
        }
    }
    none(&findings);
}

#[test]
fn lines_end_with_a_character_and_files_with_a_line() {
    let mut findings = Vec::new();
    for path in text_files() {
        let text = read(&path);
        for (at, line) in text.split('\n').enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                findings.push(format!("{path}:{}: blank at the end", at + 1));
            }
        }
        if !text.ends_with('\n') && !text.is_empty() {
            findings.push(format!("{path}: no line feed at the end"));
        }
    }
    none(&findings);
}

#[test]
fn no_file_names_a_private_machine() {
    let mut findings = Vec::new();
    for path in text_files() {
        for (at, line) in read(&path).lines().enumerate() {
            let line = MADE_UP.iter().fold(line.to_owned(), |line, home| line.replace(home, ""));
            if PRIVATE.iter().any(|part| line.contains(part)) {
                findings.push(format!("{path}:{}: {}", at + 1, line.trim()));
            }
        }
    }
    none(&findings);
}

//! A real program with names to harm whoever reads its report: the terminal obeys none of them, the picture runs none, and
//! the summary has them as they are.

#![expect(clippy::unwrap_used, reason = "tests and what they share: a panic fails them")]

use std::fs;
use std::path::PathBuf;

use bottleneck_tests::command::{Ran, bottleneck};
use bottleneck_tests::hostile::NAMES;
use bottleneck_tests::{picture, summary};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_hostile_names");

/// The name of a folder is nothing to obey either.
const FOLDER: &str = "a\u{1b}[2J;<b>\u{202e}\n";

struct Run {
    ran: Ran,
    folder: TempDir,
}

impl Run {
    fn with(flags: &[&str], variable: Option<(&str, &str)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = ["--exec", "--", PROGRAM];
        let args = [&["run", "--format", "svg,json,folded", "-o", FOLDER][..], flags, &program];
        let mut command = bottleneck().command(folder.path(), args.concat());
        command.envs(variable);
        Self { ran: Ran::of(command), folder }
    }

    fn report(&self) -> PathBuf {
        self.folder.path().join(FOLDER)
    }
}

/// Nothing in it moves a cursor, changes a color, or turns the direction of a line.
#[track_caller]
fn assert_tame(text: &str) {
    let is_obeyed = |c: char| {
        let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        turns || (c.is_control() && c != '\n')
    };
    let found: Vec<char> = text.chars().filter(|&c| is_obeyed(c)).collect();
    assert!(found.is_empty(), "{found:?} in {text}");
}

#[test]
fn every_output_has_the_names_and_obeys_none() {
    let run = Run::with(&[], None);
    assert_eq!(run.ran.code, Some(0), "{:#?}", run.ran);
    assert_tame(&run.ran.stderr);
    assert!(!run.ran.stderr.contains("panicked"), "{}", run.ran.stderr);

    let text = fs::read_to_string(run.report().join("summary.json")).unwrap();
    assert_tame(&text);
    let summary = summary::read(&run.report().join("summary.json"));
    let spans = summary["spans"].as_array().unwrap();
    for &name in NAMES {
        let is_it = |span: &&Value| span["name"] == name && span["key"] == name;
        let span = spans.iter().find(is_it).unwrap_or_else(|| panic!("no {name:?}: {summary:#}"));
        assert_eq!(span["calls"], 1);
    }
    assert!(spans.iter().any(|span| span["key"].as_str().is_some_and(|key| key.len() == 10_000)));

    picture::check(&run.report().join("flame.svg"), &summary);
    let svg = fs::read_to_string(run.report().join("flame.svg")).unwrap();
    assert_tame(&svg);
    assert_eq!(svg.matches("<script").count(), 2, "only inferno's and ours");

    let folded = fs::read_to_string(run.report().join("stacks.folded")).unwrap();
    assert_tame(&folded);
    for line in folded.lines() {
        let (stack, count) = line.rsplit_once(' ').unwrap();
        assert!(count.parse::<u64>().is_ok(), "{line:.200}");
        // A thread, a span, and a span in it, or what it waited for.
        assert!(
            stack.split(';').count() <= 4 && !stack.split(';').any(str::is_empty),
            "{line:.200}"
        );
    }
}

#[test]
fn the_line_for_programs_can_be_shown_to_people() {
    let run = Run::with(&["--message-format", "json"], None);
    assert_eq!(run.ran.code, Some(0), "{:#?}", run.ran);
    assert_tame(&run.ran.stdout);
    let message = run.ran.message();
    summary::check(&message["summary"]);
    assert_eq!(message["directory"], run.report().to_str().unwrap());
}

#[test]
fn after_a_fault_of_ours_the_recording_is_there_and_named() {
    let run = Run::with(&[], Some(("BOTTLENECK_TEST_FAULT", "report")));
    assert_eq!(run.ran.code, Some(70), "{:#?}", run.ran);
    assert_tame(&run.ran.stderr);
    assert!(!run.ran.stderr.contains("panicked"), "{}", run.ran.stderr);
    assert!(run.ran.stderr.contains("error: cargo-bottleneck has met a fault of its own"));
    let way_out = "fix: the recording is kept, try once more: cargo bottleneck report ";
    assert!(run.ran.stderr.contains(way_out), "{}", run.ran.stderr);
    let again = Ran::of(bottleneck().command(run.folder.path(), ["report", FOLDER]));
    assert_eq!(again.code, Some(0), "{again:#?}");
    assert_tame(&again.stderr);
}

//! The flags in our help against those in the help of the cargo that is installed: a flag that a new cargo has is named
//! here before a user misses it.

use std::collections::BTreeMap;

use crate::project::{Project, output, stderr, stdout};

/// Flags of cargo that are known, do not fit here, and say so when they are used.
const REFUSED: [&str; 3] = ["--unit-graph", "--no-run", "--doc"];

/// Flags of cargo that are taken without a word in the help: within one executable every test is run anyway; unstable ones
/// are for cargo to judge.
const SILENT: [&str; 2] = ["--no-fail-fast", "--lockfile-path"];

/// Flags whose words are our own, since they do a little more or another thing.
const OWN_WORDS: [&str; 5] = ["--message-format", "--verbose", "--quiet", "--release", "--timings"];

/// A flag as the help shows it.
#[derive(Debug, PartialEq, Eq)]
struct Flag {
    heading: String,
    /// `-p, --package [<SPEC>]`
    form: String,
    words: String,
}

/// The flags of a help text by their long names (`-Z` has none), and these names in order.
fn flags(help: &str) -> (BTreeMap<String, Flag>, Vec<String>) {
    let (mut flags, mut order) = (BTreeMap::<String, Flag>::new(), Vec::new());
    let mut heading = "";
    for line in help.lines() {
        if !line.starts_with(' ') {
            heading = line.strip_suffix(':').unwrap_or_default();
        } else if let Some(text) = line.strip_prefix("  ").filter(|text| is_flag(text)) {
            let (form, words) = text.trim().split_once("  ").unwrap_or((text.trim(), ""));
            let name = form.split(", ").last().unwrap_or_default();
            let name = name.split([' ', '.', '[']).next().unwrap_or_default().to_owned();
            let (form, words) = (form.to_owned(), words.trim().to_owned());
            flags.insert(name.clone(), Flag { heading: heading.to_owned(), form, words });
            order.push(name);
        } else if let Some(flag) = order.last().and_then(|name| flags.get_mut(name)) {
            flag.words += " ";
            flag.words += line.trim();
        }
    }
    (flags, order)
}

fn is_flag(text: &str) -> bool {
    text.trim_start().starts_with('-') && text.len() - text.trim_start().len() <= 4
}

#[test]
fn every_flag_of_cargo_is_ours_in_its_words_under_its_heading() {
    let project = Project::new(&[]);
    let mut findings = Vec::new();
    for subcommand in ["run", "test", "bench"] {
        let theirs = stdout(&output(&mut project.cargo("", &[subcommand, "--help"])));
        let ours = stdout(&output(&mut project.bottleneck("", &[subcommand, "--help"])));
        let (theirs, their_order) = flags(&theirs);
        let (ours, our_order) = flags(&ours);
        assert!(20 < theirs.len(), "{theirs:?}");
        for (name, of_cargo) in &theirs {
            let finding = match ours.get(name) {
                _ if REFUSED.contains(&&**name) || SILENT.contains(&&**name) => continue,
                None => "is missing".to_owned(),
                Some(flag) if flag.heading != of_cargo.heading => {
                    format!("is below `{}`", flag.heading)
                }
                Some(_) if OWN_WORDS.contains(&&**name) => continue,
                // A newer cargo may have a short form more, or we have it ahead of an older one.
                Some(flag) if !flag.form.ends_with(of_cargo.form.trim_start_matches("-m, ")) => {
                    format!("is written `{}`", flag.form)
                }
                Some(flag) if flag.words != of_cargo.words => format!("says `{}`", flag.words),
                Some(_) => continue,
            };
            findings.push(format!("`cargo {subcommand}` has {of_cargo:?}; ours {finding}"));
        }
        // `-q` and `-v` change places between the subcommands of cargo.
        let both = |order: &[String]| -> Vec<String> {
            let is_both = |name: &&String| {
                theirs.contains_key(*name) && ours.contains_key(*name) && *name != "--quiet"
            };
            order.iter().filter(is_both).cloned().collect()
        };
        if both(&our_order) != both(&their_order) {
            findings.push(format!("the order of `cargo {subcommand}` is {:?}", both(&their_order)));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn a_flag_that_cannot_be_honored_says_why_and_what_to_do() {
    let project = Project::new(&[]);
    for (subcommand, flag) in
        [("run", "--unit-graph"), ("test", "--no-run"), ("test", "--doc"), ("bench", "--no-run")]
    {
        let actual = output(&mut project.bottleneck("", &[subcommand, flag]));
        assert_eq!(actual.status.code(), Some(2));
        let text = stderr(&actual);
        let start = format!("error: the argument '{flag}' cannot be honored\n  why: ");
        assert!(text.starts_with(&start) && text.contains("\n  fix: "), "{text}");
    }
    let actual = output(
        &mut project.bottleneck("", &["run", "--message-format", "json-render-diagnostics"]),
    );
    let text = stderr(&actual);
    assert!(text.contains("invalid value 'json-render-diagnostics'"), "{text}");
    assert!(text.contains("tip: this is the format of the verdict"), "{text}");
}

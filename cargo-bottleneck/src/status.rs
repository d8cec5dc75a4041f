//! Status lines as cargo prints them: a word right-aligned in 12 columns, then the text, on stderr.
//!
//! Everything that the command says to a person goes through here, so that the program's stdout stays its own. Nothing
//! here fails, and nothing that a terminal would obey gets through but our own colors: a closed stderr must not end a run that is being recorded.

use std::fmt::Display;
use std::io::Write as _;

use anstyle::{AnsiColor, Effects, Style};

use crate::error::Error;
use crate::escape::{harmless, harmless_lines};

/// Cargo's colors for messages.
pub mod style {
    use super::{AnsiColor, Effects, Style};

    /// The word of a status line, headings of the help.
    pub const GOOD: Style = AnsiColor::BrightGreen.on_default().effects(Effects::BOLD);
    /// Literals in the help.
    pub const LITERAL: Style = AnsiColor::BrightCyan.on_default().effects(Effects::BOLD);
    /// Placeholders in the help.
    pub const PLACEHOLDER: Style = AnsiColor::Cyan.on_default();
    /// `error:`.
    pub const ERROR: Style = AnsiColor::BrightRed.on_default().effects(Effects::BOLD);
    /// `warning:`.
    pub const WARNING: Style = AnsiColor::Yellow.on_default().effects(Effects::BOLD);
    /// `note:`.
    pub const NOTE: Style = AnsiColor::BrightCyan.on_default().effects(Effects::BOLD);
}

/// How much the command says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors and warnings only.
    Quiet,
    /// Also status lines and notes.
    #[default]
    Normal,
    /// Also the commands that are run.
    Verbose,
}

/// Prints status lines, if the user wants them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Status {
    verbosity: Verbosity,
}

impl Status {
    /// A printer that says as much as `verbosity` allows.
    pub fn new(verbosity: Verbosity) -> Self {
        Self { verbosity }
    }

    /// Whether commands and their reasons are shown.
    pub fn is_verbose(self) -> bool {
        self.verbosity == Verbosity::Verbose
    }

    /// Whether the user wants to see errors and warnings only.
    pub fn is_quiet(self) -> bool {
        self.verbosity == Verbosity::Quiet
    }

    /// `        Word text`, not shown with `--quiet`.
    pub fn line(self, word: &str, text: impl Display) {
        if self.verbosity != Verbosity::Quiet {
            let text = harmless(&text.to_string());
            print(format_args!("{}{word:>12}{:#} {text}\n", style::GOOD, style::GOOD));
        }
    }

    /// The same, shown with `--verbose` only.
    pub fn detail(self, word: &str, text: impl Display) {
        if self.is_verbose() {
            self.line(word, text);
        }
    }

    /// A block of text as it is, whose names are harmless already; not shown with `--quiet`.
    pub fn text(self, text: &str) {
        if self.verbosity != Verbosity::Quiet {
            print(format_args!("{}\n", text.trim_end()));
        }
    }

    /// `note: ...`, not shown with `--quiet`.
    pub fn note(self, text: impl Display) {
        if self.verbosity != Verbosity::Quiet {
            labelled("note", style::NOTE, text);
        }
    }

    /// `warning: ...`, always shown.
    pub fn warning(self, text: impl Display) {
        labelled("warning", style::WARNING, text);
    }

    /// `error: ...` with its reason and the way out, always shown, unless somebody else has shown it already.
    pub fn error(self, error: &Error) {
        if !error.is_already_shown() {
            labelled("error", style::ERROR, error);
        }
    }
}

fn labelled(label: &str, style: Style, text: impl Display) {
    // The colon is not part of the colored word in cargo's own messages, but it is bold.
    let bold = Style::new().bold();
    let text = harmless_lines(&text.to_string());
    print(format_args!("{style}{label}{style:#}{bold}:{bold:#} {text}\n"));
}

fn print(text: std::fmt::Arguments<'_>) {
    // One write per message: lines of the program and of this command do not cut each other.
    let _ = anstream::stderr().lock().write_all(text.to_string().as_bytes());
}

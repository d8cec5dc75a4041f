//! Flags about what the command itself says and writes, shared by the subcommands.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::commands::pipeline::{Format, Options};
use crate::commands::present::{self, Destination, Presentation};
use crate::commands::setup::{self, TerminalOptions};
use crate::status::Verbosity;

/// Flags about the report.
#[derive(Debug, Args)]
pub(super) struct ReportFlags {
    /// For whom the verdict is printed: one line on stdout for json, else on stderr
    #[arg(long, value_name = "FMT", default_value = "human")]
    message_format: MessageFormat,

    /// Write the report into this folder, or one file of it (.svg, .json, .folded) to this path
    #[arg(short, long, value_name = "DIR|FILE", help_heading = "Report Options")]
    output: Option<PathBuf>,

    /// Files to write
    #[arg(
        long,
        value_name = "FORMAT",
        value_delimiter = ',',
        default_value = "svg,json",
        help_heading = "Report Options"
    )]
    format: Vec<FormatName>,

    /// Open the flame graph in the browser
    #[arg(long, help_heading = "Report Options")]
    open: bool,
}

/// Flags about the terminal.
#[derive(Debug, Args)]
pub(super) struct TerminalFlags {
    /// Show the commands that are run (-vv also those of cargo)
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,

    /// Print errors and warnings only
    #[arg(short, long, conflicts_with = "verbose")]
    pub(super) quiet: bool,

    /// Coloring
    #[arg(long, value_name = "WHEN")]
    pub(super) color: Option<When>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatName {
    Svg,
    Json,
    Folded,
}

/// For whom the verdict is. The variants have no docs: with any, clap spreads the whole help over three lines a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MessageFormat {
    Human,
    Short,
    Json,
}

/// When to use color. Read early; declared here so that it is known and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    Auto,
    Always,
    Never,
}

impl ReportFlags {
    pub(super) fn destination(&self) -> Destination {
        let Some(path) = &self.output else {
            return Destination::Usual;
        };
        let named =
            |format: &Format| path.extension().is_some_and(|extension| extension == format.name());
        match Format::ALL.into_iter().find(named) {
            // A folder may be called anything.
            Some(format) if !path.is_dir() => Destination::File(path.clone(), format),
            Some(_) | None => Destination::Directory(path.clone()),
        }
    }

    pub(super) fn options(&self) -> Options {
        // A file that is asked for by name is written, whatever the list says.
        let by_name = match self.destination() {
            Destination::File(_, format) => Some(format),
            Destination::Usual | Destination::Directory(_) => None,
        };
        let is_wanted = |format: &Format| {
            by_name == Some(*format)
                || self.format.iter().any(|name| Format::from(*name) == *format)
        };
        Options { formats: Format::ALL.into_iter().filter(is_wanted).collect() }
    }

    pub(super) fn presentation(&self) -> Presentation {
        let message_format = self.message_format.into();
        Presentation { message_format, open: self.open, is_after_program: false }
    }
}

impl TerminalFlags {
    /// What they say; where they say nothing, cargo's configuration decides.
    pub(super) fn options(&self, config_flags: Vec<OsString>) -> TerminalOptions {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Some(Verbosity::Quiet),
            (false, 0) => None,
            (false, _) => Some(Verbosity::Verbose),
        };
        let color = self.color.and_then(|when| setup::color_of(when.name()));
        TerminalOptions { verbosity, color, config_flags }
    }

    /// What of it is for cargo: the first -v shows our commands, the others are cargo's.
    pub(super) fn for_build(&self) -> Vec<OsString> {
        let quiet = self.quiet.then_some("--quiet");
        let verbose = (1..self.verbose).map(|_| "--verbose");
        quiet.into_iter().chain(verbose).map(OsString::from).collect()
    }
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Svg => Self::Svg,
            FormatName::Json => Self::Json,
            FormatName::Folded => Self::Folded,
        }
    }
}

impl From<MessageFormat> for present::MessageFormat {
    fn from(format: MessageFormat) -> Self {
        match format {
            MessageFormat::Human => Self::Human,
            MessageFormat::Short => Self::Short,
            MessageFormat::Json => Self::Json,
        }
    }
}

impl When {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

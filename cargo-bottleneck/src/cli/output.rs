//! Flags about what the command itself says and writes, shared by the subcommands.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::commands::duration;
use crate::commands::pipeline::Format;
use crate::commands::present;
use crate::commands::settings::Settings;
use crate::status::Verbosity;

/// Flags about the report.
#[derive(Debug, Args)]
pub(super) struct ReportFlags {
    /// Write the report into this folder, or one file of it (.svg, .json, .folded) to this path
    #[arg(short, long, value_name = "DIR|FILE", help_heading = "Report Options")]
    output: Option<PathBuf>,

    /// Files to write [default: svg,json]
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', help_heading = "Report Options")]
    format: Option<Vec<FormatName>>,

    /// Open the flame graph in the browser
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true,
        help_heading = "Report Options"
    )]
    open: Option<bool>,

    /// For whom the verdict is printed: one line on stdout for json, else on stderr [default: human]
    #[arg(long, value_name = "FMT", help_heading = "Report Options")]
    message_format: Option<MessageFormat>,
}

/// Flags about the recording.
#[derive(Debug, Args)]
pub(super) struct RecordingFlags {
    /// Stop the program after this time (500ms, 30s, 2m) as Ctrl-C would, and report
    #[arg(long, value_name = "TIME", value_parser = duration::parse, help_heading = "Recording Options")]
    duration: Option<Duration>,
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
    pub(super) fn settings(&self) -> Settings {
        let formats = self.format.as_ref();
        Settings {
            formats: formats.map(|names| names.iter().copied().map(Format::from).collect()),
            output: self.output.clone(),
            open: self.open,
            message_format: self.message_format.map(present::MessageFormat::from),
            ..Settings::default()
        }
    }
}

impl RecordingFlags {
    /// These and those of the report together.
    pub(super) fn settings(&self, report: &ReportFlags) -> Settings {
        Settings { duration: self.duration, ..report.settings() }
    }
}

impl TerminalFlags {
    pub(super) fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, _) => Verbosity::Verbose,
        }
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

//! Flags about what the command itself says and writes, shared by the subcommands.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::commands::pipeline::{Format, Options};
use crate::commands::present::{self, Destination, Presentation};
use crate::status::Verbosity;

/// Flags about the report.
#[derive(Debug, Args)]
pub(super) struct ReportFlags {
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

    /// For whom the verdict is printed: one line on stdout for json, else on stderr
    #[arg(long, value_name = "FMT", default_value = "human", help_heading = "Report Options")]
    message_format: MessageFormat,
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
        Presentation { message_format: self.message_format.into(), open: self.open }
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

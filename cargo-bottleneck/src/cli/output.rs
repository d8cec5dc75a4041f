//! Flags about what the command itself says and writes, shared by the subcommands.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::commands::duration;
use crate::commands::gpu_library::GpuLibrary;
use crate::commands::pipeline::Format;
use crate::commands::present;
use crate::commands::settings::Settings;
use crate::commands::setup::{self, TerminalOptions};
use crate::status::Verbosity;

/// Flags about the report.
#[derive(Debug, Args)]
pub(super) struct ReportFlags {
    /// For whom the verdict is printed: one line on stdout for json, else on stderr [default: human]
    #[arg(long, value_name = "FMT")]
    message_format: Option<MessageFormat>,

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
}

/// Where flags about recording and report take their defaults from, for the end of a help text.
pub(super) const DEFAULTS: &str = "\
    Defaults for --format, --output, --open, --message-format, --duration and --profile: variables such as \
    BOTTLENECK_DURATION, else keys such as `duration` in [package.metadata.bottleneck] of Cargo.toml, else those in \
    [workspace.metadata.bottleneck].";

/// Flags about the recording.
#[derive(Debug, Args)]
pub(super) struct RecordingFlags {
    /// Stop the program after this time (500ms, 30s, 2m) as Ctrl-C would, and report
    #[arg(long, value_name = "TIME", value_parser = duration::parse, help_heading = "Report Options")]
    duration: Option<Duration>,

    /// See what NVIDIA devices do, also for code without one annotation
    #[arg(long, help_heading = "Report Options")]
    gpu: bool,

    /// Do so with this library instead of one that is built
    #[arg(long, value_name = "PATH", help_heading = "Report Options")]
    gpu_lib: Option<PathBuf>,
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
        let built = self.gpu.then_some(GpuLibrary::Built);
        let gpu = self.gpu_lib.clone().map(GpuLibrary::At).or(built);
        Settings { duration: self.duration, gpu, ..report.settings() }
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

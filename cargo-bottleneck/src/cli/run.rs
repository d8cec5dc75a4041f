//! `cargo bottleneck run`

use std::ffi::OsString;

use clap::Args;
use clap::error::ErrorKind;

use crate::cli::cargo_flags::CargoFlags;
use crate::cli::output::{RecordingFlags, ReportFlags, TerminalFlags, When};
use crate::commands::run::{ProgramChoice, RunOptions};
use crate::status::Verbosity;

/// Build and run a binary or example of the local package, and say why it is slow
#[derive(Debug, Args)]
#[command(
    // Positionals come before flattened flags: they would land under the heading of the last one.
    after_help = "To pass `--help` to the program, use `-- --help`.\n\n\
        Defaults for --format, --output, --open, --message-format, --duration and --profile: variables such as \
        BOTTLENECK_DURATION, else keys such as `duration` in [package.metadata.bottleneck] of Cargo.toml, else those in \
        [workspace.metadata.bottleneck]."
)]
pub(super) struct Run {
    /// Arguments for the program to run
    #[arg(value_name = "ARGS", trailing_var_arg = true)]
    args: Vec<OsString>,

    /// Run a program that is already built: --exec -- PROGRAM ARGS
    #[arg(long, requires = "args", help_heading = "Target Selection")]
    exec: bool,

    #[command(flatten)]
    recording: RecordingFlags,

    #[command(flatten)]
    report: ReportFlags,

    #[command(flatten)]
    terminal: TerminalFlags,

    #[command(flatten)]
    cargo: CargoFlags,
}

impl Run {
    pub(super) fn verbosity(&self) -> Verbosity {
        self.terminal.verbosity()
    }

    pub(super) fn resolve(mut self) -> Result<RunOptions, clap::Error> {
        let settings = self.recording.settings(&self.report);
        let program = if self.exec {
            if let Some(flag) = self.cargo.first_that_builds() {
                let text = format!(
                    "the argument '--exec' cannot be used with '{flag}': nothing is built\n"
                );
                return Err(clap::Error::raw(ErrorKind::ArgumentConflict, text));
            }
            // `requires` above: there is at least the program.
            ProgramChoice::Prebuilt(self.args.remove(0))
        } else {
            let mut terminal: Vec<OsString> = Vec::new();
            if self.terminal.quiet {
                terminal.push("--quiet".into());
            }
            // The first -v shows our commands, the others are cargo's.
            terminal.extend((1..self.terminal.verbose).map(|_| OsString::from("--verbose")));
            ProgramChoice::Built(self.cargo.resolve(self.terminal.color.map(When::name), terminal))
        };
        Ok(RunOptions { program, args: self.args, settings })
    }
}

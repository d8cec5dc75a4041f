//! `cargo bottleneck run`

use std::ffi::OsString;

use clap::Args;
use clap::error::ErrorKind;

use crate::cargo::pick::{CargoCommand, RunKind};
use crate::cli::cargo_flags::{
    Compilation, Configuration, Features, Groups, Jobs, ManifestFlags, Words,
};
use crate::cli::output::{DEFAULTS, RecordingFlags, ReportFlags, TerminalFlags, When};
use crate::cli::refusal;
use crate::commands::run::{ProgramChoice, RunOptions};
use crate::commands::setup::TerminalOptions;
use crate::commands::target::BuildOptions;

/// Build and run a binary or example of the local package, and say why it is slow
#[derive(Debug, Args)]
#[command(
    // Positionals come before flattened flags: they would land under the heading of the last one.
    after_help = format!("To pass `--help` to the specified binary, use `-- --help`.\n\n{DEFAULTS}")
)]
pub(super) struct Run {
    /// Arguments for the binary or example to run
    #[arg(value_name = "ARGS", trailing_var_arg = true)]
    args: Vec<OsString>,

    #[command(flatten)]
    recording: RecordingFlags,

    #[command(flatten)]
    report: ReportFlags,

    #[command(flatten)]
    terminal: TerminalFlags,

    #[command(flatten)]
    configuration: Configuration,

    #[command(flatten)]
    selection: Selection,

    #[command(flatten)]
    features: Features,

    #[command(flatten)]
    jobs: Jobs,

    /// Do not abort the build as soon as there is an error
    #[arg(long, help_heading = "Compilation Options")]
    keep_going: bool,

    #[command(flatten)]
    compilation: Compilation,

    #[command(flatten)]
    manifest: ManifestFlags,
}

/// Which program.
#[derive(Debug, Args)]
struct Selection {
    /// Package with the target to run
    #[expect(clippy::option_option, reason = "not given, given without a value, given with one")]
    #[arg(short, long, value_name = "SPEC", num_args = 0..=1, help_heading = "Package Selection")]
    package: Option<Option<String>>,

    /// Name of the bin target to run
    #[expect(clippy::option_option, reason = "as above")]
    #[arg(long, value_name = "NAME", num_args = 0..=1, help_heading = "Target Selection")]
    bin: Option<Option<String>>,

    /// Name of the example target to run
    #[expect(clippy::option_option, reason = "as above")]
    #[arg(long, value_name = "NAME", num_args = 0..=1, help_heading = "Target Selection")]
    example: Option<Option<String>>,

    /// Name of the test target to run, as `cargo bottleneck test` does
    #[expect(clippy::option_option, reason = "as above")]
    #[arg(long, value_name = "NAME", num_args = 0..=1, help_heading = "Target Selection")]
    test: Option<Option<String>>,

    /// Name of the bench target to run, as `cargo bottleneck bench` does
    #[expect(clippy::option_option, reason = "as above")]
    #[arg(long, value_name = "NAME", num_args = 0..=1, help_heading = "Target Selection")]
    bench: Option<Option<String>>,

    /// Run a program that is already built: --exec -- PROGRAM ARGS
    #[arg(long, requires = "args", help_heading = "Target Selection")]
    exec: bool,
}

impl Run {
    pub(super) fn terminal(&self) -> TerminalOptions {
        self.terminal.options(self.configuration.config_flags())
    }

    pub(super) fn resolve(mut self) -> Result<RunOptions, clap::Error> {
        let settings = self.recording.settings(&self.report);
        if self.compilation.unit_graph {
            return Err(refusal::unit_graph());
        }
        let groups = Groups {
            configuration: self.configuration,
            features: self.features,
            jobs: self.jobs,
            keep_going: self.keep_going,
            compilation: self.compilation,
            manifest: self.manifest,
        };
        let program = if self.selection.exec {
            if let Some(flag) = self.selection.first().or_else(|| groups.first_that_builds()) {
                let text = format!(
                    "the argument '--exec' cannot be used with '{flag}': nothing is built\n"
                );
                return Err(clap::Error::raw(ErrorKind::ArgumentConflict, text));
            }
            // `requires` above: there is at least the program.
            ProgramChoice::Prebuilt(self.args.remove(0))
        } else {
            let color = self.terminal.color.map(When::name);
            let build = groups.resolve(color, self.terminal.for_build());
            ProgramChoice::Built(self.selection.resolve(build))
        };
        Ok(RunOptions { program, args: self.args, settings })
    }
}

impl Selection {
    fn resolve(self, build: BuildOptions) -> BuildOptions {
        let kinds = [
            (RunKind::Bin, self.bin),
            (RunKind::Example, self.example),
            (RunKind::Test, self.test),
            (RunKind::Bench, self.bench),
        ];
        let targets: Vec<_> =
            kinds.into_iter().filter_map(|(kind, name)| Some((kind, name?))).collect();
        let command = match targets[..] {
            [(RunKind::Test, _)] => CargoCommand::Test,
            [(RunKind::Bench, _)] => CargoCommand::Bench,
            _ => return BuildOptions { targets, package: self.package, ..build },
        };
        let mut selection = Words(Vec::new());
        selection.each_with_or_without("--package", self.package.map(Option::unwrap_or_default));
        for (kind, name) in targets {
            selection.each_with_or_without(kind.flag(), [name.unwrap_or_default()]);
        }
        BuildOptions { command, selection: selection.0, ..build }
    }

    fn first(&self) -> Option<&'static str> {
        let given = [
            ("--package", self.package.is_some()),
            ("--bin", self.bin.is_some()),
            ("--example", self.example.is_some()),
            ("--test", self.test.is_some()),
            ("--bench", self.bench.is_some()),
        ];
        given.into_iter().find_map(|(name, is_given)| is_given.then_some(name))
    }
}

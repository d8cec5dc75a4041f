//! `cargo bottleneck test` and `cargo bottleneck bench`: one executable of those that cargo would run.

use std::ffi::OsString;

use clap::{Args, Command};

use crate::cargo::pick::CargoCommand;
use crate::cli::cargo_flags::{
    Compilation, Configuration, Features, Groups, Jobs, ManifestFlags, Words,
};
use crate::cli::output::{RecordingFlags, ReportFlags, TerminalFlags, When};
use crate::cli::refusal;
use crate::commands::run::{ProgramChoice, RunOptions};
use crate::commands::setup::TerminalOptions;
use crate::commands::target::BuildOptions;

/// Build and run a test executable of the local package, and say why it is slow
#[derive(Debug, Args)]
#[command(
    after_help = "Of several test executables, the one with a test to run is run; name it if there are more.\n\
                  Run `cargo test -- --help` for test binary options."
)]
pub(super) struct Test {
    /// If specified, only run tests containing this string in their names
    #[arg(value_name = "TESTNAME")]
    name: Option<OsString>,

    /// Arguments for the test binary
    #[arg(value_name = "ARGS", num_args = 0.., last = true)]
    args: Vec<OsString>,

    /// Compile, but don't run tests
    #[arg(long, hide = true)]
    no_run: bool,

    /// Run all tests regardless of failure
    // Which is so within one executable.
    #[arg(long, hide = true)]
    no_fail_fast: bool,

    /// Outputs a future incompatibility report at the end of the build
    #[arg(long)]
    future_incompat_report: bool,

    #[command(flatten)]
    recording: RecordingFlags,

    #[command(flatten)]
    report: ReportFlags,

    #[command(flatten)]
    terminal: TerminalFlags,

    #[command(flatten)]
    configuration: Configuration,

    #[command(flatten)]
    packages: Packages,

    #[command(flatten)]
    targets: Targets,

    #[command(flatten)]
    features: Features,

    #[command(flatten)]
    jobs: Jobs,

    #[command(flatten)]
    compilation: Compilation,

    #[command(flatten)]
    manifest: ManifestFlags,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Package Selection")]
struct Packages {
    /// Package to run tests for
    #[arg(short, long, value_name = "SPEC", num_args = 0..=1, default_missing_value = "")]
    package: Vec<String>,

    /// Test all packages in the workspace
    #[arg(long)]
    workspace: bool,

    /// Exclude packages from the test
    #[arg(long, value_name = "SPEC")]
    exclude: Vec<String>,

    /// Alias for --workspace (deprecated)
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Target Selection")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of cargo's")]
#[expect(clippy::struct_field_names, reason = "each is called as cargo's flag is")]
struct Targets {
    /// Test only this package's library
    #[arg(long)]
    lib: bool,

    /// Test all binaries
    #[arg(long)]
    bins: bool,

    /// Test only the specified binary
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    bin: Vec<String>,

    /// Test all examples
    #[arg(long)]
    examples: bool,

    /// Test only the specified example
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    example: Vec<String>,

    /// Test all targets that have `test = true` set
    #[arg(long)]
    tests: bool,

    /// Test only the specified test target
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    test: Vec<String>,

    /// Test all targets that have `bench = true` set
    #[arg(long)]
    benches: bool,

    /// Test only the specified bench target
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    bench: Vec<String>,

    /// Test all targets (does not include doctests)
    #[arg(long)]
    all_targets: bool,

    /// Test only this library's documentation
    #[arg(long, hide = true)]
    doc: bool,
}

impl Test {
    pub(super) fn terminal(&self) -> TerminalOptions {
        self.terminal.options(self.configuration.config_flags())
    }

    pub(super) fn resolve(self, command: CargoCommand) -> Result<RunOptions, clap::Error> {
        self.refuse(command)?;
        let settings = self.recording.settings(&self.report);
        let groups = Groups {
            configuration: self.configuration,
            features: self.features,
            jobs: self.jobs,
            keep_going: false,
            compilation: self.compilation,
            manifest: self.manifest,
        };
        let mut terminal = Words(self.terminal.for_build());
        terminal.switch("--future-incompat-report", self.future_incompat_report);
        let build = groups.resolve(self.terminal.color.map(When::name), terminal.0);
        let mut selection = Words(Vec::new());
        self.packages.write(&mut selection);
        self.targets.write(&mut selection);
        let has_test_name = self.name.is_some();
        let build = BuildOptions { command, selection: selection.0, has_test_name, ..build };
        let args = self.name.into_iter().chain(self.args).collect();
        let program = ProgramChoice::Built(build);
        Ok(RunOptions { program, args, settings })
    }

    fn refuse(&self, command: CargoCommand) -> Result<(), clap::Error> {
        if self.compilation.unit_graph {
            return Err(refusal::unit_graph());
        }
        if self.no_run {
            let why = "without a run there is nothing to report";
            return Err(refusal::of_flag(
                "--no-run",
                why,
                &format!("cargo {} --no-run", command.name()),
            ));
        }
        if self.targets.doc {
            let why = "rustdoc compiles and runs each of these tests as a program of its own";
            return Err(refusal::of_flag(
                "--doc",
                why,
                "move the code to an example or a test target, and run that",
            ));
        }
        Ok(())
    }
}

impl Packages {
    fn write(self, words: &mut Words) {
        words.each_with_or_without("--package", self.package);
        words.switch("--workspace", self.workspace);
        words.each("--exclude", self.exclude);
        words.switch("--all", self.all);
    }
}

impl Targets {
    fn write(self, words: &mut Words) {
        words.switch("--lib", self.lib);
        words.switch("--bins", self.bins);
        words.each_with_or_without("--bin", self.bin);
        words.switch("--examples", self.examples);
        words.each_with_or_without("--example", self.example);
        words.switch("--tests", self.tests);
        words.each_with_or_without("--test", self.test);
        words.switch("--benches", self.benches);
        words.each_with_or_without("--bench", self.bench);
        words.switch("--all-targets", self.all_targets);
    }
}

/// The same in cargo's words for `bench`.
pub(super) fn in_words_of_bench(command: Command) -> Command {
    let command = command
        .about("Build and run a benchmark of the local package, and say why it is slow")
        .after_help(
            "Of several executables, the one with a benchmark to run is run; name it if there are more.",
        );
    command.mut_args(|arg| {
        let Some(help) = arg.get_help().map(ToString::to_string) else {
            return arg;
        };
        let arg = if arg.get_id() == "name" { arg.value_name("BENCHNAME") } else { arg };
        let words = [
            ("Test ", "Benchmark "),
            ("run tests", "run benchmarks"),
            ("only run benchmarks containing", "only run benches containing"),
            ("from the test", "from the benchmark"),
            (" (does not include doctests)", ""),
            ("the test binary", "the bench binary"),
        ];
        arg.help(
            words.iter().fold(help, |help, (of_test, of_bench)| help.replace(of_test, of_bench)),
        )
    })
}

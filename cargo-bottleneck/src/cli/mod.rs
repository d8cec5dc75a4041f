//! The command line: words to options. No file is read and no process is started here.

mod cargo_flags;
mod clean;
mod color;
mod completions;
mod doctor;
mod output;
mod refusal;
mod report;
mod run;
mod test;

use std::ffi::OsString;

use clap::builder::styling::Styles;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::cargo::pick::CargoCommand;
use crate::commands::clean::CleanOptions;
use crate::commands::doctor::DoctorOptions;
use crate::commands::report::ReportOptions;
use crate::commands::run::RunOptions;
use crate::commands::setup::TerminalOptions;
use crate::status::style;

/// What the arguments ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// What to do.
    pub command: Command,
    /// What the flags say about the terminal.
    pub terminal: TerminalOptions,
}

/// A subcommand with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Build, run, report.
    Run(Box<RunOptions>),
    /// Report once more.
    Report(ReportOptions),
    /// Examine the machine.
    Doctor(DoctorOptions),
    /// Remove earlier runs.
    Clean(CleanOptions),
    /// Print a script for a shell.
    Completions(String),
}

/// Cargo's own colors.
const STYLES: Styles = Styles::styled()
    .header(style::GOOD)
    .usage(style::GOOD)
    .literal(style::LITERAL)
    .placeholder(style::PLACEHOLDER)
    .error(style::ERROR)
    .valid(style::LITERAL)
    .invalid(style::WARNING);

#[derive(Debug, Parser)]
#[command(name = "cargo", bin_name = "cargo", styles = STYLES)]
enum Cargo {
    Bottleneck(Bottleneck),
}

/// Says why a program is slow: memory, compute, I/O or scheduling
#[derive(Debug, Args)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: that of the program (128 + n for signal n); else 4 no spans recorded, 96 cannot set up the \
                  run, 101 cannot build, 110 cannot write a report."
)]
struct Bottleneck {
    #[command(subcommand)]
    subcommand: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    #[command(visible_alias = "r")]
    Run(Box<run::Run>),
    #[command(visible_alias = "t")]
    Test(Box<test::Test>),
    Bench(Box<test::Test>),
    Report(report::Report),
    Doctor(doctor::Doctor),
    Clean(clean::Clean),
    Completions(completions::Completions),
}

/// Reads the arguments, the first being the name of the program.
///
/// # Errors
/// If they make no sense, or ask for help or the version; the error prints itself.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Invocation, clap::Error> {
    let args = with_word(args.collect());
    let color = color::early(&args);
    color.write_global();
    let mut command = definition().color(color::for_help(color));
    let Cargo::Bottleneck(Bottleneck { subcommand }) = command
        .try_get_matches_from_mut(args)
        .and_then(|matches| Cargo::from_arg_matches(&matches))
        .map_err(|error| refusal::explain(error).format(&mut command))?;
    subcommand.resolve().map_err(|error| error.format(&mut command))
}

/// The definition of the command line, in which `test` and `bench` differ in words only.
fn definition() -> clap::Command {
    Cargo::command().mut_subcommand("bottleneck", |bottleneck| {
        bottleneck.mut_subcommand("bench", test::in_words_of_bench)
    })
}

impl Subcommands {
    fn resolve(self) -> Result<Invocation, clap::Error> {
        let terminal = match &self {
            Self::Run(run) => run.terminal(),
            Self::Test(test) | Self::Bench(test) => test.terminal(),
            Self::Report(report) => report.terminal.options(Vec::new()),
            Self::Doctor(doctor) => doctor.terminal.options(Vec::new()),
            Self::Clean(clean) => clean.terminal.options(Vec::new()),
            Self::Completions(_) => TerminalOptions::default(),
        };
        let command = match self {
            Self::Run(run) => Command::Run(Box::new(run.resolve()?)),
            Self::Test(test) => Command::Run(Box::new(test.resolve(CargoCommand::Test)?)),
            Self::Bench(bench) => Command::Run(Box::new(bench.resolve(CargoCommand::Bench)?)),
            Self::Report(report) => Command::Report(report.resolve()),
            Self::Doctor(doctor) => Command::Doctor(doctor.resolve()),
            Self::Clean(clean) => Command::Clean(clean.resolve()),
            Self::Completions(completions) => Command::Completions(completions.script()),
        };
        Ok(Invocation { command, terminal })
    }
}

/// Cargo starts `cargo-bottleneck bottleneck ...`; a person or an alias starts `cargo-bottleneck ...`.
fn with_word(mut args: Vec<OsString>) -> Vec<OsString> {
    if args.is_empty() {
        args.push("cargo-bottleneck".into());
    }
    if args.get(1).is_none_or(|word| word != "bottleneck") {
        args.insert(1, "bottleneck".into());
    }
    args
}

#[cfg(test)]
mod tests;

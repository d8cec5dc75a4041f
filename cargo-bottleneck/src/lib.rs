//! `cargo bottleneck`: says why a program is slow.
//!
//! An arrow of use never points right:
//! units, kind <- machine, profile <- analysis <- report <- cargo, launch, commands <- cli <- this file.
//! This file is the only place that turns a result into an exit code.

use std::ffi::OsString;

pub mod analysis;
pub mod cargo;
pub mod cli;
pub mod commands;
pub mod descendants;
pub mod error;
pub mod exit_code;
pub mod kind;
pub mod launch;
pub mod machine;
pub mod number;
pub mod profile;
pub mod report;
pub mod run_dir;
pub mod signals;
pub mod status;
pub mod syscalls;
pub mod units;

use cli::Command;
use commands::setup::Setup;

/// Does what the arguments ask for, with or without the word `bottleneck` that cargo puts first.
pub fn main(args: impl Iterator<Item = OsString>) -> std::process::ExitCode {
    let invocation = match cli::parse(args) {
        Ok(invocation) => invocation,
        Err(error) => {
            // Help and version come this way too; a closed stream is no reason for another code.
            let _ = error.print();
            return std::process::ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let setup = Setup::load(&invocation.terminal);
    let status = setup.status;
    let result = match &invocation.command {
        Command::Run(options) => commands::run::run(options, setup),
        Command::Report(options) => commands::report::report(options, status),
        Command::Doctor(options) => commands::doctor::doctor(*options, status),
        Command::Clean(options) => commands::clean::clean(options, status),
        Command::Completions(script) => commands::completions::print(script),
    };
    std::process::ExitCode::from(result.unwrap_or_else(|error| {
        status.error(&error);
        error.code().code()
    }))
}

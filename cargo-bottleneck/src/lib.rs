//! `cargo bottleneck`: says why a program is slow.
//!
//! An arrow of use never points right:
//! units, kind <- machine, profile <- symbols <- analysis <- report <- cargo, launch, commands <- cli <- this file.
//! This file is the only place that turns a result into an exit code.

#![cfg_attr(
    not(any(test, feature = "test-kit")),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)
)]

use std::ffi::OsString;
use std::io::Write as _;

pub mod analysis;
pub mod cargo;
pub mod cli;
pub mod commands;
pub mod descendants;
pub mod error;
pub mod escape;
pub mod exit_code;
pub mod fault;
pub mod instructions;
pub mod kind;
pub mod launch;
pub mod machine;
pub mod number;
pub mod partner;
pub mod profile;
pub mod report;
pub mod run_dir;
pub mod signals;
pub mod status;
pub mod symbols;
pub mod syscalls;
pub mod units;

use cli::Command;
use commands::setup::Setup;

/// Does what the arguments ask for, with or without the word `bottleneck` that cargo puts first.
pub fn main(args: impl Iterator<Item = OsString>) -> std::process::ExitCode {
    fault::keep_quiet();
    let code = fault::caught(|| Ok(invoke(args))).unwrap_or_else(|error| {
        status::Status::default().error(&error);
        error.code().code()
    });
    std::process::ExitCode::from(code)
}

/// Returns the code to end with.
fn invoke(args: impl Iterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.collect();
    if let Some(folder) = machine::gpu::asked_for(&args) {
        // Whoever started this reads the line, or has gone.
        let _ = writeln!(std::io::stdout(), "{}", machine::gpu::line(folder));
        return 0;
    }
    let invocation = match cli::parse(args.into_iter()) {
        Ok(invocation) => invocation,
        Err(error) => {
            // Help and version come this way too; a closed stream is no reason for another code.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let setup = Setup::load(&invocation.terminal);
    let status = setup.status;
    fault::on_demand("main");
    let result = match &invocation.command {
        Command::Run(options) => commands::run::run(options, setup),
        Command::Report(options) => commands::report::report(options, status),
        Command::Doctor(options) => commands::doctor::doctor(*options, status),
        Command::Clean(options) => commands::clean::clean(options, status),
        Command::Completions(script) => commands::completions::print(script),
    };
    result.unwrap_or_else(|error| {
        status.error(&error);
        error.code().code()
    })
}

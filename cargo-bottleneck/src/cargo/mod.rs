//! What the command asks of cargo: what there is to run, a build of it, and the environment that `cargo run` would give.
//!
//! Cargo is always asked, never imitated, where it offers an answer: `cargo metadata`, `cargo build` and its messages,
//! `cargo config get`. Nothing here starts the program.

pub mod build;
pub mod config;
pub mod environment;
pub mod inherited;
pub mod manifest;
pub mod metadata;
pub mod pick;
#[cfg(test)]
mod sample;
pub mod start;
pub mod toolchain;

use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::launch::shell_words;
use crate::status::Status;
use inherited::Inherited;

/// How cargo is called: which one, in which environment, with which of the user's flags on every call.
#[derive(Debug)]
pub struct Cargo<'a> {
    /// The executable.
    pub program: OsString,
    /// Flags such as `--config`, `--offline` or `--manifest-path`, which decide what cargo sees.
    pub common: Vec<OsString>,
    /// The environment of the user.
    pub inherited: &'a Inherited,
    /// Where commands are shown with `--verbose`.
    pub status: Status,
}

impl Cargo<'_> {
    /// `cargo SUBCOMMAND ARGS`, stdin closed, in the environment of the user.
    pub fn command(&self, subcommand: &str, args: &[OsString]) -> Command {
        let mut command = self.inherited.command(&self.program);
        command.arg(subcommand).args(args).stdin(Stdio::null());
        let words = std::iter::once(&self.program).cloned();
        let words: Vec<_> = words.chain([subcommand.into()]).chain(args.iter().cloned()).collect();
        self.status.detail("Asking", format_args!("`{}`", shell_words(words.iter())));
        command
    }

    /// Cargo could not be started at all.
    pub fn cannot_start(&self, error: &std::io::Error) -> Error {
        Error::new(ExitCode::Setup, format!("cannot start `{}`", self.program.display()))
            .why(error)
            .fix("install Rust from https://rustup.rs, or set CARGO to the cargo to use")
    }
}

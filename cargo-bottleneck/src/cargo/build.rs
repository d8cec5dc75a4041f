//! `cargo build` or `cargo test --no-run`, with its messages read: the executables, and what build scripts said.
//!
//! Diagnostics and progress go from cargo to the terminal directly; only the machine-readable part is read.

use std::ffi::OsString;
use std::io::BufReader;
use std::process::Stdio;

use cargo_metadata::{Artifact, BuildScript, Message};

use crate::cargo::Cargo;
use crate::cargo::pick::CargoCommand;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::status::Status;

/// What a build gave.
#[derive(Debug, Default)]
pub struct Build {
    /// Every artifact with an executable, fresh ones included.
    pub executables: Vec<Artifact>,
    /// Artifacts without one, of which an example may be what the user asked for.
    pub libraries: Vec<Artifact>,
    /// Every build script, with the variables and library paths that it set.
    pub scripts: Vec<BuildScript>,
}

/// Builds what `command` would run, with these flags, to its end.
///
/// # Errors
/// If the build fails; cargo has then said why.
pub fn build(cargo: &Cargo<'_>, command: CargoCommand, flags: &[OsString]) -> Result<Build, Error> {
    let mut args = vec![OsString::from("--message-format=json-render-diagnostics")];
    let subcommand = match command {
        CargoCommand::Run => "build",
        CargoCommand::Test | CargoCommand::Bench => {
            args.push("--no-run".into());
            command.name()
        }
    };
    args.extend(flags.iter().cloned());
    let mut command = cargo.command(subcommand, &args);
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(|error| cargo.cannot_start(&error))?;
    let build = child
        .stdout
        .take()
        .map(|stdout| read(BufReader::new(stdout), cargo.status))
        .unwrap_or_default();
    let is_success = child.wait().is_ok_and(|status| status.success());
    if is_success { Ok(build) } else { Err(Error::already_shown(ExitCode::BuildFailed)) }
}

fn read(messages: impl std::io::BufRead, status: Status) -> Build {
    let mut build = Build::default();
    // A line that cannot be read is not ours to judge: cargo's exit status is.
    for message in Message::parse_stream(messages).map_while(Result::ok) {
        match message {
            Message::CompilerArtifact(artifact) if artifact.executable.is_some() => {
                build.executables.push(artifact);
            }
            Message::CompilerArtifact(artifact) => build.libraries.push(artifact),
            Message::BuildScriptExecuted(script) => build.scripts.push(script),
            Message::TextLine(line) => status.text(&line),
            _ => {}
        }
    }
    build
}

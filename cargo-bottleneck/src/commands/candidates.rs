//! Which one of several test executables is meant: the only one with something to run.
//!
//! The test harness is asked for its list. A program with a `main` of its own is never started to be asked, since it may
//! do its work whatever the arguments are; it always counts.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use cargo_metadata::Artifact;

use crate::cargo::pick::{self, CargoCommand};
use crate::cargo::start::Starter;
use crate::commands::target::BuildOptions;
use crate::error::Error;
use crate::launch::Launch;

/// The executable to run, of all those that cargo would run.
///
/// # Errors
/// If there is none, or there are several with something to run: then with the flags that select each.
pub fn choose<'a>(
    starter: &Starter<'_>,
    options: &BuildOptions,
    candidates: &[&'a Artifact],
    packages: &[cargo_metadata::Package],
    args: &[OsString],
) -> Result<&'a Artifact, Error> {
    let command = options.command;
    match candidates {
        [] => return Err(pick::nothing_to_run(command)),
        [artifact] => return Ok(artifact),
        [..] => {}
    }
    let mut found = Vec::new();
    for &artifact in candidates {
        if !starter.has_harness(artifact)
            || has_something_to_run(command, starter.launch(artifact, args)?)
        {
            found.push(artifact);
        }
    }
    match found[..] {
        [artifact] => Ok(artifact),
        [] => {
            let name = options.has_test_name.then(|| args.first()).flatten();
            let name = name.map(|name| name.to_string_lossy());
            Err(pick::no_match(command, name.as_deref(), &pick::selectors(candidates, packages)))
        }
        [..] => Err(pick::choose_one(command, &pick::selectors(&found, packages))),
    }
}

/// Whether the harness lists anything for these arguments. One that gives no list is left to say why when it is run.
fn has_something_to_run(command: CargoCommand, launch: Launch) -> bool {
    let mut asked = Command::new(&launch.program);
    asked.args(&launch.args).args(["--list", "--format", "terse"]);
    asked.env_clear().envs(launch.environment).stdin(Stdio::null()).stderr(Stdio::null());
    if let Some(directory) = launch.directory {
        asked.current_dir(directory);
    }
    let Some(output) = asked.output().ok().filter(|output| output.status.success()) else {
        return true;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    // Told to measure, the harness lists tests too, but runs benchmarks only.
    text.lines().any(|line| {
        line.ends_with(": benchmark") || command == CargoCommand::Test && line.ends_with(": test")
    })
}

//! `cargo bottleneck doctor`: what this machine can do and lets us observe, and how to get at the rest.

use std::io::{IsTerminal as _, Write as _};

use serde_json::json;

use crate::commands::present::MessageFormat;
use crate::error::Error;
use crate::escape::harmless_json;
use crate::exit_code::ExitCode;
use crate::machine::{self, Machine};
use crate::run_dir::{self, REPORTS};
use crate::status::Status;

/// What the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DoctorOptions {
    /// For whom the answer is.
    pub message_format: MessageFormat,
}

/// Columns of the answer.
const WIDTH: usize = 80;

/// Measures and examines the machine. Returns the code to end with: what is missing is an answer, not a failure.
///
/// # Errors
/// If not even the CPUs that may be used can be read.
pub fn doctor(options: DoctorOptions, status: Status) -> Result<u8, Error> {
    status.detail("Measuring", "this machine, for about a second");
    let target = super::target_directory_here(status);
    let reports = target.join(REPORTS);
    // Where the target directory cannot be made, recordings cannot be either: the capability says so.
    let _ = run_dir::reports_folder(&target);
    let mut machine = Machine::measure(&reports, &reports).map_err(|error| {
        Error::new(ExitCode::Setup, "cannot examine this machine")
            .why(error)
            .fix("see that /proc is mounted")
    })?;
    machine.gpu = Some(machine::gpu::look(&reports));
    let mut out = anstream::stdout().lock();
    // A reader that has gone away is not an error.
    let _ = match options.message_format {
        MessageFormat::Json => {
            let line = json!({"reason": "bottleneck-doctor", "machine": machine}).to_string();
            writeln!(out, "{}", harmless_json(&line))
        }
        MessageFormat::Human | MessageFormat::Short => {
            let color = std::io::stdout().is_terminal();
            write!(out, "{}", machine::render(&machine, color, WIDTH))
        }
    };
    Ok(0)
}

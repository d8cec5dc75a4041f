//! `cargo bottleneck doctor`: what can be measured on this machine, and how to get at the rest.

use std::io::Write as _;

use serde_json::json;

use crate::cargo::inherited::Inherited;
use crate::cargo::toolchain::cargo_program;
use crate::commands::present::MessageFormat;
use crate::error::Error;
use crate::run_dir::RunDir;
use crate::status::Status;

/// What the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DoctorOptions {
    /// For whom the answer is.
    pub message_format: MessageFormat,
}

/// One thing that the tool needs or can use.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// What it is.
    pub what: String,
    /// Whether it is there.
    pub available: bool,
    /// The value, or the reason why it is missing.
    pub detail: String,
    /// How to get it, where it is missing.
    pub fix: Option<String>,
}

/// Examines the machine. Returns the code to end with.
///
/// # Errors
/// None of its own; a capability that is missing is an answer.
pub fn doctor(options: DoctorOptions, status: Status) -> Result<u8, Error> {
    let findings = vec![find_cargo(), find_recording()];
    match options.message_format {
        MessageFormat::Json => {
            let line = json!({"reason": "bottleneck-doctor", "findings": findings});
            // A reader that has gone away is not an error.
            let _ = writeln!(std::io::stdout().lock(), "{line}");
        }
        MessageFormat::Human | MessageFormat::Short => {
            for finding in &findings {
                show(finding, status);
            }
        }
    }
    Ok(0)
}

fn show(finding: &Finding, status: Status) {
    status.line(
        if finding.available { "ok" } else { "missing" },
        format_args!("{}: {}", finding.what, finding.detail),
    );
    if let Some(fix) = &finding.fix {
        status.text(&format!("{:13}fix: {fix}", ""));
    }
}

fn find_cargo() -> Finding {
    let inherited = Inherited::from_process();
    let program = cargo_program(&inherited);
    let output = inherited.command(&program).arg("--version").output();
    let version = output.ok().filter(|output| output.status.success());
    Finding {
        what: "cargo".to_owned(),
        available: version.is_some(),
        detail: version.map_or_else(
            || format!("`{}` cannot be started", program.display()),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        ),
        fix: None,
    }
}

/// Tries the temporary folder, which is where a recording goes that has no target directory.
fn find_recording() -> Finding {
    let path = std::env::temp_dir().join(format!("bottleneck-doctor-{}", std::process::id()));
    let trial = RunDir::at(&path).and_then(|mut directory| directory.prepare_recording());
    // Nothing but the trial was in it.
    let _ = std::fs::remove_dir(&path);
    let reason = trial.unwrap_or_else(|error| Some(error.to_string()));
    Finding {
        what: "mapped recording".to_owned(),
        available: reason.is_none(),
        fix: reason.as_ref().map(|_| "keep the target directory on a local disk".to_owned()),
        detail: reason.unwrap_or_else(|| "a folder here can be mapped shared".to_owned()),
    }
}

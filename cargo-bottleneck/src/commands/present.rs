//! What the user sees of a finished report: the verdict, the paths, one line of JSON for a program.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::commands::open;
use crate::commands::pipeline::{Format, Outputs, RunFacts, Source};
use crate::error::Error;
use crate::escape::harmless_json;
use crate::exit_code::ExitCode;
use crate::run_dir::write_atomically;
use crate::status::Status;

/// Where a report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Its usual folder below the target directory.
    Usual,
    /// A folder of the user's choice.
    Directory(PathBuf),
    /// The usual folder, and one file of it also at a path of the user's choice.
    File(PathBuf, Format),
}

/// How the verdict is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presentation {
    /// For whom.
    pub message_format: MessageFormat,
    /// Whether the picture is opened.
    pub open: bool,
    /// Whether a program has written to the same stdout before.
    pub is_after_program: bool,
}

/// For whom the verdict is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageFormat {
    /// A person.
    #[default]
    Human,
    /// A person who wants one line.
    Short,
    /// A program: one line of JSON on stdout.
    Json,
}

impl MessageFormat {
    /// The one that is written so on the command line.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "human" => Some(Self::Human),
            "short" => Some(Self::Short),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Shows the report and puts it where the user wants it.
///
/// # Errors
/// If the file that the user names cannot be written; the verdict is shown nevertheless.
pub fn present(
    source: &Source,
    facts: Option<&RunFacts>,
    outputs: &Outputs,
    destination: &Destination,
    presentation: Presentation,
    status: Status,
) -> Result<(), Error> {
    let mut files = outputs.files.clone();
    let mut placed = Ok(());
    if let Destination::File(path, format) = destination
        && let Some((_, file)) = files.iter_mut().find(|(of, _)| of == format)
    {
        placed = copy(file, path);
        if placed.is_ok() {
            file.clone_from(path);
        }
    }
    for warning in &outputs.warnings {
        status.warning(warning);
    }
    match presentation.message_format {
        MessageFormat::Human if !outputs.human.is_empty() => {
            status.text(&format!("\n{}\n", outputs.human));
        }
        MessageFormat::Short if !outputs.short.is_empty() => status.text(&outputs.short),
        MessageFormat::Human | MessageFormat::Short | MessageFormat::Json => {}
    }
    for (format, path) in &files {
        status.line(format.word(), shown(path).display());
    }
    // One that could be kept in memory only is gone with the command.
    let kept = outputs.recording.as_ref().filter(|path| !path.starts_with("/proc"));
    if let Some(recording) = kept {
        status.line(
            "Raw",
            format_args!("{} (cargo bottleneck report FILE)", shown(recording).display()),
        );
    }
    if presentation.message_format == MessageFormat::Json {
        let begin =
            if !presentation.is_after_program || is_stdout_at_line_start() { "" } else { "\n" };
        let line = json_line(source, facts, outputs, &files);
        // A reader that has gone away is not an error of the run.
        let _ = writeln!(std::io::stdout().lock(), "{begin}{}", harmless_json(&line.to_string()));
    }
    if presentation.open {
        open::open(&files, status);
    }
    placed
}

/// Puts a file of the report where the user wants it.
fn copy(file: &Path, path: &Path) -> Result<(), Error> {
    let bytes = std::fs::read(file).map_err(|error| {
        Error::new(ExitCode::CannotWrite, format!("cannot write `{}`", path.display()))
            .why(format!("`{}` cannot be read: {error}", file.display()))
            .fix("make the report again: cargo bottleneck report")
    })?;
    write_atomically(path, &bytes)
}

/// The one line of `--message-format json`. Readers ignore keys that they do not know.
fn json_line(
    source: &Source,
    facts: Option<&RunFacts>,
    outputs: &Outputs,
    files: &[(Format, PathBuf)],
) -> serde_json::Value {
    let files: serde_json::Map<_, _> =
        files.iter().map(|(format, path)| (format.name().to_owned(), text(path).into())).collect();
    json!({
        "reason": "bottleneck-report",
        "program": facts.map(|facts| &facts.program),
        "exit": facts.map(|facts| json!({"code": facts.exit.code, "signal": facts.exit.signal})),
        "wall_ns": facts.map(|facts| facts.wall_ns),
        "pid": facts.map(|facts| facts.pid),
        "cut": facts.map(|facts| facts.cut),
        "directory": text(&source.directory),
        "recording": outputs.recording.as_deref().map(text),
        "recordings": source.recordings.iter().map(|path| text(path)).collect::<Vec<_>>(),
        "files": files,
        "warnings": outputs.warnings,
        "summary": outputs.summary,
    })
}

/// A path as JSON has it, which knows no bytes that are not text.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Whether the last byte on stdout ended a line, as far as that can be seen: in a file it can, in a pipe or on a terminal
/// it cannot. There the line of JSON begins with an empty one rather than in the middle of what the program wrote last.
fn is_stdout_at_line_start() -> bool {
    let last_byte = || -> std::io::Result<Option<u8>> {
        let mut stdout = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
        if !stdout.metadata()?.is_file() {
            return Ok(None);
        }
        let end = match stdout.stream_position()? {
            // Also of a file that is appended to, as long as nothing was.
            0 => stdout.metadata()?.len(),
            position => position,
        };
        let Some(at) = end.checked_sub(1) else {
            return Ok(Some(b'\n'));
        };
        let mut byte = [0];
        // The shell has opened it for writing only.
        File::open("/proc/self/fd/1")?.read_exact_at(&mut byte, at)?;
        Ok(Some(byte[0]))
    };
    last_byte().ok().flatten() == Some(b'\n')
}

/// A path as short as it can be said from here.
fn shown(path: &Path) -> &Path {
    let current = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(current).unwrap_or(path)
}

//! The one seam between running a program and judging its recording.
//!
//! `run` and `report` know folders and processes; profiles, verdicts and pictures are known behind [`report_from`] only.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::launch::{Ended, Exit};
use crate::run_dir;
use crate::signals::StoppedBy;
use crate::syscalls::Usage;

/// File in the folder of a run that holds its [`RunFacts`], for a later `report`.
const FACTS_FILE: &str = "run.json";

/// What the command saw of a run from outside, which no recording knows: how long it really took and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Name of the program, as in reports.
    pub program: String,
    /// The command line that was started, a runner included.
    pub command: Vec<String>,
    /// Process id of what was started.
    pub pid: u32,
    /// `CLOCK_MONOTONIC` just before it was started, in ns: the clock of the recording.
    pub started_ns: u64,
    /// From there to its end, in ns.
    pub wall_ns: u64,
    /// How it ended.
    pub exit: Exit,
    /// Who ended it, if not itself.
    pub stopped_by: Option<StoppedBy>,
    /// It did not come to a good end of its own: it failed, panicked, was interrupted or killed.
    pub cut: bool,
    /// What the kernel counted for it.
    pub usage: Usage,
    /// Whether the build has line numbers; `None` for a program that was not built by this command.
    pub has_line_numbers: Option<bool>,
    /// Whether the build was optimized; `None` for a program that was not built by this command.
    pub is_optimized: Option<bool>,
}

impl RunFacts {
    /// The facts of a run that has just ended.
    pub fn new(program: &str, command: Vec<String>, ended: &Ended) -> Self {
        let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            program: program.to_owned(),
            command,
            pid: ended.pid,
            started_ns: nanos(ended.started),
            wall_ns: nanos(ended.wall),
            exit: ended.exit,
            stopped_by: ended.stopped_by,
            cut: !ended.exit.is_success() || ended.stopped_by.is_some(),
            usage: ended.usage,
            has_line_numbers: None,
            is_optimized: None,
        }
    }

    /// Keeps the facts beside the recording.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), Error> {
        let path = directory.join(FACTS_FILE);
        let json = serde_json::to_vec_pretty(self).map_err(|error| {
            Error::new(ExitCode::CannotWrite, format!("cannot write `{}`", path.display()))
                .why(error)
        })?;
        run_dir::write_atomically(&path, &json)
    }

    /// Reads the facts that an earlier run kept in its folder; `None` where there are none.
    pub fn load(directory: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(directory.join(FACTS_FILE)).ok()?).ok()
    }
}

/// A kind of file that a report can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `flame.svg`
    Svg,
    /// `summary.json`
    Json,
    /// `stacks.folded`
    Folded,
}

impl Format {
    /// Every format, in the order in which files are listed.
    pub const ALL: [Self; 3] = [Self::Svg, Self::Json, Self::Folded];

    /// Its name on the command line, which is also the extension of its files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Json => "json",
            Self::Folded => "folded",
        }
    }

    /// Its file in the folder of a run.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Svg => "flame.svg",
            Self::Json => "summary.json",
            Self::Folded => "stacks.folded",
        }
    }

    /// The word before its path in the list of files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Svg => "Flame",
            Self::Json => "Summary",
            Self::Folded => "Stacks",
        }
    }
}

/// What is wanted of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The files to write, each once.
    pub formats: Vec<Format>,
}

/// Where the recordings of a report are and where its files go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Recordings, that of the first process first; see [`run_dir::recordings`].
    pub recordings: Vec<PathBuf>,
    /// Folder for the files of the report.
    pub directory: PathBuf,
}

/// A report that has been written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// The files, in the order of [`Format::ALL`], each under its usual name in the folder.
    pub files: Vec<(Format, PathBuf)>,
    /// Spans that were recorded; `None` where nobody has counted them.
    pub n_spans: Option<u64>,
    /// The verdict in at most 80 columns, for a person.
    pub human: String,
    /// The first line of it.
    pub short: String,
    /// The same as `summary.json`; `null` if there is none.
    pub summary: serde_json::Value,
    /// What the reader should know, each with the way out.
    pub warnings: Vec<String>,
}

/// Judges the recordings and writes the report.
///
/// # Errors
/// If a recording cannot be read or a file cannot be written.
pub fn report_from(
    source: &Source,
    _facts: Option<&RunFacts>,
    _options: &Options,
) -> Result<Outputs, Error> {
    // Whether there is a recording is all that can be said before profiles are read.
    let n_spans = source.recordings.is_empty().then_some(0);
    Ok(Outputs { n_spans, ..Outputs::default() })
}

//! Finds what `report` is about when the user names a folder, a file, or nothing.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::run_dir::{self, LATEST, REPORTS};

/// The recordings at `path`: a recording, or a folder of a run.
///
/// # Errors
/// If there are none.
pub fn recordings_at(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let not_found = |why: String| {
        Error::new(ExitCode::Setup, format!("no recording at `{}`", path.display()))
            .why(why)
            .fix("name a .bneck file or a folder below target/bottleneck-reports")
    };
    let kind = fs::metadata(path).map_err(|error| not_found(error.to_string()))?;
    let recordings = if kind.is_dir() { run_dir::recordings(path) } else { vec![path.to_owned()] };
    if recordings.is_empty() {
        Err(not_found("the folder holds no .bneck file".to_owned()))
    } else {
        Ok(recordings)
    }
}

/// The folder of the newest run in a target directory, of whatever program.
///
/// # Errors
/// If there is none.
pub fn newest_run(target_directory: &Path) -> Result<PathBuf, Error> {
    let reports = target_directory.join(REPORTS);
    let programs =
        fs::read_dir(&reports).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let runs = programs.filter_map(|program| fs::canonicalize(program.join(LATEST)).ok());
    runs.max_by_key(|run| run_dir::order_of_run(run)).ok_or_else(|| {
        Error::new(ExitCode::Setup, "no run to report on")
            .why(format!("`{}` holds none", reports.display()))
            .fix("run a program first: cargo bottleneck run")
    })
}

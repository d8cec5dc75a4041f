//! `cargo bottleneck report`: the report of an earlier run, or of a recording from elsewhere, once more.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::cargo::inherited::Inherited;
use crate::commands::latest;
use crate::commands::pipeline::{RunFacts, Source, report_from};
use crate::commands::present::{self, Destination};
use crate::commands::settings::{self, Settings};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::run_dir::RunDir;
use crate::status::Status;

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportOptions {
    /// A recording or the folder of a run; the newest run of this workspace if `None`.
    pub path: Option<PathBuf>,
    /// What the flags say of the report.
    pub settings: Settings,
}

/// Reports on a recording. Returns the code to end with.
///
/// # Errors
/// If there is no recording, it cannot be read, or the report cannot be written.
pub fn report(options: &ReportOptions, status: Status) -> Result<u8, Error> {
    // The manifest here has no say: the recording may be from anywhere, and has a folder of its own.
    let settings = settings::layered(&options.settings, &Inherited::from_process(), &[], status)?;
    let destination = settings.destination();
    let path = match &options.path {
        Some(path) => path.clone(),
        None => latest::newest_run(&super::target_directory_here(status))?,
    };
    let recordings = latest::recordings_at(&path)?;
    let home = home_of(&path);
    let facts = home.as_deref().and_then(RunFacts::load);
    let directory = match (&destination, home) {
        (Destination::Directory(directory), _) => {
            std::fs::create_dir_all(directory).map_err(|error| {
                Error::new(ExitCode::CannotWrite, format!("cannot write `{}`", directory.display()))
                    .why(error)
                    .fix("name another folder with -o DIR")
            })?;
            directory.clone()
        }
        (Destination::Usual | Destination::File(..), Some(home)) => home,
        // A recording from elsewhere gets a folder like any run, named after the file.
        (Destination::Usual | Destination::File(..), None) => {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let target = super::target_directory_here(status);
            let folder = RunDir::create(&target, &name, SystemTime::now())?;
            folder.publish();
            folder.path().to_owned()
        }
    };
    let source = Source { recordings, directory };
    let outputs = report_from(&source, facts.as_ref(), None, &settings.report())?;
    present::present(
        &source,
        facts.as_ref(),
        &outputs,
        &destination,
        settings.presentation(),
        status,
    )?;
    if outputs.n_spans == Some(0) {
        let what = format!("no spans in `{}`", path.display());
        return Err(Error::new(ExitCode::NoSpans, what)
            .why("no function that carries #[bottleneck] was called"));
    }
    outputs.unwritten.map_or(Ok(0), Err)
}

/// The folder of the run that `path` belongs to: itself, or the one around its `run.bneck`.
fn home_of(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path.to_owned());
    }
    let parent =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    RunFacts::load(parent).map(|_| parent.to_owned())
}

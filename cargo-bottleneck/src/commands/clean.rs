//! `cargo bottleneck clean`: removes what earlier runs have left below the target directory, and nothing else.
//!
//! A folder is removed only if a mark inside says that this command or cargo has made it. A run that goes on is left alone.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::cargo::Cargo;
use crate::cargo::inherited::Inherited;
use crate::cargo::metadata;
use crate::cargo::toolchain::cargo_program;
use crate::commands::profile::OURS;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::number;
use crate::run_dir::{self, InUse, LATEST, REPORTS};
use crate::status::Status;
use crate::units::Bytes;

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanOptions {
    /// Remove builds too.
    pub build: bool,
    /// Remove nothing.
    pub dry_run: bool,
    /// The newest runs of each program to keep.
    pub keep: usize,
    /// `--target-dir DIR`
    pub target_directory: Option<PathBuf>,
    /// `--manifest-path PATH`
    pub manifest: Option<PathBuf>,
}

/// Files and folders that go together, or that stay.
#[derive(Debug, Default)]
struct Plan {
    runs: Vec<PathBuf>,
    /// Runs that go on. Their marks are not ours, so nothing is held.
    in_use: Vec<PathBuf>,
    /// Marks of the runs that will be removed: nobody begins to record there meanwhile.
    locks: Vec<File>,
    builds: Vec<PathBuf>,
}

/// Removes earlier runs. Returns the code to end with.
///
/// # Errors
/// If cargo cannot say where they are, a folder is not ours, or something cannot be removed.
pub fn clean(options: &CleanOptions, status: Status) -> Result<u8, Error> {
    let targets = target_directories(options, status)?;
    let reports = targets.iter().map(|target| target.join(REPORTS));
    let mut plan = Plan::default();
    let reports: Vec<PathBuf> = reports.filter(|it| fs::symlink_metadata(it).is_ok()).collect();
    for folder in &reports {
        check_is_ours(folder)?;
        plan.add_runs(folder, options.keep);
    }
    if options.build {
        plan.builds = targets.iter().flat_map(|target| builds_in(target)).collect();
    }
    for run in &plan.in_use {
        status.note(format_args!("`{}` stays: it is being recorded", run.display()));
    }
    let whole = if options.keep == 0 && plan.in_use.is_empty() { &reports[..] } else { &[] };
    let removed: Vec<&PathBuf> = if whole.is_empty() {
        plan.runs.iter().chain(&plan.builds).collect()
    } else {
        whole.iter().chain(&plan.builds).collect()
    };
    let mut seen = BTreeSet::new();
    let freed: u64 = removed.iter().map(|path| disk_usage(path, &mut seen)).sum();
    for path in &removed {
        status.detail(if options.dry_run { "Found" } else { "Removing" }, path.display());
        if !options.dry_run {
            remove(path)?;
        }
    }
    if !options.dry_run && whole.is_empty() {
        for folder in &reports {
            tidy_up(folder);
        }
    }
    let word = if options.dry_run { "Found" } else { "Removed" };
    let hint = if options.dry_run { "; nothing is removed (--dry-run)" } else { "" };
    status.line(word, format_args!("{}, {}{hint}", plan.words(), Bytes(freed as f64)));
    Ok(0)
}

impl Plan {
    fn add_runs(&mut self, reports: &Path, keep: usize) {
        for program in folders_in(reports) {
            let mut runs = run_dir::runs_of(&program);
            runs.truncate(runs.len().saturating_sub(keep));
            for run in runs {
                match run_dir::lock(&run) {
                    Ok(lock) => {
                        self.locks.extend(lock);
                        self.runs.push(run);
                    }
                    Err(InUse) => self.in_use.push(run),
                }
            }
        }
    }

    /// `12 runs of 3 programs and 1 build`
    fn words(&self) -> String {
        let programs: BTreeSet<_> = self.runs.iter().filter_map(|run| run.parent()).collect();
        let counted = |n: usize, what: &str| {
            format!("{} {what}{}", number::count(n as u64), if n == 1 { "" } else { "s" })
        };
        let mut words = vec![counted(self.runs.len(), "run")];
        if !programs.is_empty() {
            words.extend(["of".to_owned(), counted(programs.len(), "program")]);
        }
        if !self.builds.is_empty() {
            words.extend(["and".to_owned(), counted(self.builds.len(), "build")]);
        }
        words.join(" ")
    }
}

/// The target directory, and the one for intermediate files where cargo keeps them elsewhere.
fn target_directories(options: &CleanOptions, status: Status) -> Result<Vec<PathBuf>, Error> {
    let inherited = Inherited::from_process();
    let mut common = Vec::new();
    if let Some(manifest) = &options.manifest {
        common.extend(["--manifest-path".into(), manifest.into()]);
    }
    let program = cargo_program(&inherited);
    let cargo = Cargo { program, common, inherited: &inherited, status };
    let named = options.target_directory.as_deref();
    // Programs that were built already are recorded outside of any package too, below `target` here.
    if options.manifest.is_none() && metadata::here(&cargo).is_none() {
        return Ok(vec![named.unwrap_or(Path::new("target")).to_owned()]);
    }
    let metadata = metadata::load(&cargo, named)?.metadata;
    let target = metadata.target_directory.into_std_path_buf();
    let build =
        metadata.build_directory.map(cargo_metadata::camino::Utf8PathBuf::into_std_path_buf);
    let build = build.filter(|build| *build != target);
    Ok([target].into_iter().chain(build).collect())
}

/// A folder of that name that somebody else has made is not touched, nor what a link leads to.
fn check_is_ours(reports: &Path) -> Result<(), Error> {
    let refused = |why: &str| {
        Error::new(ExitCode::Setup, format!("`{}` is left alone", reports.display()))
            .why(why)
            .fix("see what is in it, and remove it yourself")
    };
    let kind = fs::symlink_metadata(reports).map_err(|error| refused(&error.to_string()))?;
    if kind.is_symlink() {
        return Err(refused("it is a link: what it leads to may not be ours"));
    }
    if !kind.is_dir() {
        return Err(refused("it is no folder"));
    }
    if run_dir::is_tagged(reports) || reports.parent().is_some_and(run_dir::is_tagged) {
        Ok(())
    } else {
        Err(refused(
            "no CACHEDIR.TAG in it or above it says that cargo or cargo bottleneck has made it",
        ))
    }
}

/// Builds with our profile, for the host and for each other target.
fn builds_in(target: &Path) -> Vec<PathBuf> {
    let for_triples = folders_in(target).into_iter().map(|triple| triple.join(OURS));
    // The same name may be a program, or the documentation of a crate: cargo's own file tells.
    let is_build = |path: &PathBuf| {
        let kind = fs::symlink_metadata(path);
        let has = |name: &str| path.join(name).exists();
        kind.is_ok_and(|kind| kind.is_dir()) && (has(".cargo-lock") || has(".fingerprint"))
    };
    [target.join(OURS)].into_iter().chain(for_triples).filter(is_build).collect()
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let mut folders: Vec<_> = entries.filter(is_folder).map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

/// Bytes that a file, or a folder with all that is in it, takes on the disk; a file with several names counts once.
fn disk_usage(path: &Path, seen: &mut BTreeSet<(u64, u64)>) -> u64 {
    let Ok(kind) = fs::symlink_metadata(path) else { return 0 };
    if !seen.insert((kind.dev(), kind.ino())) {
        return 0;
    }
    let inside: u64 = if kind.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
        entries.map(|entry| disk_usage(&entry.path(), seen)).sum()
    } else {
        0
    };
    // The unit is 512 bytes whatever the file system uses.
    kind.blocks() * 512 + inside
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        // Somebody else was faster.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let what = format!("cannot remove `{}`", path.display());
            Err(Error::new(ExitCode::CannotWrite, what)
                .why(error)
                .fix("see who owns it and whether its disk can be written"))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes the folders of programs that have no run left, and mends links that lead nowhere.
fn tidy_up(reports: &Path) {
    for program in folders_in(reports) {
        let link = program.join(LATEST);
        if link.exists() {
            continue;
        }
        // None of this matters to anybody: what stays is found by the next `clean`.
        let _ = match run_dir::runs_of(&program).last() {
            Some(newest) => run_dir::point_latest_at(newest),
            None => fs::remove_file(&link),
        };
        let _ = fs::remove_dir(&program);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_takes_its_room_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), vec![1; 100_000]).unwrap();
        let once = disk_usage(folder.path(), &mut BTreeSet::new());
        fs::hard_link(folder.path().join("a"), folder.path().join("b")).unwrap();
        assert_eq!(disk_usage(folder.path(), &mut BTreeSet::new()), once);
    }

    #[test]
    fn builds_are_told_from_what_has_their_name_only() {
        let target = tempfile::tempdir().unwrap();
        for path in ["bottleneck/.fingerprint", "arm/bottleneck/.fingerprint", "doc/bottleneck"] {
            fs::create_dir_all(target.path().join(path)).unwrap();
        }
        let expected = ["bottleneck", "arm/bottleneck"].map(|path| target.path().join(path));
        assert_eq!(builds_in(target.path()), expected);
    }
}

//! The folder of one run: `target/bottleneck-reports/<program>/<UTC time>/`, with `latest` beside it.
//!
//! Files appear whole or not at all: they are written under another name and renamed. Nothing is written outside the
//! folder, except the one file that the user names with `-o`.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bottleneck_runtime::format::HeaderData;

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::syscalls;

/// Folder below the target directory that holds all reports.
pub const REPORTS: &str = "bottleneck-reports";

/// As much as the recording takes at its start.
const TRIAL_LENGTH: usize = 256 << 10;

/// The folder of one run.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    fallback: Option<File>,
}

impl RunDir {
    /// Makes a new folder for a run of `program` that starts at `now`, and points `latest` at it.
    ///
    /// Two runs that start in the same second get two folders.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn create(target_directory: &Path, program: &str, now: SystemTime) -> Result<Self, Error> {
        let parent = target_directory.join(REPORTS).join(program);
        fs::create_dir_all(&parent).map_err(|error| cannot_write(&parent, &error))?;
        let time = utc_file_name(now);
        let mut name = time.clone();
        let mut n = 1;
        let path = loop {
            let path = parent.join(&name);
            match fs::create_dir(&path) {
                Ok(()) => break path,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    n += 1;
                    name = format!("{time}-{n}");
                }
                Err(error) => return Err(cannot_write(&path, &error)),
            }
        };
        // A convenience: a file system without links is no reason not to record.
        let _ = replace_link(&parent.join("latest"), Path::new(&name));
        Ok(Self { path: absolute(path), fallback: None })
    }

    /// Uses the folder that the user names. Recordings of an earlier run in it are removed: they would be taken for
    /// recordings of this one.
    ///
    /// # Errors
    /// If the folder cannot be made or an old recording cannot be removed.
    pub fn at(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(|error| cannot_write(path, &error))?;
        for old in bneck_files(path).into_iter().filter(|file| is_named_by_a_run(file)) {
            fs::remove_file(&old).map_err(|error| cannot_write(&old, &error))?;
        }
        Ok(Self { path: absolute(path.to_owned()), fallback: None })
    }

    /// The folder, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tries whether a recording can be mapped here. If not, the run is recorded into memory instead, and the returned
    /// reason says why.
    ///
    /// # Errors
    /// If neither works.
    pub fn prepare_recording(&mut self) -> Result<Option<String>, Error> {
        let Err(reason) = try_recording_at(&self.path) else {
            return Ok(None);
        };
        let file = syscalls::memory_file(c"bottleneck-recording").map_err(|error| {
            cannot_write(&self.path, &reason)
                .fix(format!("name a folder on a disk with -o (in memory: {error})"))
        })?;
        self.fallback = Some(file);
        Ok(Some(reason.to_string()))
    }

    /// The file in memory as the program can open it, if [`Self::prepare_recording`] made one.
    pub fn fallback_path(&self) -> Option<PathBuf> {
        let file = self.fallback.as_ref()?;
        Some(PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())))
    }

    /// The recordings of the run. What was recorded into memory is first copied to `run.bneck`, so that it outlives the
    /// command; if that cannot be written, the recording in memory is given, with the reason.
    pub fn recordings(&self) -> (Vec<PathBuf>, Option<Error>) {
        match (self.keep_fallback(), self.fallback_path()) {
            (Err(error), Some(memory)) => {
                // Processes that the program started record into the folder, if at all.
                let mut found = recordings(&self.path);
                found.insert(0, memory);
                (found, Some(error))
            }
            (result, _) => (recordings(&self.path), result.err()),
        }
    }

    fn keep_fallback(&self) -> Result<(), Error> {
        use std::io::{Read as _, Seek as _};
        let Some(mut file) = self.fallback.as_ref() else {
            return Ok(());
        };
        let mut bytes = Vec::new();
        let path = self.path.join("run.bneck");
        file.rewind()
            .and_then(|()| file.read_to_end(&mut bytes))
            .map_err(|error| cannot_write(&path, &error))?;
        // The rest of the file is room to grow.
        let header = HeaderData::open(&bytes).ok();
        let used = header.and_then(|header| usize::try_from(header.used).ok());
        bytes.truncate(used.unwrap_or(bytes.len()));
        if bytes.is_empty() { Ok(()) } else { write_atomically(&path, &bytes) }
    }
}

/// The recordings in a folder, `run.bneck` of the first process before those of others, which are in order of names.
///
/// The one that `run.bneck` links to is not given twice.
pub fn recordings(directory: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let mut paths = bneck_files(directory);
    let root = directory.join("run.bneck");
    paths.sort_by_key(|path| (*path != root, path.clone()));
    let mut seen = Vec::new();
    paths.retain(|path| {
        // Follows links: a hard link and a symbolic one are both the same file.
        let identity = fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
        let is_new = identity.is_none_or(|identity| !seen.contains(&identity));
        seen.extend(identity);
        is_new
    });
    paths
}

/// Gives `run.bneck` to this recording of its folder, which is the program's own: the process that recorded first may have
/// been another one, or the file system knows no hard links. Returns its new path, or the old one if that cannot be.
pub fn named_as_root(recording: &Path) -> PathBuf {
    let root = recording.with_file_name("run.bneck");
    let temporary = root.with_file_name(format!(".run.{}.tmp", std::process::id()));
    let file_name = Path::new(recording.file_name().unwrap_or_default());
    let is_linked = recording != root
        && fs::hard_link(recording, &temporary)
            .or_else(|_| std::os::unix::fs::symlink(file_name, &temporary))
            .and_then(|()| fs::rename(&temporary, &root))
            .is_ok();
    if is_linked { root } else { recording.to_owned() }
}

fn bneck_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "bneck"))
        .collect()
}

/// `run.bneck` or `<pid>-<start>.bneck`, not a copy that somebody gave a name of its own.
fn is_named_by_a_run(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem == "run" || stem.split_once('-').is_some_and(|(pid, _)| pid.parse::<u32>().is_ok())
}

/// Writes a file so that nobody ever sees half of it.
///
/// # Errors
/// If it cannot be written; nothing is left behind then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(|error| {
            // The kernel says of a file in the way that it exists.
            let in_the_way = parent.is_file().then(|| io::Error::from_raw_os_error(libc::ENOTDIR));
            cannot_write(path, &in_the_way.unwrap_or(error))
        })?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path)).map_err(|error| {
        let _ = fs::remove_file(&temporary);
        cannot_write(path, &error)
    })
}

fn try_recording_at(directory: &Path) -> io::Result<()> {
    let path = directory.join(".mapping-trial");
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    let result = syscalls::try_shared_map(&file, TRIAL_LENGTH);
    fs::remove_file(&path)?;
    result
}

fn replace_link(link: &Path, target: &Path) -> io::Result<()> {
    let temporary = link.with_file_name(format!(".latest.{}.tmp", std::process::id()));
    std::os::unix::fs::symlink(target, &temporary)?;
    fs::rename(&temporary, link).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::new(ExitCode::CannotWrite, format!("cannot write `{}`", path.display()))
        .why(error)
        .fix("name another folder with -o DIR")
}

/// `2026-07-29T12-34-56Z`: sorts by time, and holds no character that a shell or a file system minds.
fn utc_file_name(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = civil_from_days(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}Z")
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's algorithm, for days from then on).
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    // Counted from 0000-03-01, so that the leap day is the last of its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month < 3), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn folders_are_named_by_the_utc_time() {
        for (seconds, expected) in [
            (0, "1970-01-01T00-00-00Z"),
            (951_782_399, "2000-02-28T23-59-59Z"),
            (951_782_400, "2000-02-29T00-00-00Z"),
            (1_785_328_496, "2026-07-29T12-34-56Z"),
            (4_107_542_400, "2100-03-01T00-00-00Z"),
        ] {
            assert_eq!(utc_file_name(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn two_runs_in_one_second_do_not_share_a_folder() {
        let target = tempfile::tempdir().unwrap();
        let first = RunDir::create(target.path(), "x", UNIX_EPOCH).unwrap();
        let second = RunDir::create(target.path(), "x", UNIX_EPOCH).unwrap();
        assert_ne!(first.path(), second.path());
        let latest = target.path().join(REPORTS).join("x/latest");
        assert_eq!(fs::canonicalize(latest).unwrap(), fs::canonicalize(second.path()).unwrap());
    }

    #[test]
    fn a_folder_that_can_be_mapped_needs_no_fallback() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = RunDir::at(folder.path()).unwrap();
        assert_eq!(run.prepare_recording().unwrap(), None);
        assert_eq!(run.fallback_path(), None);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            0,
            "the trial leaves nothing behind"
        );
    }

    #[test]
    fn what_was_recorded_into_memory_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let memory = syscalls::memory_file(c"trial").unwrap();
        let run = RunDir { path: folder.path().to_owned(), fallback: Some(memory) };
        fs::write(run.fallback_path().unwrap(), b"recording").unwrap();
        let (recordings, error) = run.recordings();
        assert!(error.is_none() && recordings == [folder.path().join("run.bneck")]);
        assert_eq!(fs::read(folder.path().join("run.bneck")).unwrap(), b"recording");
    }

    #[test]
    fn a_recording_that_cannot_be_kept_is_still_read() {
        let memory = syscalls::memory_file(c"trial").unwrap();
        let run = RunDir { path: "/proc/nowhere".into(), fallback: Some(memory) };
        fs::write(run.fallback_path().unwrap(), b"recording").unwrap();
        let (recordings, error) = run.recordings();
        assert!(error.unwrap().to_string().starts_with("cannot write `/proc/nowhere"));
        assert_eq!(fs::read(&recordings[0]).unwrap(), b"recording");
    }

    #[test]
    fn a_recording_and_its_link_are_one() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("17-3.bneck"), "root").unwrap();
        fs::write(at("18-4.bneck"), "child").unwrap();
        fs::write(at("flame.svg"), "").unwrap();
        fs::hard_link(at("17-3.bneck"), at("run.bneck")).unwrap();
        assert_eq!(recordings(folder.path()), [at("run.bneck"), at("18-4.bneck")]);
    }

    #[test]
    fn the_programs_own_recording_becomes_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("17-3.bneck"), "before exec").unwrap();
        fs::write(at("17-4.bneck"), "after exec").unwrap();
        fs::hard_link(at("17-3.bneck"), at("run.bneck")).unwrap();
        assert_eq!(named_as_root(&at("17-4.bneck")), at("run.bneck"));
        assert_eq!(fs::read(at("run.bneck")).unwrap(), b"after exec");
        assert_eq!(recordings(folder.path()), [at("run.bneck"), at("17-3.bneck")]);
        assert_eq!(named_as_root(&at("run.bneck")), at("run.bneck"));
    }

    #[test]
    fn a_named_folder_is_cleared_of_recordings_but_not_of_copies() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("17-3.bneck"), "root").unwrap();
        fs::hard_link(at("17-3.bneck"), at("run.bneck")).unwrap();
        fs::write(at("before-the-fix.bneck"), "copy").unwrap();
        RunDir::at(folder.path()).unwrap();
        assert_eq!(recordings(folder.path()), [at("before-the-fix.bneck")]);
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/summary.json");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}

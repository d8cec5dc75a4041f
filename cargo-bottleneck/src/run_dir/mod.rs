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
/// Link to the newest run of a program.
pub const LATEST: &str = "latest";

/// As much as the recording takes at its start.
const TRIAL_LENGTH: usize = 256 << 10;

/// What marks a folder as a cache to backup tools, and [`REPORTS`] as made by this command.
const TAG: &str = "CACHEDIR.TAG";
const TAG_TEXT: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # The runs of cargo bottleneck. `cargo bottleneck clean` removes them.\n";

/// The folder of one run.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    fallback: Option<File>,
    /// Whether this run has made the folder.
    is_new: bool,
    /// Says to others that the run goes on, for as long as it is open.
    _lock: Option<File>,
}

impl RunDir {
    /// Makes a new folder for a run of `program` that starts at `now`.
    ///
    /// Two runs that start in the same second get two folders.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn create(target_directory: &Path, program: &str, now: SystemTime) -> Result<Self, Error> {
        let parent = reports_folder(target_directory)
            .map_err(|error| cannot_write(&target_directory.join(REPORTS), &error))?
            .join(program);
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
        // Nobody else knows the folder yet.
        let lock = lock(&path).ok().flatten();
        Ok(Self { path: absolute(path), fallback: None, is_new: true, _lock: lock })
    }

    /// Uses the folder that the user names. Recordings of an earlier run in it are removed: they would be taken for
    /// recordings of this one.
    ///
    /// # Errors
    /// If the folder cannot be made, an old recording cannot be removed, or another run is recording there.
    pub fn at(path: &Path) -> Result<Self, Error> {
        let is_new = !path.exists();
        fs::create_dir_all(path).map_err(|error| cannot_write(path, &error))?;
        let lock = lock(path).map_err(|InUse| {
            Error::new(ExitCode::CannotWrite, format!("cannot record into `{}`", path.display()))
                .why("another `cargo bottleneck run` is recording there")
                .fix("name another folder with -o DIR, or wait for its end")
        })?;
        for old in bneck_files(path).into_iter().filter(|file| is_named_by_a_run(file)) {
            fs::remove_file(&old).map_err(|error| cannot_write(&old, &error))?;
        }
        Ok(Self { path: absolute(path.to_owned()), fallback: None, is_new, _lock: lock })
    }

    /// Points `latest` beside the folder at it: the run has begun.
    pub fn publish(&self) {
        // A convenience: a file system without links is no reason not to record.
        let _ = point_latest_at(&self.path);
    }

    /// The folder, if nothing is lost with it as long as the program has not started.
    pub fn removable(&self) -> Option<&Path> {
        self.is_new.then_some(&*self.path)
    }

    /// Removes the folder of a run that never began, if the run has made it.
    pub fn discard(self) {
        if let Some(path) = self.removable() {
            // An empty run more is no reason to hide why the program could not be started.
            let _ = fs::remove_dir_all(path);
        }
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

/// Somebody is recording there.
#[derive(Debug)]
pub struct InUse;

/// Marks a folder of a run as in use until the file is closed, or the process ends in whatever way. Gives nothing where
/// the file system knows no locks.
///
/// # Errors
/// If another process has marked it.
pub fn lock(folder: &Path) -> Result<Option<File>, InUse> {
    let Ok(file) = File::open(folder) else { return Ok(None) };
    match syscalls::try_lock(&file) {
        Ok(()) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(InUse),
        Err(_) => Ok(None),
    }
}

/// The folder that holds all reports, made if it is not there, and marked as ours.
///
/// # Errors
/// If it cannot be made.
pub fn reports_folder(target_directory: &Path) -> io::Result<PathBuf> {
    let folder = target_directory.join(REPORTS);
    fs::create_dir_all(&folder)?;
    if let Ok(mut tag) = File::create_new(folder.join(TAG)) {
        use std::io::Write as _;
        // Without it `clean` asks for cargo's tag of the target directory.
        let _ = tag.write_all(TAG_TEXT.as_bytes());
    }
    Ok(folder)
}

/// Whether a folder has the tag by which tools mark what they can make again.
pub fn is_tagged(folder: &Path) -> bool {
    let first_line = TAG_TEXT.lines().next().unwrap_or_default();
    fs::read_to_string(folder.join(TAG)).is_ok_and(|text| text.starts_with(first_line))
}

/// The folders of the runs of a program, the newest last.
pub fn runs_of(program: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(program).into_iter().flatten().filter_map(Result::ok);
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut runs: Vec<_> =
        folders.filter_map(|entry| Some((order_of_run(&entry.path())?, entry.path()))).collect();
    runs.sort();
    runs.into_iter().map(|(_, path)| path).collect()
}

/// What the folders of runs are ordered by: the time in the name, then the number behind it. `None` for any other name.
pub fn order_of_run(folder: &Path) -> Option<(String, u64)> {
    let name = folder.file_name()?.to_str()?;
    let (time, n) = name.split_at_checked(20)?;
    let is_time = time
        .chars()
        .zip("dddd-dd-ddTdd-dd-ddZ".chars())
        .all(|(c, form)| if form == 'd' { c.is_ascii_digit() } else { c == form });
    let n = if n.is_empty() { Some(1) } else { n.strip_prefix('-')?.parse().ok() };
    is_time.then(|| (time.to_owned(), n)).and_then(|(time, n)| Some((time, n?)))
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
    write_with_holes(&temporary, bytes).and_then(|()| fs::rename(&temporary, path)).map_err(
        |error| {
            let _ = fs::remove_file(&temporary);
            cannot_write(path, &error)
        },
    )
}

/// Writes a file. Pages of zeros take no space: the tables of a recording are mostly empty.
fn write_with_holes(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    const PAGE: usize = 4096;
    let file = File::create(path)?;
    file.set_len(bytes.len() as u64)?;
    for (at, page) in bytes.chunks(PAGE).enumerate() {
        if page.iter().any(|&byte| byte != 0) {
            file.write_all_at(page, (at * PAGE) as u64)?;
        }
    }
    Ok(())
}

fn try_recording_at(directory: &Path) -> io::Result<()> {
    let path = directory.join(".mapping-trial");
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    let result = syscalls::try_shared_map(&file, TRIAL_LENGTH);
    fs::remove_file(&path)?;
    result
}

/// Points `latest` beside the folder of a run at it.
///
/// # Errors
/// If the link cannot be made; there is then the old one.
pub fn point_latest_at(run: &Path) -> io::Result<()> {
    let target = Path::new(run.file_name().unwrap_or_default());
    let link = run.with_file_name(LATEST);
    let temporary = link.with_file_name(format!(".{LATEST}.{}.tmp", std::process::id()));
    // Of a process with the same number that was killed at this very place.
    let _ = fs::remove_file(&temporary);
    std::os::unix::fs::symlink(target, &temporary)?;
    fs::rename(&temporary, &link).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    let in_the_way = path.ancestors().find(|ancestor| fs::symlink_metadata(ancestor).is_ok());
    let why = match in_the_way {
        Some(file)
            if !file.is_dir() && (file != path || error.kind() == io::ErrorKind::AlreadyExists) =>
        {
            format!("`{}` is no folder ({error})", file.display())
        }
        _ => error.to_string(),
    };
    Error::new(ExitCode::CannotWrite, format!("cannot write `{}`", path.display()))
        .why(why)
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
mod tests;

//! Recordings as a run leaves them: reading, choosing the program's own, and adding what the command knows.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bottleneck_runtime::format::{
    CHUNK_HEAD_BYTES, ChunkKind, GRANULE, Header, HeaderData, MAJOR, MINOR,
};
use serde::{Deserialize, Serialize};

use super::pipeline::RunFacts;
use super::recording_file::{self, header};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::machine::Machine;
use crate::profile::{self, Profile, SpanIdx, Warning};

/// What the command adds to the program's recording, so that a report made elsewhere knows as much.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Addition {
    /// What was seen of the run from outside.
    pub facts: Option<RunFacts>,
    /// The machine that it ran on.
    pub machine: Option<Machine>,
}

/// A recording that was read.
#[derive(Debug)]
pub struct Recording {
    /// Its file.
    pub path: PathBuf,
    /// What it holds.
    pub profile: Profile,
    /// What was wrong with it.
    pub warnings: Vec<Warning>,
}

impl Recording {
    /// What the command added to it earlier.
    pub fn addition(&self) -> Addition {
        // Damaged JSON was reported by the loader; one of another version is not used.
        self.profile
            .run
            .clone()
            .and_then(|run| serde_json::from_value(run).ok())
            .unwrap_or_default()
    }

    /// Spans that ended, and those that were open.
    pub fn n_spans(&self) -> u64 {
        let profile = &self.profile;
        let of_program = |&span: &SpanIdx| !profile.threads[profile.spans[span].thread].is_recorder;
        let spans = profile.spans.indices().filter(of_program);
        spans.map(|span| profile.spans[span].calls + u64::from(profile.is_open(span))).sum()
    }
}

/// Reads every recording; what is no recording gives a sentence in place of it.
///
/// # Errors
/// If a file cannot be read, or the only one is no recording.
pub fn read_all(
    paths: &[PathBuf],
    death_ns: Option<u64>,
) -> Result<(Vec<Recording>, Vec<String>), Error> {
    let mut recordings = Vec::new();
    let mut problems = Vec::new();
    let headers: Vec<Option<HeaderData>> = paths.iter().map(|path| header(path).ok()).collect();
    for (at, (path, own)) in paths.iter().zip(&headers).enumerate() {
        if headers[..at].iter().flatten().any(|it| own.as_ref().is_some_and(|own| is_one(it, own)))
        {
            // `run.bneck` is another name of the first recording; a copy of the folder has it twice.
            continue;
        }
        let replaced_ns = own.as_ref().and_then(|own| replaced_ns(own, &headers));
        let death_ns = replaced_ns.or(death_ns);
        match read(path, death_ns) {
            Ok(recording) => recordings.push(recording),
            Err(error) if paths.len() == 1 => return Err(error),
            Err(error) => {
                problems.push(format!("a recording of this run was left out: {error}"));
            }
        }
        problems.extend(own.as_ref().and_then(|own| newer(path, own)));
    }
    Ok((recordings, problems))
}

/// Whether two recordings are of one process, and of the same program in it.
fn is_one(a: &HeaderData, b: &HeaderData) -> bool {
    (a.pid, a.start_ns, a.boot_id_high, a.boot_id_low)
        == (b.pid, b.start_ns, b.boot_id_high, b.boot_id_low)
}

/// When the program of this recording was replaced by another in the same process, which then recorded too.
fn replaced_ns(own: &HeaderData, headers: &[Option<HeaderData>]) -> Option<u64> {
    let of_process = headers.iter().flatten().filter(|other| other.pid == own.pid);
    of_process.map(|other| other.start_ns).filter(|&start_ns| start_ns > own.start_ns).min()
}

fn read(path: &Path, death_ns: Option<u64>) -> Result<Recording, Error> {
    let bytes = recording_file::read(path)?;
    let (profile, warnings) = profile::load(&bytes, death_ns).map_err(|error| {
        Error::new(ExitCode::Setup, format!("cannot report on `{}`", path.display()))
            .why(error)
            .fix(error.hint())
    })?;
    Ok(Recording { path: path.to_owned(), profile, warnings })
}

/// A sentence on a recording that may hold more than this version reads.
fn newer(path: &Path, header: &HeaderData) -> Option<String> {
    let minor = header.minor();
    (header.major() == MAJOR && minor > MINOR).then(|| {
        format!(
            "`{}` has format {MAJOR}.{minor}, and this cargo-bottleneck reads up to {MAJOR}.{MINOR}: what is new in it is \
             not in this report\n  fix: install a newer cargo-bottleneck",
            path.display()
        )
    })
}

/// The recording of the program itself among those of its children: that of the process that was started, and of those the
/// last one with spans, for a program may have replaced itself by another.
pub fn main_recording(recordings: &[Recording], pid: Option<u32>) -> Option<usize> {
    let first_pid = recordings.first()?.profile.pid;
    let has_pid = |pid: u32| recordings.iter().any(|recording| recording.profile.pid == pid);
    // A program that another one started (a runner, a shell) has another process id: then the first one that recorded.
    let pid = pid.filter(|&pid| has_pid(pid)).unwrap_or(first_pid);
    let of_process = (0..recordings.len()).filter(|&at| recordings[at].profile.pid == pid);
    of_process.max_by_key(|&at| (recordings[at].n_spans() > 0, recordings[at].profile.start_ns))
}

/// Adds a chunk to the recording of a process that has ended.
///
/// # Errors
/// If the file cannot be written.
pub fn add(path: &Path, addition: &Addition) -> io::Result<()> {
    let text = serde_json::to_vec(addition)?;
    let header = header(path)?;
    let file = OpenOptions::new().write(true).open(path)?;
    let bytes = (CHUNK_HEAD_BYTES + text.len()).next_multiple_of(GRANULE);
    write_chunk(&file, header.used, bytes, &text)?;
    // Last, as the writer of the recording does: whoever sees the new length sees the chunk.
    let used = header.used + bytes as u64;
    file.write_all_at(&used.to_ne_bytes(), std::mem::offset_of!(Header, used) as u64)
}

fn write_chunk(file: &File, at: u64, bytes: usize, text: &[u8]) -> io::Result<()> {
    let mut chunk = vec![0; bytes];
    let aux = u32::try_from(text.len()).map_err(io::Error::other)?;
    chunk[..4].copy_from_slice(&(ChunkKind::Run as u32).to_ne_bytes());
    chunk[4..8].copy_from_slice(&aux.to_ne_bytes());
    chunk[8..16].copy_from_slice(&(bytes as u64).to_ne_bytes());
    chunk[CHUNK_HEAD_BYTES..][..text.len()].copy_from_slice(text);
    file.write_all_at(&chunk, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::builder::ProfileBuilder;

    #[test]
    fn a_recording_that_a_copied_folder_has_twice_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let image = ProfileBuilder::new(100).span("work", 0..50, |_| ()).image();
        let paths = ["run.bneck", "7-1.bneck"].map(|name| folder.path().join(name));
        for path in &paths {
            std::fs::write(path, &image).unwrap();
        }
        let (recordings, problems) = read_all(&paths, None).unwrap();
        let read: Vec<_> = recordings.iter().map(|recording| &recording.path).collect();
        assert_eq!(read, [&paths[0]]);
        assert!(problems.is_empty(), "{problems:?}");
    }
}

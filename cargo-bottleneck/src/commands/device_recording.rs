//! What devices did for a program that records by itself, without them: put into its recording after the run.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bottleneck_runtime::format::chunk::{Chunk, chunks};
use bottleneck_runtime::format::{CHUNK_HEAD_BYTES, ChunkKind, GRANULE, Header, HeaderData};

use super::recording_file::{self, header};
use crate::run_dir;

/// What the names of such files end with.
const EXTENSION: &str = "devices";

/// Whether a process that records into the folder, or into memory, collects what devices do.
pub fn is_any(folder: &Path, memory: Option<&Path>) -> bool {
    headers(folder, memory).any(|header| header.collects_devices != 0)
}

/// Process ids of the recordings in the folder, and of that in memory.
pub fn processes(folder: &Path, memory: Option<&Path>) -> BTreeSet<u32> {
    headers(folder, memory).map(|header| header.pid).collect()
}

fn headers(folder: &Path, memory: Option<&Path>) -> impl Iterator<Item = HeaderData> {
    let paths = run_dir::recordings(folder).into_iter().chain(files(folder));
    let paths = paths.chain(memory.map(Path::to_owned));
    paths.filter_map(|path| header(&path).ok())
}

/// Files of what devices did.
fn files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|it| it == EXTENSION))
}

/// Puts every file of what devices did into the recording of its process. Returns what could not be, a sentence each; such a
/// file stays.
pub fn join(folder: &Path) -> Vec<String> {
    files(folder).filter_map(|path| join_one(&path, folder).err()).collect()
}

fn join_one(path: &Path, folder: &Path) -> Result<(), String> {
    let because = |why: &dyn std::fmt::Display| {
        format!("what devices did is not in this report: `{}` {why}", path.display())
    };
    let bytes = recording_file::read(path).map_err(|error| because(&error))?;
    let own = HeaderData::open(&bytes).map_err(|_| because(&"is no recording"))?;
    let (recording, its) =
        recording_of(&own, folder).ok_or_else(|| because(&"is of a process without spans"))?;
    if its.clock != own.clock {
        return Err(because(&"has times of another clock than the recording of its process"));
    }
    append(&recording, &its, &bytes)
        .map_err(|error| because(&format_args!("cannot be added: {error}")))?;
    fs::remove_file(path).map_err(|error| because(&format_args!("cannot be removed: {error}")))
}

/// The recording of the same process. Of several (it was replaced by other programs) that which began nearest.
fn recording_of(own: &HeaderData, folder: &Path) -> Option<(PathBuf, HeaderData)> {
    let is_same = |it: &HeaderData| {
        (it.pid, it.boot_id_high, it.boot_id_low) == (own.pid, own.boot_id_high, own.boot_id_low)
    };
    let found = run_dir::recordings(folder).into_iter().filter_map(|path| {
        let header = header(&path).ok()?;
        Some((path, header))
    });
    found
        .filter(|(_, header)| is_same(header))
        .min_by_key(|(_, header)| header.start_ns.abs_diff(own.start_ns))
}

/// Whether a chunk is about devices.
fn is_of_devices(chunk: &Chunk<'_>) -> bool {
    match ChunkKind::from_number(chunk.kind) {
        Some(ChunkKind::DeviceWork | ChunkKind::DeviceName | ChunkKind::Device) => true,
        Some(ChunkKind::Capability) => chunk.payload.starts_with(b"gpu_"),
        _ => false,
    }
}

fn append(recording: &Path, header: &HeaderData, bytes: &[u8]) -> io::Result<()> {
    let mut added = Vec::new();
    for chunk in chunks(bytes).filter(|chunk| !chunk.is_cut && is_of_devices(chunk)) {
        let whole =
            chunk.payload_offset - CHUNK_HEAD_BYTES..chunk.payload_offset + chunk.payload.len();
        added.extend(bytes.get(whole).unwrap_or_default());
        added.resize(added.len().next_multiple_of(GRANULE), 0);
    }
    let file = OpenOptions::new().write(true).open(recording)?;
    file.write_all_at(&added, header.used)?;
    // Last, as the writer of the recording does: whoever sees the new length sees the chunks.
    let used = header.used + added.len() as u64;
    file.write_all_at(&used.to_ne_bytes(), std::mem::offset_of!(Header, used) as u64)
}

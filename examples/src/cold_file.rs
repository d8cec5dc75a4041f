//! A file of weights whose pages can be made cold: the next reader waits for the disk again, as after a restart.
//!
//! The file is written once and kept. It is put in place by renaming, so that what has its final name is whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::random::fill_uniform;

/// Seed of the values: every run reads the same.
const SEED: u64 = 0xc01d_f11e;
/// Values written at a time.
const PIECE: usize = 1 << 18;

/// The open file.
#[derive(Debug)]
pub struct ColdFile {
    file: File,
}

impl ColdFile {
    /// Opens the file of `values` random `f32` called `name` in `folder`; writes it first where there is none of that size.
    ///
    /// # Errors
    /// If it can neither be read nor written; the text names the file and how much room it takes.
    pub fn open(folder: &Path, name: &str, values: usize) -> io::Result<Self> {
        let path = folder.join(name);
        let bytes = 4 * values as u64;
        if !fs::metadata(&path).is_ok_and(|it| it.len() == bytes) {
            let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
            let written = write(&temporary, values).and_then(|()| fs::rename(&temporary, &path));
            if let Err(error) = written {
                // The first error is the one to tell; a partial file would only take room.
                let _ = fs::remove_file(&temporary);
                return Err(told("write", &path, bytes, &error));
            }
        }
        let file = File::open(&path).map_err(|error| told("open", &path, bytes, &error))?;
        Ok(Self { file })
    }

    /// The file, for reading.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Drops its pages from the page cache, as far as nobody maps them. A file system in memory has no other place for
    /// them: there the file stays warm, and the oracle of the program says so.
    ///
    /// # Errors
    /// If the kernel refuses, or is not Linux.
    pub fn make_cold(&self) -> io::Result<()> {
        drop_pages(&self.file)
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "dropping pages has no safe interface in std")]
fn drop_pages(file: &File) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open; the call moves no memory of this program.
    let code = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

#[cfg(not(target_os = "linux"))]
fn drop_pages(_file: &File) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this example needs Linux to drop pages"))
}

fn write(path: &Path, values: usize) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut piece = vec![0.0; PIECE.min(values)];
    let mut bytes = vec![0; 4 * piece.len()];
    for first in (0..values).step_by(PIECE) {
        let piece = &mut piece[..PIECE.min(values - first)];
        fill_uniform(piece, SEED, first as u64, 1.0);
        let bytes = &mut bytes[..4 * piece.len()];
        for (bytes, value) in bytes.as_chunks_mut().0.iter_mut().zip(&*piece) {
            *bytes = value.to_ne_bytes();
        }
        file.write_all(bytes)?;
    }
    // Pages that are not on the disk yet cannot be dropped.
    file.sync_all()
}

fn told(doing: &str, path: &Path, bytes: u64, error: &io::Error) -> io::Error {
    let mib = bytes >> 20;
    let text = format!("cannot {doing} {}: {error}; make room for {mib} MiB there", path.display());
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_file_is_written_once_and_reads_the_same_when_cold() {
        let name = format!("bottleneck-cold-{}.f32", std::process::id());
        let folder = std::env::temp_dir();
        let read = || {
            let cold = ColdFile::open(&folder, &name, PIECE + 6).unwrap();
            cold.make_cold().unwrap();
            let mut bytes = Vec::new();
            cold.file().read_to_end(&mut bytes).unwrap();
            bytes
        };
        let first = read();
        let written = fs::metadata(folder.join(&name)).unwrap().modified().unwrap();
        let again = read();
        let modified = fs::metadata(folder.join(&name)).unwrap().modified().unwrap();
        fs::remove_file(folder.join(&name)).unwrap();
        assert_eq!((first.len(), written), (4 * (PIECE + 6), modified));
        assert_eq!(first, again);
        let mut values = [0.0; 2];
        fill_uniform(&mut values, SEED, PIECE as u64, 1.0);
        assert_eq!(first[4 * PIECE..][..8], values.map(f32::to_ne_bytes).concat());
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = std::env::temp_dir().join("bottleneck-no-such-folder");
        let error = ColdFile::open(&folder, "w.f32", 8).unwrap_err().to_string();
        assert!(
            error.contains("cannot write") && error.contains("no-such-folder/w.f32"),
            "{error}"
        );
    }
}

//! The bytes of a recording, from whatever path a person may name: never waiting, and never more than [`MOST_BYTES`].

use std::fs::{File, FileType, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use bottleneck_runtime::format::{HEADER_BYTES, HeaderData, MAGIC};

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::profile::NotAProfile;

/// More is not read. The largest recording, of as many paths as there may be, is a fifth of it.
pub const MOST_BYTES: u64 = 1 << 30;

/// A file to read, whatever it is: opening a pipe does not wait for its writer.
///
/// # Errors
/// If it cannot be opened.
pub fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// The header of the recording at this path.
///
/// # Errors
/// If there is none.
pub fn header(path: &Path) -> io::Result<HeaderData> {
    let mut head = [0; 512];
    open(path)?.read_exact_at(&mut head, 0)?;
    HeaderData::open(&head).map_err(|error| io::Error::other(NotAProfile(error)))
}

/// The whole recording at this path.
///
/// # Errors
/// If it cannot be read, is not a file, is none of our files, or is too large.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let cannot_read = |error: io::Error| {
        Error::new(ExitCode::Setup, format!("cannot read `{}`", path.display()))
            .why(&error)
            .fix(way_out(&error))
    };
    let file = open(path).map_err(cannot_read)?;
    let metadata = file.metadata().map_err(cannot_read)?;
    if !metadata.is_file() {
        let why = format!("it is {}, not a file", kind(metadata.file_type()));
        return Err(not_a_recording(path).why(why).fix("write the recording to a file first"));
    }
    let mut head = vec![0; HEADER_BYTES];
    let read = file.read_at(&mut head, 0).map_err(cannot_read)?;
    head.truncate(read);
    let used = HeaderData::open(&head).map(|header| header.used);
    let used = used.map_err(|error| because(path, &head, NotAProfile(error)))?;
    let wanted = bytes_to_read(path, &metadata, used)?;
    let mut bytes = Vec::new();
    file.take(wanted).read_to_end(&mut bytes).map_err(cannot_read)?;
    Ok(bytes)
}

/// All of the file, or what the program has used of one that is larger than any recording: the rest is a hole.
fn bytes_to_read(path: &Path, metadata: &Metadata, used: u64) -> Result<u64, Error> {
    match metadata.len() {
        len if len <= MOST_BYTES => Ok(len),
        _ if used <= MOST_BYTES => Ok(used),
        len => {
            let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
            let why = format!(
                "it has {:.0} GiB, and claims to use {:.0}: at most {:.0} GiB are read",
                gib(len),
                gib(used),
                gib(MOST_BYTES)
            );
            Err(not_a_recording(path).why(why).fix("record the program again: the file is damaged"))
        }
    }
}

fn not_a_recording(path: &Path) -> Error {
    Error::new(ExitCode::Setup, format!("cannot report on `{}`", path.display()))
}

/// What a file is that is none of ours.
fn because(path: &Path, head: &[u8], error: NotAProfile) -> Error {
    let is_cut = head.len() < HEADER_BYTES && head.len() >= MAGIC.len() && head.starts_with(&MAGIC);
    let again = "copy it once more, or record the program again";
    if head.is_empty() {
        not_a_recording(path).why("the file is empty").fix(again)
    } else if is_cut {
        let why = format!(
            "the file ends after {} bytes, within its header: nothing of the run is left",
            head.len()
        );
        not_a_recording(path).why(why).fix(again)
    } else {
        not_a_recording(path).why(error).fix(error.hint())
    }
}

fn kind(of: FileType) -> &'static str {
    if of.is_dir() {
        "a folder"
    } else if of.is_fifo() {
        "a pipe"
    } else if of.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "ask its owner to let you read it (chmod a+r FILE), or copy it as the user who recorded it"
        }
        io::ErrorKind::NotFound => "check the path: it was there a moment ago",
        _ => "copy the file to a local disk and report on the copy",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::builder::ProfileBuilder;

    #[test]
    fn a_file_with_a_hole_is_read_as_far_as_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.bneck");
        let image = ProfileBuilder::new(100).span("a", 0..50, |_| ()).image();
        std::fs::write(&path, &image).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(MOST_BYTES + 1).unwrap();
        assert_eq!(read(&path).unwrap(), image);
    }

    #[test]
    fn every_length_is_read_or_explained() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.bneck");
        let image = ProfileBuilder::new(100).span("a", 0..50, |_| ()).image();
        for cut in (0..HEADER_BYTES).step_by(97).chain([1, 7, 8, 511, 512, HEADER_BYTES]) {
            std::fs::write(&path, &image[..cut]).unwrap();
            // The counters that a report needs are in the first 512 bytes: the rest of the page is reserved.
            let is_read = read(&path).is_ok();
            assert_eq!(is_read, cut >= 512, "{cut} bytes");
        }
    }
}

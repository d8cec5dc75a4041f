//! The program's code: as it has copied it into the recording, else from the files that it was mapped from.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bottleneck_runtime::format::CHUNK_HEAD_BYTES;
use bottleneck_runtime::format::code::{BLOCKS, ENTRY_BYTES};

use crate::profile::sampling::{Block, Code};

/// Bytes that are read from a file before an instruction and behind it.
const AROUND: u64 = 512;
/// More text than lists of mappings have.
const MOST_TEXT: usize = 4 << 20;

/// Code that is read bit by bit.
#[derive(Debug, Default)]
pub(super) struct CodeSource {
    /// Offsets of the chunks with code, and entries read from each.
    chunks: Vec<(u64, usize)>,
    entries: Vec<u8>,
    maps: Vec<String>,
    code: Code,
}

impl CodeSource {
    pub(super) fn add_chunk(&mut self, at: u64) {
        self.chunks.push((at, 0));
    }

    /// Adds a list of mappings.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn add_maps(&mut self, file: &File, at: u64, bytes: usize) -> io::Result<()> {
        let mut text = vec![0; bytes.min(MOST_TEXT)];
        file.read_exact_at(&mut text, at)?;
        self.maps.push(String::from_utf8_lossy(&text).into_owned());
        self.code = Code::read(&self.entries, &self.maps);
        Ok(())
    }

    /// Reads what the program has copied since.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn read_on(&mut self, file: &File) -> io::Result<()> {
        let before = self.entries.len();
        for (at, read) in &mut self.chunks {
            let mut written = [0; 4];
            file.read_exact_at(&mut written, *at - CHUNK_HEAD_BYTES as u64 + 4)?;
            let written = (u32::from_ne_bytes(written) as usize).min(BLOCKS);
            if *read < written {
                let mut entries = vec![0; (written - *read) * ENTRY_BYTES];
                file.read_exact_at(&mut entries, *at + (*read * ENTRY_BYTES) as u64)?;
                self.entries.extend(entries);
                *read = written;
            }
        }
        if self.entries.len() != before {
            self.code = Code::read(&self.entries, &self.maps);
        }
        Ok(())
    }

    /// What the program has copied.
    pub(super) fn copied(&self) -> &Code {
        &self.code
    }

    /// The code around an address from the file that it was mapped from; `None` if that cannot be read.
    pub(super) fn on_disk(&self, address: u64) -> Option<Code> {
        let mapping = self.code.mapping(address)?;
        let path = Path::new(&mapping.path);
        if !path.is_absolute() || !std::fs::metadata(path).ok()?.is_file() {
            return None;
        }
        let start = address.saturating_sub(AROUND).max(mapping.start);
        let end = address.saturating_add(AROUND).min(mapping.end);
        let mut bytes = vec![0; usize::try_from(end.checked_sub(start)?).ok()?];
        let offset = mapping.offset.checked_add(start - mapping.start)?;
        let read = File::open(path).ok()?.read_at(&mut bytes, offset).ok()?;
        bytes.truncate(read);
        Some(Code { maps: Vec::new(), blocks: vec![Block { start, bytes }] })
    }
}

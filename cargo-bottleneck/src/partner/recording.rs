//! One recording while it is written.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use bottleneck_runtime::format::{
    Accesses, CHUNK_HEAD_BYTES, ChunkKind, GRANULE, HEADER_BYTES, HeaderData, Sample, SampleData,
    Samples, samples, u32_at, u64_at,
};

use super::code::CodeSource;
use super::recipe::Recipes;
use crate::instructions::decode;
use crate::profile::sampling::Code;

/// Bytes of the header that count.
const HEADER: usize = 512;
/// Looks at an instruction whose code the program has not copied, before the file on the disk is asked.
const PATIENCE: u8 = 3;
/// Looks after which it is given up.
const LAST_LOOK: u8 = 8;

/// A recording of a process that runs.
#[derive(Debug)]
pub(super) struct Recording {
    file: File,
    /// Up to where the chunks are known.
    walked: u64,
    samples: Option<u64>,
    accesses: Option<u64>,
    recipes: Option<Recipes>,
    code: CodeSource,
    /// Samples that the program had taken at the last look.
    taken: u64,
    /// Instructions that are dealt with.
    known: HashSet<u64>,
    /// Instructions without code yet, and how often they were looked at.
    waiting: HashMap<u64, u8>,
    has_greeted: bool,
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Nothing,
    Instructions,
    /// The process has ended.
    End,
}

impl Recording {
    /// Opens a recording; `None` where none has begun at this path yet.
    ///
    /// # Errors
    /// If it cannot be opened to read and write.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let mut options = File::options();
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        let file = options.open(path)?;
        if !file.metadata()?.is_file() || header(&file).is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            file,
            walked: HEADER_BYTES as u64,
            samples: None,
            accesses: None,
            recipes: None,
            code: CodeSource::default(),
            taken: 0,
            known: HashSet::new(),
            waiting: HashMap::new(),
            has_greeted: false,
        }))
    }

    /// Decodes what is new.
    ///
    /// # Errors
    /// If the file cannot be read or written any more.
    pub(super) fn look(&mut self) -> io::Result<Seen> {
        let Some(header) = header(&self.file) else { return Ok(Seen::End) };
        if header.end_ns != 0 {
            return Ok(Seen::End);
        }
        self.walk(header.used)?;
        let (Some(samples), Some(accesses)) = (self.samples, self.accesses) else {
            return Ok(Seen::Nothing);
        };
        if self.recipes.is_none() {
            return Ok(Seen::Nothing);
        }
        if !self.has_greeted {
            // The program probes nothing before.
            let at = accesses + offset_of!(Accesses, partner) as u64;
            self.file.write_all_at(&1_u32.to_ne_bytes(), at)?;
            self.has_greeted = true;
        }
        let mut taken = [0; 8];
        self.file.read_exact_at(&mut taken, accesses + offset_of!(Accesses, samples) as u64)?;
        let taken = u64::from_ne_bytes(taken);
        if self.taken != taken {
            self.taken = taken;
            self.note_new(samples)?;
        }
        if self.waiting.is_empty() {
            return Ok(Seen::Nothing);
        }
        self.code.read_on(&self.file)?;
        self.decode_waiting()?;
        Ok(Seen::Instructions)
    }

    /// Walks over the chunks that are there since.
    fn walk(&mut self, used: u64) -> io::Result<()> {
        while self.walked + (CHUNK_HEAD_BYTES as u64) <= used {
            let mut head = [0; CHUNK_HEAD_BYTES];
            self.file.read_exact_at(&mut head, self.walked)?;
            let (Some(kind), Some(aux)) = (u32_at(&head, 0), u32_at(&head, 4)) else { break };
            let len = u64_at(&head, 8).filter(|&len| len >= CHUNK_HEAD_BYTES as u64);
            let len = len.filter(|&len| len.is_multiple_of(GRANULE as u64) && len <= used);
            // Without a kind it is being written: it is looked at again.
            let (Some(len), true) = (len, kind != 0) else { break };
            let payload = self.walked + CHUNK_HEAD_BYTES as u64;
            match ChunkKind::from_number(kind) {
                Some(ChunkKind::Samples) => self.samples = Some(payload),
                Some(ChunkKind::Accesses) => self.accesses = Some(payload),
                Some(ChunkKind::Recipes) => {
                    let (recipes, known) = Recipes::open(&self.file, payload)?;
                    self.recipes = Some(recipes);
                    self.known.extend(known);
                }
                Some(ChunkKind::Code) => self.code.add_chunk(payload),
                Some(ChunkKind::Maps) => {
                    self.code.add_maps(&self.file, payload, aux as usize)?;
                }
                Some(_) | None => {}
            }
            self.walked += len;
        }
        Ok(())
    }

    /// Finds instructions that were sampled for the first time.
    fn note_new(&mut self, samples: u64) -> io::Result<()> {
        let mut slots = vec![0; samples::SLOTS * size_of::<Sample>()];
        self.file.read_exact_at(&mut slots, samples + size_of::<Samples>() as u64)?;
        for slot in slots.chunks_exact(size_of::<Sample>()) {
            let Some(sample) = SampleData::read(slot).filter(|sample| sample.count > 0) else {
                continue;
            };
            if self.known.insert(sample.address) {
                self.waiting.insert(sample.address, 0);
            }
        }
        Ok(())
    }

    fn decode_waiting(&mut self) -> io::Result<()> {
        let Some(recipes) = &mut self.recipes else { return Ok(()) };
        let mut waiting = std::mem::take(&mut self.waiting);
        for (&address, looks) in &mut waiting {
            let mut decoded = decode(self.code.copied(), address);
            if decoded.is_none() && PATIENCE <= *looks {
                let on_disk: Option<Code> = self.code.on_disk(address);
                decoded = on_disk.and_then(|code| decode(&code, address));
            }
            *looks += 1;
            if let Some(decoded) = decoded {
                // Where the table is full the sample goes without.
                recipes.add(&self.file, address, &decoded)?;
                *looks = LAST_LOOK;
            }
        }
        waiting.retain(|_, looks| *looks < LAST_LOOK);
        self.waiting = waiting;
        Ok(())
    }
}

fn header(file: &File) -> Option<HeaderData> {
    let mut bytes = [0; HEADER];
    file.read_exact_at(&mut bytes, 0).ok()?;
    HeaderData::open(&bytes).ok()
}

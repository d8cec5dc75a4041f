//! A partner for a program under test: what `cargo bottleneck` is beside a program that it runs, for code that is known
//! without decoding it.
#![expect(clippy::cast_ptr_alignment, reason = "chunks of the mapped file are 64-aligned")]

use std::fs::OpenOptions;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bottleneck_runtime::format::{
    AccessData, AccessesData, ChunkKind, HEADER_BYTES, Recipe, SampleData, accesses, chunk, code,
    recipes, samples,
};

use crate::walk::{LOAD, REGISTERS};

/// What the tables of one profile hold.
#[derive(Debug, Default)]
pub struct Tables {
    /// Samples by node and instruction.
    pub samples: Vec<SampleData>,
    /// The head of the accesses.
    pub head: AccessesData,
    /// Complete entries.
    pub accesses: Vec<AccessData>,
    /// Code that was copied: address and bytes.
    pub code: Vec<(u64, Vec<u8>)>,
    /// Executable mappings, all lists in one.
    pub maps: String,
    /// Capabilities: name, available or not, reason.
    pub capabilities: Vec<(String, bool, String)>,
    recipes_at: usize,
    accesses_at: usize,
}

impl Tables {
    /// Reads the profile's bytes.
    pub fn read(file: &[u8]) -> Self {
        let mut res = Self::default();
        for chunk in chunk::chunks(file) {
            let payload = chunk.payload;
            match ChunkKind::from_number(chunk.kind) {
                Some(ChunkKind::Samples) => {
                    let slots = payload[64..].chunks_exact(32).take(samples::SLOTS);
                    res.samples =
                        slots.filter_map(SampleData::read).filter(|it| it.count != 0).collect();
                }
                Some(ChunkKind::Recipes) => res.recipes_at = chunk.payload_offset,
                Some(ChunkKind::Accesses) => {
                    res.accesses_at = chunk.payload_offset;
                    res.head = AccessesData::read(payload).expect("the head is whole");
                    let entries = payload[128..].chunks_exact(80).take(accesses::ENTRIES);
                    res.accesses =
                        entries.filter_map(AccessData::read).filter(|it| it.ticks != 0).collect();
                }
                Some(ChunkKind::Code) => {
                    let entries = payload.chunks_exact(code::ENTRY_BYTES).take(chunk.aux as usize);
                    res.code.extend(entries.map(|entry| {
                        let address = u64::from_ne_bytes(entry[..8].try_into().expect("8 bytes"));
                        (address, entry[16..].to_vec())
                    }));
                }
                Some(ChunkKind::Maps) => {
                    res.maps += &String::from_utf8_lossy(&payload[..chunk.aux as usize]);
                }
                Some(ChunkKind::Capability) => {
                    let text = String::from_utf8_lossy(&payload[..chunk.aux as usize]).into_owned();
                    let mut lines = text.splitn(3, '\n').map(str::to_owned);
                    let mut next = || lines.next().unwrap_or_default();
                    res.capabilities.push((next(), next() == "1", next()));
                }
                _ => {}
            }
        }
        res
    }

    /// What was said last of a capability: available, and the reason if it is not.
    pub fn capability(&self, name: &str) -> Option<(bool, &str)> {
        let said = self.capabilities.iter().rev().find(|said| said.0 == name)?;
        Some((said.1, &said.2))
    }

    /// Whether an instruction is one of the loop of [`crate::walk::walk`].
    pub fn is_of_walk(&self, address: u64) -> bool {
        // The load has 4 bytes, and the loop 16.
        (address.saturating_sub(16)..=address).any(|at| self.bytes(at, 4) == LOAD)
    }

    /// Copied code, where it was copied.
    fn bytes(&self, at: u64, count: usize) -> Vec<u8> {
        let byte = |at: u64| {
            let (start, bytes) = self.code.iter().find(|(start, _)| start / 256 == at / 256)?;
            bytes.get(usize::try_from(at - start).ok()?).copied()
        };
        (at..).map_while(byte).take(count).collect()
    }
}

/// Hands out recipes for [`crate::walk::walk`] to the program that records into this folder, until `is_over`.
///
/// # Panics
/// If the profile cannot be mapped.
pub fn accompany(profile: &Path, is_over: &AtomicBool) {
    let mut known = (0, 0);
    while !is_over.load(Ordering::Relaxed) {
        // A period, not a wait for something: the command looks as often.
        std::thread::sleep(Duration::from_millis(10));
        let Ok(bytes) = std::fs::read(profile) else {
            continue;
        };
        if bytes.len() < HEADER_BYTES {
            continue;
        }
        let tables = Tables::read(&bytes);
        if tables.accesses_at == 0 || tables.recipes_at == 0 {
            continue;
        }
        // The code of an instruction comes some time after its first sample.
        let there = (tables.samples.len(), tables.code.len());
        if tables.head.partner == 1 && known == there {
            continue;
        }
        known = there;
        hand_out(profile, &tables);
    }
}

fn hand_out(profile: &Path, tables: &Tables) {
    let file =
        OpenOptions::new().read(true).write(true).open(profile).expect("the profile is there");
    let length = tables.accesses_at.max(tables.recipes_at) + (1 << 20);
    let length =
        length.min(usize::try_from(file.metadata().expect("it is open").len()).expect("64 bits"));
    // SAFETY: a new mapping of a file that only grows.
    let base = unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        libc::mmap(std::ptr::null_mut(), length, access, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    assert_ne!(base, libc::MAP_FAILED);
    let base = base.cast::<u8>();
    let addresses = tables.samples.iter().map(|sample| sample.address);
    for sampled in addresses.filter(|&address| tables.is_of_walk(address)) {
        let first = recipes::slot_of(sampled);
        for at in (0..recipes::TRIES).map(|step| (first + step) % recipes::SLOTS) {
            // SAFETY: the table lies within the mapping, and its records are atomics.
            let recipe = unsafe { &*base.add(tables.recipes_at + at * 32).cast::<Recipe>() };
            if recipe.ready.load(Ordering::Relaxed) == 0 {
                recipe.sampled.store(sampled, Ordering::Relaxed);
                recipe.displacement.store(0, Ordering::Relaxed);
                recipe.registers.store(REGISTERS, Ordering::Relaxed);
                recipe.flags.store(recipes::HAS_ADDRESS, Ordering::Relaxed);
                recipe.ready.store(1, Ordering::Release);
            }
            if recipe.sampled.load(Ordering::Relaxed) == sampled {
                break;
            }
        }
    }
    // SAFETY: the head lies there; `partner` is at its 8th byte.
    let partner = unsafe { &*base.add(tables.accesses_at + 8).cast::<AtomicU32>() };
    partner.store(1, Ordering::Release);
    // SAFETY: mapped above, and not used any more.
    unsafe { libc::munmap(base.cast(), length) };
}

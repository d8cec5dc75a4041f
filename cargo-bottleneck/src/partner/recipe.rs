//! The table of recipes in a recording: one slot for each instruction, complete before it can be seen.

use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::os::unix::fs::FileExt as _;

use bottleneck_runtime::format::recipes::{HAS_ADDRESS, NO_REGISTER, SLOTS, TRIES, slot_of};
use bottleneck_runtime::format::{Recipe, RecipeData};

use crate::instructions::{Decoded, Formula};

/// Which slots are taken. The partner is the only one that writes recipes.
#[derive(Debug)]
pub(super) struct Recipes {
    /// Offset of the first slot in the file.
    at: u64,
    taken: Vec<bool>,
}

impl Recipes {
    /// The table whose payload is at this offset, and the instructions that an earlier look has put into it.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn open(file: &File, at: u64) -> io::Result<(Self, Vec<u64>)> {
        let mut bytes = vec![0; SLOTS * size_of::<Recipe>()];
        file.read_exact_at(&mut bytes, at)?;
        let slots = bytes.chunks_exact(size_of::<Recipe>());
        let read: Vec<RecipeData> = slots.filter_map(RecipeData::read).collect();
        let there = read.iter().filter(|recipe| recipe.ready != 0).map(|recipe| recipe.sampled);
        let known = there.collect();
        Ok((Self { at, taken: read.iter().map(|recipe| recipe.ready != 0).collect() }, known))
    }

    /// Writes the recipe of a sampled instruction; `false` where the table is full around its place.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn add(&mut self, file: &File, sampled: u64, decoded: &Decoded) -> io::Result<bool> {
        let first = slot_of(sampled);
        let mut slots = (0..TRIES).map(|step| (first + step) % SLOTS);
        let Some(slot) = slots.find(|&slot| self.taken.get(slot) == Some(&false)) else {
            return Ok(false);
        };
        let at = self.at + (slot * size_of::<Recipe>()) as u64;
        let ready_at = offset_of!(Recipe, ready);
        let mut bytes = Vec::with_capacity(ready_at);
        let formula = decoded.formula;
        bytes.extend(sampled.to_ne_bytes());
        bytes.extend(formula.map_or(0, |formula| formula.displacement).to_ne_bytes());
        bytes.extend(formula.map_or(NO_REGISTER | NO_REGISTER << 8, registers).to_ne_bytes());
        bytes.extend(if formula.is_some() { HAS_ADDRESS } else { 0 }.to_ne_bytes());
        debug_assert_eq!(bytes.len(), ready_at, "all of the recipe but the last word");
        file.write_all_at(&bytes, at)?;
        // Last, by a call of its own: whoever sees it sees the recipe.
        file.write_all_at(&1_u32.to_ne_bytes(), at + ready_at as u64)?;
        if let Some(taken) = self.taken.get_mut(slot) {
            *taken = true;
        }
        Ok(true)
    }
}

fn registers(formula: Formula) -> u32 {
    let number = |register: Option<u8>| register.map_or(NO_REGISTER, u32::from);
    number(formula.base) | number(formula.index) << 8 | u32::from(formula.scale_log2) << 16
}

//! Recipes: what `cargo bottleneck`, which runs beside the program, found out about sampled instructions. Read only, by the
//! signal handler.

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use super::super::arena::Arena;
use super::registers::Registers;
use crate::format::recipes::{HAS_ADDRESS, NO_REGISTER, SLOTS, TRIES, slot_of};
use crate::format::{ChunkKind, Recipe};

/// The table of one process.
#[derive(Debug)]
pub(super) struct Recipes {
    slots: &'static [Recipe],
}

impl Recipes {
    /// Makes room in the file; `None` where there is none.
    pub(super) fn new(arena: &Arena) -> Option<Self> {
        let chunk = arena.spare_chunk(SLOTS * size_of::<Recipe>())?;
        // SAFETY: the payload has room for the slots, which are atomics and 32-aligned, is zero, and stays mapped for good.
        let slots = unsafe { core::slice::from_raw_parts(chunk.payload().cast::<Recipe>(), SLOTS) };
        chunk.publish(ChunkKind::Recipes, 0);
        Some(Self { slots })
    }

    /// The recipe of a sampled instruction.
    pub(super) fn find(&self, sampled: u64) -> Option<&Recipe> {
        let first = slot_of(sampled);
        for at in (0..TRIES).map(|step| (first + step) % SLOTS) {
            let recipe = self.slots.get(at)?;
            // Acquire: pairs with the Release of the other process; the recipe is complete.
            if recipe.ready.load(Acquire) != 1 {
                return None;
            }
            if recipe.sampled.load(Relaxed) == sampled {
                return Some(recipe);
            }
        }
        None
    }
}

/// The address of the data that a recipe leads to.
pub(super) fn address(recipe: &Recipe, registers: &Registers) -> Option<u64> {
    if recipe.flags.load(Relaxed) & HAS_ADDRESS == 0 {
        return None;
    }
    let names = recipe.registers.load(Relaxed);
    let value = |name: u32| {
        if name == NO_REGISTER { Some(0) } else { registers.get(name as usize) }
    };
    let base = value(names & 0xFF)?;
    let index = value(names >> 8 & 0xFF)?;
    let factor = 1_u64.checked_shl(names >> 16 & 0xFF)?;
    let offset = index.wrapping_mul(factor).wrapping_add(recipe.displacement.load(Relaxed));
    Some(base.wrapping_add(offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicU32, AtomicU64};

    fn recipe(registers: u32, displacement: u64, flags: u32) -> Recipe {
        Recipe {
            sampled: AtomicU64::new(1),
            displacement: AtomicU64::new(displacement),
            registers: AtomicU32::new(registers),
            flags: AtomicU32::new(flags),
            ready: AtomicU32::new(1),
            reserved: AtomicU32::new(0),
        }
    }

    #[test]
    fn an_address_is_base_index_and_displacement() {
        let mut values = [0; 16];
        (values[0], values[3]) = (0x1000, 5);
        let registers = Registers { ip: 1, values, can_fault: true };
        let of = |registers_of, displacement, flags| {
            address(&recipe(registers_of, displacement, flags), &registers)
        };
        assert_eq!(of(3 << 16 | 3 << 8, 8, HAS_ADDRESS), Some(0x1000 + 5 * 8 + 8));
        assert_eq!(of(0xFF << 8, 0_u64.wrapping_sub(16), HAS_ADDRESS), Some(0xFF0));
        assert_eq!(of(0xFFFF, 64, HAS_ADDRESS), Some(64));
        assert_eq!(of(0xFF00, 0, 0), None);
        // Damaged: no register has this number, and no factor is so large.
        assert_eq!(of(0xFF10, 0, HAS_ADDRESS), None);
        assert_eq!(of(0x40_0303, 0, HAS_ADDRESS), None);
    }
}

//! Recipes: how to compute the address of the data that a sampled instruction waits for.
//!
//! The one part of a recording that another process writes: `cargo bottleneck` runs beside the program, decodes the
//! instructions that were sampled, and hands back what it found. The program makes one chunk of kind
//! [`super::ChunkKind::Recipes`], all zero; it holds [`SLOTS`] slots of [`Recipe`], found by [`slot_of`] and then one after
//! the other, at most [`TRIES`] of them. Without anybody beside the program there are none, and nothing is probed.

use super::record;

/// Slots of the table.
pub const SLOTS: usize = 4096;
/// Slots that are tried for an instruction.
pub const TRIES: usize = 32;
/// [`Recipe::registers`]: no register.
pub const NO_REGISTER: u32 = 0xFF;

/// Where the search for the recipe of an instruction begins.
pub fn slot_of(sampled: u64) -> usize {
    // 52 bits are left of 64: the table has 2^12 slots.
    (sampled.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 52) as usize % SLOTS
}

record! {
    /// What a sampled instruction waits for, and where its data lie.
    Recipe,
    /// A copy of a [`Recipe`].
    RecipeData, 32, 32,
    {
        /// The sampled address: the instruction behind the one that it tells of.
        sampled: u64 @ 0,
        /// What is added to the registers.
        displacement: u64 @ 8,
        /// Register of the base, of the index and the index's factor as a power of two, a byte each from the lowest; the
        /// registers are numbered as x86-64 encodes them (0 `rax`, 1 `rcx`, 2 `rdx`, 3 `rbx`, 4 `rsp`, 5 `rbp`, 6 `rsi`,
        /// 7 `rdi`, 8 to 15 `r8` to `r15`), [`NO_REGISTER`] where there is none. The values are those at the sample.
        registers: u32 @ 16,
        /// `HAS_ADDRESS` or 0.
        flags: u32 @ 20,
        /// 1 when the recipe is complete. Stored last, with Release.
        ready: u32 @ 24,
        /// Reserved, zero.
        reserved: u32 @ 28,
    }
}

/// [`Recipe::flags`]: the address can be computed.
pub const HAS_ADDRESS: u32 = 1;

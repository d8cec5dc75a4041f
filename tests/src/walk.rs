//! A loop whose loads are known to the byte.

use std::arch::asm;

/// The machine code of the load in [`walk`]: `mov rax, [rdi + rcx*8]`.
pub const LOAD: [u8; 4] = [0x48, 0x8B, 0x04, 0xCF];
/// The registers of a recipe for it, in the loop's every instruction: base `rdi`, index `rcx`, times 8.
pub const REGISTERS: u32 = 7 | 1 << 8 | 3 << 16;

/// Sums every `stride`-th word.
#[inline(never)]
pub fn walk(words: &[u64], stride: usize) -> u64 {
    // SAFETY: the words are there for as long as the borrow.
    unsafe { walk_at(words.as_ptr(), words.len(), stride) }
}

/// The same from an address on.
///
/// # Safety
/// So many words can be read there.
#[inline(never)]
pub unsafe fn walk_at(words: *const u64, count: usize, stride: usize) -> u64 {
    let mut sum = 0_u64;
    if count == 0 || stride == 0 {
        return sum;
    }
    // SAFETY: reads the words from 0 to below `count`, by the contract.
    unsafe {
        asm!(
            "2:",
            "mov rax, qword ptr [rdi + rcx*8]",
            "add {sum}, rax",
            "add rcx, rdx",
            "cmp rcx, rsi",
            "jb 2b",
            sum = inout(reg) sum,
            in("rdi") words,
            inout("rcx") 0_usize => _,
            in("rdx") stride,
            in("rsi") count,
            out("rax") _,
            options(nostack, readonly),
        );
    }
    sum
}

//! The kernels for x86-64: AVX-512F, AVX2 with FMA, and SSE2, picked at run time.
//!
//! Only registers 0 to 15 are named, and each is clobbered by its `xmm` name, of which `ymm` and `zmm` are extensions.
//! So no kernel needs a target feature at compile time; the caller has asked the processor.

use std::arch::asm;

use super::{READ_STEP, VectorWidth, Width};

/// The operands of the multiply-adds: `a = a * MULTIPLIER + ADDEND` stays near 1, far from denormals and infinities.
#[repr(align(64))]
struct Lanes(#[expect(dead_code, reason = "read by address in `asm!`")] [f32; 16]);

static MULTIPLIER: Lanes = Lanes([0.999_7; 16]);
static ADDEND: Lanes = Lanes([0.000_3; 16]);
/// For the pair of unfused instructions, where nothing brings a product back to 1.
static MINUS_ONE: Lanes = Lanes([-1.0; 16]);

/// Twelve chains: a latency of four to five cycles on two units needs at most ten.
const CHAINS: u64 = 12;
/// Seven products and seven sums, with two registers left for the operands.
const UNFUSED_CHAINS: u64 = 14;

fn has_fma() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

pub(super) fn widths() -> Vec<Width> {
    let unfused = |width| Width { width, fused: false };
    let fused = |width| Width { width, fused: true };
    if !has_fma() {
        return vec![unfused(VectorWidth::Scalar), unfused(VectorWidth::Bits128)];
    }
    let mut widths = Vec::new();
    for width in [VectorWidth::Scalar, VectorWidth::Bits128] {
        widths.extend([unfused(width), fused(width)]);
    }
    widths.push(fused(VectorWidth::Bits256));
    if is_x86_feature_detected!("avx512f") {
        widths.push(fused(VectorWidth::Bits512));
    }
    widths
}

/// Defines a loop over twelve fused multiply-adds on independent registers.
macro_rules! fused_loop {
    ($name:ident, $register:literal, $load:literal, $multiply_add:literal) => {
        /// # Safety
        /// The processor has AVX2, FMA and the registers named; `rounds` is not 0.
        unsafe fn $name(rounds: u64) {
            // SAFETY: reads 64 bytes of two statics that have them, and writes only the registers listed; the
            // instructions exist by the contract of this function. `vzeroupper` leaves no upper halves behind.
            unsafe {
                asm!(
                    concat!($load, " ", $register, "14, [{multiplier}]"),
                    concat!($load, " ", $register, "15, [{addend}]"),
                    concat!($load, " ", $register, "0, [{multiplier}]"),
                    concat!($load, " ", $register, "1, [{multiplier}]"),
                    concat!($load, " ", $register, "2, [{multiplier}]"),
                    concat!($load, " ", $register, "3, [{multiplier}]"),
                    concat!($load, " ", $register, "4, [{multiplier}]"),
                    concat!($load, " ", $register, "5, [{multiplier}]"),
                    concat!($load, " ", $register, "6, [{multiplier}]"),
                    concat!($load, " ", $register, "7, [{multiplier}]"),
                    concat!($load, " ", $register, "8, [{multiplier}]"),
                    concat!($load, " ", $register, "9, [{multiplier}]"),
                    concat!($load, " ", $register, "10, [{multiplier}]"),
                    concat!($load, " ", $register, "11, [{multiplier}]"),
                    ".p2align 5",
                    "2:",
                    concat!($multiply_add, " ", $register, "0, ", $register, "14, ", $register, "15"),
                    concat!($multiply_add, " ", $register, "1, ", $register, "14, ", $register, "15"),
                    concat!($multiply_add, " ", $register, "2, ", $register, "14, ", $register, "15"),
                    concat!($multiply_add, " ", $register, "3, ", $register, "14, ", $register, "15"),
                    concat!($multiply_add, " ", $register, "4, ", $register, "14, ", $register, "15"),
                    concat!($multiply_add, " ", $register, "5, ", $register, "14, ", $register, "15"),
                    concat!($multiply_add, " ", $register, "6, ", $register, "14, ", $register, "15"),
                    concat!($multiply_add, " ", $register, "7, ", $register, "14, ", $register, "15"),
                    concat!($multiply_add, " ", $register, "8, ", $register, "14, ", $register, "15"),
                    concat!($multiply_add, " ", $register, "9, ", $register, "14, ", $register, "15"),
                    concat!($multiply_add, " ", $register, "10, ", $register, "14, ", $register, "15"),
                    concat!($multiply_add, " ", $register, "11, ", $register, "14, ", $register, "15"),
                    "dec {rounds}",
                    "jnz 2b",
                    "vzeroupper",
                    multiplier = in(reg) &raw const MULTIPLIER,
                    addend = in(reg) &raw const ADDEND,
                    rounds = inout(reg) rounds => _,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                    out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                    out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                    options(nostack, readonly),
                );
            }
        }
    };
}

fused_loop!(fused_scalar, "xmm", "vmovss", "vfmadd213ss");
fused_loop!(fused_128, "xmm", "vmovups", "vfmadd213ps");
fused_loop!(fused_256, "ymm", "vmovups", "vfmadd213ps");
fused_loop!(fused_512, "zmm", "vmovups", "vfmadd213ps");

/// Defines a loop over seven products and seven sums on independent registers, for processors before FMA and
/// programs that are built for those.
macro_rules! unfused_loop {
    ($name:ident, $multiply:literal, $add:literal) => {
        fn $name(rounds: u64) {
            // SAFETY: reads 64 bytes of two statics that have them, and writes only the registers listed; SSE2 is
            // part of x86-64.
            unsafe {
                asm!(
                    "movaps xmm14, [{factor}]",
                    "movaps xmm15, [{addend}]",
                    "movaps xmm0, xmm14", "movaps xmm1, xmm14", "movaps xmm2, xmm14", "movaps xmm3, xmm14",
                    "movaps xmm4, xmm14", "movaps xmm5, xmm14", "movaps xmm6, xmm14",
                    "movaps xmm7, xmm14", "movaps xmm8, xmm14", "movaps xmm9, xmm14", "movaps xmm10, xmm14",
                    "movaps xmm11, xmm14", "movaps xmm12, xmm14", "movaps xmm13, xmm14",
                    ".p2align 5",
                    "2:",
                    concat!($multiply, " xmm0, xmm14"), concat!($add, " xmm7, xmm15"),
                    concat!($multiply, " xmm1, xmm14"), concat!($add, " xmm8, xmm15"),
                    concat!($multiply, " xmm2, xmm14"), concat!($add, " xmm9, xmm15"),
                    concat!($multiply, " xmm3, xmm14"), concat!($add, " xmm10, xmm15"),
                    concat!($multiply, " xmm4, xmm14"), concat!($add, " xmm11, xmm15"),
                    concat!($multiply, " xmm5, xmm14"), concat!($add, " xmm12, xmm15"),
                    concat!($multiply, " xmm6, xmm14"), concat!($add, " xmm13, xmm15"),
                    "dec {rounds}",
                    "jnz 2b",
                    factor = in(reg) &raw const MINUS_ONE,
                    addend = in(reg) &raw const ADDEND,
                    rounds = inout(reg) rounds => _,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                    out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                    out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                    options(nostack, readonly),
                );
            }
        }
    };
}

unfused_loop!(unfused_scalar, "mulss", "addss");
unfused_loop!(unfused_128, "mulps", "addps");

/// `width` is one of [`widths`]; `rounds` is not 0.
pub(super) fn multiply_add(Width { width, fused }: Width, rounds: u64) -> u64 {
    let lanes = u64::from(width.lanes());
    if !fused || !has_fma() {
        match width {
            VectorWidth::Scalar => unfused_scalar(rounds),
            VectorWidth::Bits128 => unfused_128(rounds),
            VectorWidth::Bits256 | VectorWidth::Bits512 => return 0,
        }
        return rounds * UNFUSED_CHAINS * lanes;
    }
    // SAFETY: FMA and AVX2 are there by the check above; `widths` lists 512 bit only with AVX-512F; `rounds` is not
    // 0 by the contract of this function.
    unsafe {
        match width {
            VectorWidth::Scalar => fused_scalar(rounds),
            VectorWidth::Bits128 => fused_128(rounds),
            VectorWidth::Bits256 => fused_256(rounds),
            VectorWidth::Bits512 => fused_512(rounds),
        }
    }
    rounds * CHAINS * lanes * 2
}

/// Defines a loop that adds eight vectors of `$bytes` from memory to four sums.
macro_rules! read_loop {
    ($name:ident, $register:literal, $bytes:literal, $clear:literal, $add:literal, $store:literal) => {
        /// # Safety
        /// The processor has the registers named; `data` is a multiple of eight vectors long and not empty, and `passes` is not 0.
        unsafe fn $name(data: &[u8], passes: u64, sums: &mut [u64; 32]) {
            // SAFETY: reads `data.len()` bytes from the start of `data`, which is a whole number of rounds by the
            // contract, and writes four vectors of at most 64 bytes into the 256 bytes of `sums`.
            unsafe {
                asm!(
                    concat!($clear, " xmm0, xmm0, xmm0"),
                    concat!($clear, " xmm1, xmm1, xmm1"),
                    concat!($clear, " xmm2, xmm2, xmm2"),
                    concat!($clear, " xmm3, xmm3, xmm3"),
                    "3:",
                    "mov {at}, {start}",
                    "mov {left}, {len}",
                    ".p2align 5",
                    "2:",
                    concat!($add, " ", $register, "0, ", $register, "0, [{at}]"),
                    concat!($add, " ", $register, "1, ", $register, "1, [{at} + ", $bytes, "]"),
                    concat!($add, " ", $register, "2, ", $register, "2, [{at} + 2*", $bytes, "]"),
                    concat!($add, " ", $register, "3, ", $register, "3, [{at} + 3*", $bytes, "]"),
                    concat!($add, " ", $register, "0, ", $register, "0, [{at} + 4*", $bytes, "]"),
                    concat!($add, " ", $register, "1, ", $register, "1, [{at} + 5*", $bytes, "]"),
                    concat!($add, " ", $register, "2, ", $register, "2, [{at} + 6*", $bytes, "]"),
                    concat!($add, " ", $register, "3, ", $register, "3, [{at} + 7*", $bytes, "]"),
                    concat!("add {at}, 8*", $bytes),
                    concat!("sub {left}, 8*", $bytes),
                    "jnz 2b",
                    "dec {passes}",
                    "jnz 3b",
                    concat!($store, " [{sums}], ", $register, "0"),
                    concat!($store, " [{sums} + ", $bytes, "], ", $register, "1"),
                    concat!($store, " [{sums} + 2*", $bytes, "], ", $register, "2"),
                    concat!($store, " [{sums} + 3*", $bytes, "], ", $register, "3"),
                    "vzeroupper",
                    start = in(reg) data.as_ptr(),
                    len = in(reg) data.len(),
                    at = out(reg) _,
                    left = out(reg) _,
                    passes = inout(reg) passes => _,
                    sums = in(reg) sums.as_mut_ptr(),
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                    options(nostack),
                );
            }
        }
    };
}

read_loop!(read_512, "zmm", "64", "vpxor", "vpaddq", "vmovups");
read_loop!(read_256, "ymm", "32", "vpxor", "vpaddq", "vmovups");

/// # Safety
/// `data` is a multiple of 64 bytes long and not empty, and `passes` is not 0.
unsafe fn read_128(data: &[u8], passes: u64, sums: &mut [u64; 32]) {
    // SAFETY: reads `data.len()` bytes from the start of `data`, which is a whole number of rounds by the contract,
    // and writes 64 bytes into the 256 of `sums`. SSE2 is part of x86-64.
    unsafe {
        asm!(
            "pxor xmm0, xmm0", "pxor xmm1, xmm1", "pxor xmm2, xmm2", "pxor xmm3, xmm3",
            "3:",
                    "mov {at}, {start}",
                    "mov {left}, {len}",
                    ".p2align 5",
            "2:",
            "movdqu xmm4, [{at}]", "movdqu xmm5, [{at} + 16]", "movdqu xmm6, [{at} + 32]", "movdqu xmm7, [{at} + 48]",
            "paddq xmm0, xmm4", "paddq xmm1, xmm5", "paddq xmm2, xmm6", "paddq xmm3, xmm7",
            "add {at}, 64",
            "sub {left}, 64",
            "jnz 2b",
                    "dec {passes}",
                    "jnz 3b",
            "movdqu [{sums}], xmm0", "movdqu [{sums} + 16], xmm1",
            "movdqu [{sums} + 32], xmm2", "movdqu [{sums} + 48], xmm3",
            start = in(reg) data.as_ptr(),
                    len = in(reg) data.len(),
                    at = out(reg) _,
            left = out(reg) _,
                    passes = inout(reg) passes => _,
            sums = in(reg) sums.as_mut_ptr(),
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            options(nostack),
        );
    }
}

/// `data` is a multiple of [`READ_STEP`] long and not empty; `passes` is not 0.
pub(super) fn read_sum(data: &[u8], passes: u64) -> u64 {
    debug_assert!(
        !data.is_empty() && data.len().is_multiple_of(READ_STEP),
        "the caller cuts the tail off"
    );
    let mut sums = [0; 32];
    // SAFETY: the registers are there by the checks; `READ_STEP` is a multiple of what each loop reads in a round,
    // and the caller cut the tail off.
    unsafe {
        if is_x86_feature_detected!("avx512f") {
            read_512(data, passes, &mut sums);
        } else if is_x86_feature_detected!("avx2") {
            read_256(data, passes, &mut sums);
        } else {
            read_128(data, passes, &mut sums);
        }
    }
    sums.iter().fold(0, |sum: u64, part| sum.wrapping_add(*part))
}

/// `rounds` is not 0.
pub(super) fn add_chain(rounds: u64) {
    // SAFETY: integer arithmetic on the registers listed.
    unsafe {
        asm!(
            ".p2align 5",
            "2:",
            "add {sum}, {step}", "add {sum}, {step}", "add {sum}, {step}", "add {sum}, {step}",
            "add {sum}, {step}", "add {sum}, {step}", "add {sum}, {step}", "add {sum}, {step}",
            "add {sum}, {step}", "add {sum}, {step}", "add {sum}, {step}", "add {sum}, {step}",
            "add {sum}, {step}", "add {sum}, {step}", "add {sum}, {step}", "add {sum}, {step}",
            "dec {rounds}",
            "jnz 2b",
            sum = inout(reg) rounds => _,
            step = in(reg) 3_u64,
            rounds = inout(reg) rounds => _,
            options(nostack, nomem),
        );
    }
}

/// Follows `hops` pointers from `start`, each to where the one before it points, and returns where the last one points. The
/// loop is one load that waits for the load before it, and instructions that cost nothing beside it.
///
/// # Safety
/// `start`, and what every pointer that is followed leads to, is readable and holds such a pointer; `hops` is not 0.
#[unsafe(naked)]
pub(in crate::machine) unsafe extern "C" fn chase(start: *const u8, hops: u64) -> *const u8 {
    std::arch::naked_asm!(
        "mov rax, rdi",
        "2:",
        "mov rax, [rax]",
        "nop",
        "nop",
        "dec rsi",
        "jnz 2b",
        "ret",
    )
}

/// Where the instructions of the loop of [`chase`] begin, in bytes behind its start; the load is the first.
pub(in crate::machine) const CHASE_LOOP: [u64; 5] = [3, 6, 7, 8, 11];

/// Cache lines are 64 bytes on every x86-64 processor that was sold.
pub(in crate::machine) const LINE: usize = 64;

pub(super) fn flush(data: &[u8]) -> bool {
    let lines = data.len() / LINE;
    if lines == 0 {
        return true;
    }
    // The unordered form overlaps: 64 MiB in 3 ms, where the old one takes a round trip to memory for each line.
    if has_clflushopt() {
        // SAFETY: touches the lines of `data` only and changes no value; the processor has the instruction.
        unsafe {
            asm!(
                "mfence",
                "2:",
                "clflushopt [{at}]",
                "add {at}, 64",
                "dec {lines}",
                "jnz 2b",
                "mfence",
                at = inout(reg) data.as_ptr() => _,
                lines = inout(reg) lines => _,
                options(nostack),
            );
        }
    } else {
        // SAFETY: as above; `clflush` came with SSE2.
        unsafe {
            asm!(
                "mfence",
                "2:",
                "clflush [{at}]",
                "add {at}, 64",
                "dec {lines}",
                "jnz 2b",
                "mfence",
                at = inout(reg) data.as_ptr() => _,
                lines = inout(reg) lines => _,
                options(nostack),
            );
        }
    }
    true
}

fn has_clflushopt() -> bool {
    const CLFLUSHOPT: u64 = 1 << 23;
    let (highest, _) = cpuid(0);
    highest >= 7 && cpuid(7).1 & CLFLUSHOPT != 0
}

/// `eax` and `ebx` of a leaf. The intrinsic is `unsafe` in some of the Rust versions that build this crate and safe in
/// others.
fn cpuid(leaf: u32) -> (u32, u64) {
    let (eax, ebx): (u32, u64);
    // SAFETY: every x86-64 processor has `cpuid`; `rbx`, which the compiler keeps for itself, is put back.
    unsafe {
        asm!(
            "mov {ebx}, rbx",
            "cpuid",
            "xchg {ebx}, rbx",
            ebx = out(reg) ebx,
            inout("eax") leaf => eax,
            inout("ecx") 0 => _,
            out("edx") _,
            options(nostack, preserves_flags),
        );
    }
    (eax, ebx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chase_follows_and_its_instructions_are_where_the_table_says() {
        let mut ring = [0_usize; 3];
        for (at, next) in [(0, 2), (2, 1), (1, 0)] {
            ring[at] = (&raw const ring[next]).addr();
        }
        let start = (&raw const ring[0]).cast::<u8>();
        // SAFETY: each element points to another one.
        let end = unsafe { chase(start, 5) };
        assert_eq!(end, (&raw const ring[1]).cast());
        // SAFETY: the bytes of the function itself.
        let code = unsafe { std::slice::from_raw_parts(chase as *const u8, 14) };
        let heads: [&[u8]; 5] = [&[0x48, 0x8B, 0], &[0x90], &[0x90], &[0x48, 0xFF, 0xCE], &[0x75]];
        for (at, head) in CHASE_LOOP.into_iter().zip(heads) {
            assert!(code[usize::try_from(at).unwrap()..].starts_with(head), "{at}: {code:02x?}");
        }
        assert_eq!(code[13], 0xC3);
    }

    #[test]
    fn each_width_reads_the_same_words() {
        let words: Vec<u64> =
            (0..512).map(|i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let expected =
            words.iter().fold(0, |sum: u64, word| sum.wrapping_add(*word)).wrapping_mul(2);
        let total = |sums: [u64; 32]| sums.iter().fold(0, |sum: u64, part| sum.wrapping_add(*part));
        let mut sums = [0; 32];
        // SAFETY: 4096 bytes are a whole number of rounds, and SSE2 is part of x86-64.
        unsafe { read_128(&bytes, 2, &mut sums) };
        assert_eq!(total(sums), expected);
        if is_x86_feature_detected!("avx2") {
            let mut sums = [0; 32];
            // SAFETY: as above, with AVX2 by the check.
            unsafe { read_256(&bytes, 2, &mut sums) };
            assert_eq!(total(sums), expected);
        }
    }
}

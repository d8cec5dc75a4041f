//! The kernels for aarch64: NEON, which every such processor has.
//!
//! SVE is not used: a core whose SVE vectors are wider than 128 bit has a higher peak than is measured here.

use std::arch::asm;

use super::{READ_STEP, VectorWidth, Width};

/// Twenty-four chains: four units with a latency of four to five cycles need at most twenty.
const CHAINS: u64 = 24;

pub(super) fn widths() -> Vec<Width> {
    vec![
        Width { width: VectorWidth::Scalar, fused: true },
        Width { width: VectorWidth::Bits128, fused: true },
    ]
}

fn fused_scalar(rounds: u64) {
    // SAFETY: arithmetic on the registers listed.
    unsafe {
        asm!(
            "fmov s30, #0.5",
            "fmov s31, #1.0",
            "2:",
            "fmadd s0, s0, s30, s31", "fmadd s1, s1, s30, s31", "fmadd s2, s2, s30, s31", "fmadd s3, s3, s30, s31",
            "fmadd s4, s4, s30, s31", "fmadd s5, s5, s30, s31", "fmadd s6, s6, s30, s31", "fmadd s7, s7, s30, s31",
            "fmadd s8, s8, s30, s31", "fmadd s9, s9, s30, s31", "fmadd s10, s10, s30, s31", "fmadd s11, s11, s30, s31",
            "fmadd s12, s12, s30, s31", "fmadd s13, s13, s30, s31", "fmadd s14, s14, s30, s31", "fmadd s15, s15, s30, s31",
            "fmadd s16, s16, s30, s31", "fmadd s17, s17, s30, s31", "fmadd s18, s18, s30, s31", "fmadd s19, s19, s30, s31",
            "fmadd s20, s20, s30, s31", "fmadd s21, s21, s30, s31", "fmadd s22, s22, s30, s31", "fmadd s23, s23, s30, s31",
            "subs {rounds}, {rounds}, #1",
            "b.ne 2b",
            rounds = inout(reg) rounds => _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _, out("v15") _,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v30") _, out("v31") _,
            options(nostack, nomem),
        );
    }
}

fn fused_128(rounds: u64) {
    // SAFETY: arithmetic on the registers listed. The sums start from whatever the registers hold and grow by 1/16
    // each round, which no unit of this architecture is slower at.
    unsafe {
        asm!(
            "fmov v30.4s, #0.25",
            "fmov v31.4s, #0.25",
            "2:",
            "fmla v0.4s, v30.4s, v31.4s", "fmla v1.4s, v30.4s, v31.4s", "fmla v2.4s, v30.4s, v31.4s",
            "fmla v3.4s, v30.4s, v31.4s", "fmla v4.4s, v30.4s, v31.4s", "fmla v5.4s, v30.4s, v31.4s",
            "fmla v6.4s, v30.4s, v31.4s", "fmla v7.4s, v30.4s, v31.4s", "fmla v8.4s, v30.4s, v31.4s",
            "fmla v9.4s, v30.4s, v31.4s", "fmla v10.4s, v30.4s, v31.4s", "fmla v11.4s, v30.4s, v31.4s",
            "fmla v12.4s, v30.4s, v31.4s", "fmla v13.4s, v30.4s, v31.4s", "fmla v14.4s, v30.4s, v31.4s",
            "fmla v15.4s, v30.4s, v31.4s", "fmla v16.4s, v30.4s, v31.4s", "fmla v17.4s, v30.4s, v31.4s",
            "fmla v18.4s, v30.4s, v31.4s", "fmla v19.4s, v30.4s, v31.4s", "fmla v20.4s, v30.4s, v31.4s",
            "fmla v21.4s, v30.4s, v31.4s", "fmla v22.4s, v30.4s, v31.4s", "fmla v23.4s, v30.4s, v31.4s",
            "subs {rounds}, {rounds}, #1",
            "b.ne 2b",
            rounds = inout(reg) rounds => _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _, out("v15") _,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v30") _, out("v31") _,
            options(nostack, nomem),
        );
    }
}

/// `width` is one of [`widths`]; `rounds` is not 0.
pub(super) fn multiply_add(Width { width, .. }: Width, rounds: u64) -> u64 {
    match width {
        VectorWidth::Scalar => fused_scalar(rounds),
        VectorWidth::Bits128 => fused_128(rounds),
        VectorWidth::Bits256 | VectorWidth::Bits512 => return 0,
    }
    rounds * CHAINS * u64::from(width.lanes()) * 2
}

/// `data` is a multiple of [`READ_STEP`] long and not empty; `passes` is not 0.
pub(super) fn read_sum(data: &[u8], passes: u64) -> u64 {
    debug_assert!(
        !data.is_empty() && data.len().is_multiple_of(READ_STEP),
        "the caller cuts the tail off"
    );
    let sum: u64;
    // SAFETY: reads `data.len()` bytes from the start of `data`, 128 in a round, of which `READ_STEP` is a multiple.
    unsafe {
        asm!(
            "movi v0.2d, #0", "movi v1.2d, #0", "movi v2.2d, #0", "movi v3.2d, #0",
            "3:",
            "mov {at}, {start}",
            "mov {left}, {len}",
            "2:",
            "ldp q4, q5, [{at}]", "ldp q6, q7, [{at}, #32]",
            "ldp q16, q17, [{at}, #64]", "ldp q18, q19, [{at}, #96]",
            "add {at}, {at}, #128",
            "add v0.2d, v0.2d, v4.2d", "add v1.2d, v1.2d, v5.2d", "add v2.2d, v2.2d, v6.2d", "add v3.2d, v3.2d, v7.2d",
            "add v0.2d, v0.2d, v16.2d", "add v1.2d, v1.2d, v17.2d", "add v2.2d, v2.2d, v18.2d", "add v3.2d, v3.2d, v19.2d",
            "subs {left}, {left}, #128",
            "b.ne 2b",
            "subs {passes}, {passes}, #1",
            "b.ne 3b",
            "add v0.2d, v0.2d, v1.2d", "add v2.2d, v2.2d, v3.2d", "add v0.2d, v0.2d, v2.2d",
            "addp d0, v0.2d",
            "fmov {sum}, d0",
            start = in(reg) data.as_ptr(),
            len = in(reg) data.len(),
            at = out(reg) _,
            left = out(reg) _,
            passes = inout(reg) passes => _,
            sum = out(reg) sum,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _,
            options(nostack, readonly),
        );
    }
    sum
}

/// `rounds` is not 0.
pub(super) fn add_chain(rounds: u64) {
    // SAFETY: integer arithmetic on the registers listed.
    unsafe {
        asm!(
            "2:",
            "add {sum}, {sum}, {step}", "add {sum}, {sum}, {step}", "add {sum}, {sum}, {step}", "add {sum}, {sum}, {step}",
            "add {sum}, {sum}, {step}", "add {sum}, {sum}, {step}", "add {sum}, {sum}, {step}", "add {sum}, {sum}, {step}",
            "add {sum}, {sum}, {step}", "add {sum}, {sum}, {step}", "add {sum}, {sum}, {step}", "add {sum}, {sum}, {step}",
            "add {sum}, {sum}, {step}", "add {sum}, {sum}, {step}", "add {sum}, {sum}, {step}", "add {sum}, {sum}, {step}",
            "subs {rounds}, {rounds}, #1",
            "b.ne 2b",
            sum = inout(reg) rounds => _,
            step = in(reg) 3_u64,
            rounds = inout(reg) rounds => _,
            options(nostack, nomem),
        );
    }
}

/// Linux lets programs clean and invalidate by address (`SCTLR_EL1.UCI`), and read the size of a line.
pub(super) fn flush(data: &[u8]) -> bool {
    let types: u64;
    // SAFETY: reads a register that Linux makes readable to programs.
    unsafe { asm!("mrs {types}, ctr_el0", types = out(reg) types, options(nostack, nomem)) };
    // Bits 16 to 19: the base-2 logarithm of the smallest line, in words of four bytes.
    let line = 4_usize << ((types >> 16) & 0xF);
    let lines = data.len() / line;
    if lines == 0 {
        return true;
    }
    // SAFETY: touches the lines of `data` only and changes no value.
    unsafe {
        asm!(
            "2:",
            "dc civac, {at}",
            "add {at}, {at}, {line}",
            "subs {lines}, {lines}, #1",
            "b.ne 2b",
            "dsb sy",
            at = inout(reg) data.as_ptr() => _,
            line = in(reg) line,
            lines = inout(reg) lines => _,
            options(nostack),
        );
    }
    true
}

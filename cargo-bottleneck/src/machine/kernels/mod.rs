//! The loops whose speed is a ceiling of the machine: multiply-adds in registers, a read of memory, a chain of adds.
//!
//! The instructions are written in `asm!`, because a compiler that spills one accumulator reports a third of the peak,
//! and looks perfectly stable while it does. Nothing here times, allocates or decides: see `ceilings`.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as arch;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use portable as arch;
#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::{CHASE_LOOP, LINE, chase};

use serde::{Deserialize, Serialize};

/// How many `f32` one instruction works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VectorWidth {
    /// One number: code that was not vectorized.
    Scalar,
    /// Four numbers: SSE, NEON.
    Bits128,
    /// Eight numbers: AVX.
    Bits256,
    /// Sixteen numbers: AVX-512.
    Bits512,
}

impl VectorWidth {
    /// How many `f32` fit.
    pub const fn lanes(self) -> u32 {
        match self {
            Self::Scalar => 1,
            Self::Bits128 => 4,
            Self::Bits256 => 8,
            Self::Bits512 => 16,
        }
    }

    /// The words for a reader.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Bits128 => "128 bit",
            Self::Bits256 => "256 bit",
            Self::Bits512 => "512 bit",
        }
    }
}

/// The instructions that [`multiply_add`] uses at one width on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Width {
    pub(super) width: VectorWidth,
    /// One instruction multiplies and adds; otherwise they are two.
    pub(super) fused: bool,
}

/// The instructions that this machine executes, by rising width; at one width the fused ones last.
///
/// Where there are fused ones, the others still matter: a program built for every x86-64 uses those.
pub(super) fn widths() -> Vec<Width> {
    arch::widths()
}

/// Runs `rounds` of independent multiply-adds in registers and returns how many floating-point operations those were.
///
/// What the machine lacks runs nothing and returns 0.
pub(super) fn multiply_add(width: Width, rounds: u64) -> u64 {
    if rounds == 0 || !widths().contains(&width) {
        return 0;
    }
    arch::multiply_add(width, rounds)
}

/// Reads every whole [`READ_STEP`] of `data` so many times with the widest loads there are, and returns the wrapping sum
/// of the native-endian `u64` words read, so that no load can be left out.
pub(super) fn read_sum(data: &[u8], passes: u64) -> u64 {
    let whole = &data[..data.len() / READ_STEP * READ_STEP];
    if whole.is_empty() || passes == 0 { 0 } else { arch::read_sum(whole, passes) }
}

/// What [`read_sum`] reads in one round, in bytes.
pub(super) const READ_STEP: usize = 512;

/// Runs `rounds` of [`CHAIN_STEP`] integer adds of which each needs the one before; returns the number of adds.
///
/// A core does one such add each cycle, so that adds per second are its clock. The addend is in a register: adds of a
/// small constant are done at rename, several a cycle, by some cores.
pub(super) fn add_chain(rounds: u64) -> u64 {
    if rounds > 0 {
        arch::add_chain(rounds);
    }
    rounds * CHAIN_STEP
}

/// The adds in one round of [`add_chain`].
pub(super) const CHAIN_STEP: u64 = 16;

/// Drives `data` out of every cache, so that the next read comes from memory. `false` where the architecture has no
/// instruction for it that a program may use.
pub(super) fn flush(data: &[u8]) -> bool {
    arch::flush(data)
}

/// Whether [`flush`] works here.
pub(super) fn can_flush() -> bool {
    arch::flush(&[0; 64])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_counts_its_operations() {
        let widths = widths();
        assert_eq!(widths[0].width, VectorWidth::Scalar);
        assert!(widths.is_sorted_by_key(|w| (w.width, w.fused)));
        for width in widths {
            let once = multiply_add(width, 1);
            // At least ten independent results, or the latency of the unit is measured in place of its speed.
            assert!(
                once >= u64::from(10 * width.width.lanes()),
                "{width:?} does {once} operations in a round"
            );
            assert_eq!(multiply_add(width, 1000), 1000 * once);
        }
        assert_eq!(multiply_add(Width { width: VectorWidth::Scalar, fused: false }, 0), 0);
    }

    #[test]
    fn the_sum_proves_that_every_word_is_read() {
        let words: Vec<u64> =
            (0..1024).map(|i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        let expected = words.iter().fold(0, |sum: u64, w| sum.wrapping_add(*w));
        assert_eq!(read_sum(&bytes, 1), expected);
        // Unaligned, and with a tail that is less than a step.
        let mut shifted = vec![0; 1];
        shifted.extend_from_slice(&bytes);
        shifted.extend_from_slice(&[7; 100]);
        assert_eq!(read_sum(&shifted[1..], 3), expected.wrapping_mul(3));
        assert_eq!(read_sum(&bytes[..READ_STEP - 1], 1), 0);
    }

    #[test]
    fn flushed_data_come_from_memory() {
        if !can_flush() {
            return;
        }
        let data = vec![3_u8; 1 << 20];
        let best = |prepare: fn(&[u8]) -> bool| {
            let timed = || {
                prepare(&data);
                let begin = std::time::Instant::now();
                std::hint::black_box(read_sum(&data, 1));
                begin.elapsed()
            };
            (0..20).map(|_| timed()).min().unwrap()
        };
        let (again, flushed) = (best(|_| true), best(flush));
        println!("read again {again:?}, flushed {flushed:?}");
        assert!(flushed.as_secs_f64() > 1.5 * again.as_secs_f64(), "{flushed:?} against {again:?}");
    }

    #[test]
    fn flushed_data_keep_their_value() {
        let data = vec![3_u8; 4096];
        flush(&data[1..4000]);
        assert!(data.iter().all(|b| *b == 3));
        flush(&[]);
    }
}

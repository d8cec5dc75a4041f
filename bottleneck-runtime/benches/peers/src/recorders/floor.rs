//! The scale: a call that does nothing, and a call that reads the clock at both ends and forgets what it read.

use std::hint::black_box;
use std::path::Path;

use super::{Recorder, Spans};

mod calls {
    crate::functions::functions!();

    pub fn spans() -> super::Spans {
        super::Spans::plain(flat, d1)
    }
}

mod reads {
    crate::functions::functions!(super::TwoReads(super::clock()));

    pub fn spans() -> super::Spans {
        super::Spans::plain(flat, d1)
    }
}

/// Reads the clock when it is made and when it is dropped.
struct TwoReads(u64);

impl Drop for TwoReads {
    #[inline(always)]
    fn drop(&mut self) {
        black_box(clock().wrapping_sub(self.0));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn clock() -> u64 {
    // SAFETY: `rdtsc` is part of every x86_64; it reads a register.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn clock() -> u64 {
    // No counter that is the same everywhere: the floor is two reads of the monotonic clock.
    crate::clock::nanoseconds(libc::CLOCK_MONOTONIC)
}

/// Calls without a span.
#[expect(clippy::unnecessary_wraps, reason = "the signature that all recorders share")]
pub fn empty(_: &Path) -> Result<Recorder, String> {
    Ok(unrecorded(calls::spans()))
}

/// Two reads of the clock.
#[expect(clippy::unnecessary_wraps, reason = "the signature that all recorders share")]
pub fn two_reads(_: &Path) -> Result<Recorder, String> {
    Ok(unrecorded(reads::spans()))
}

/// The floor's functions, which every process runs in turn with those of its recorder.
pub fn reference() -> Spans {
    reads::spans()
}

fn unrecorded(spans: Spans) -> Recorder {
    Recorder { spans, finish: Box::new(|| Ok(None)) }
}

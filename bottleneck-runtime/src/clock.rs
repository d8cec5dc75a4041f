//! The clocks: ticks for spans, `CLOCK_MONOTONIC` for everything that meets the kernel's times.
//!
//! Nodes hold raw ticks; the reader converts them with the anchors in the file.

use crate::os;

/// What counts the ticks of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum ClockKind {
    /// The invariant time-stamp counter of x86.
    Tsc = crate::format::header::CLOCK_TSC,
    #[cfg_attr(
        not(target_arch = "aarch64"),
        expect(
            dead_code,
            reason = "chosen on aarch64 only, and named for the reader's sake everywhere"
        )
    )]
    /// The virtual counter of aarch64. Used as it is; not verified by us on hardware.
    Cntvct = crate::format::header::CLOCK_CNTVCT,
    /// `CLOCK_MONOTONIC` in nanoseconds, where there is no counter to trust.
    Monotonic = crate::format::header::CLOCK_MONOTONIC,
}

impl ClockKind {
    /// The best clock of this machine, and why the counter is not used where it is not.
    pub(crate) fn choose() -> (Self, Result<(), String>) {
        #[cfg(target_arch = "x86_64")]
        {
            match tsc_problem() {
                None => (Self::Tsc, Ok(())),
                Some(reason) => (Self::Monotonic, Err(reason)),
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            (Self::Cntvct, Ok(()))
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            (
                Self::Monotonic,
                Err("no user-space counter is known for this architecture".to_owned()),
            )
        }
    }
}

/// Reads the hardware counter. Only meaningful where [`ClockKind::choose`] chose it.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn counter() -> u64 {
    // SAFETY: `rdtsc` is part of every x86_64; it reads a register and has no other effect.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Reads the hardware counter.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(crate) fn counter() -> u64 {
    let ticks: u64;
    // SAFETY: reading `cntvct_el0` is allowed in user space on Linux and has no other effect.
    unsafe {
        core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags))
    };
    ticks
}

/// Reads `CLOCK_MONOTONIC`, there being no counter.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
pub(crate) fn counter() -> u64 {
    os::time::monotonic_ns()
}

/// Reads `CLOCK_MONOTONIC` out of line, so that the hot path holds only the jump to it.
#[cold]
#[inline(never)]
pub(crate) fn monotonic_ticks() -> u64 {
    os::time::monotonic_ns()
}

/// Why the time-stamp counter must not be used, or `None`.
#[cfg(target_arch = "x86_64")]
fn tsc_problem() -> Option<String> {
    #[expect(
        unused_unsafe,
        reason = "`__cpuid` became safe in a later compiler than the oldest we build with"
    )]
    // SAFETY: `cpuid` exists on every x86_64; leaf 0x8000_0000 says how far the extended leaves go.
    let last = unsafe { core::arch::x86_64::__cpuid(0x8000_0000) }.eax;
    #[expect(unused_unsafe, reason = "as above")]
    // SAFETY: as above, and the leaf exists by the comparison.
    let invariant = last >= 0x8000_0007
        && unsafe { core::arch::x86_64::__cpuid(0x8000_0007) }.edx & (1 << 8) != 0;
    if !invariant {
        return Some("the processor does not promise an invariant time-stamp counter".to_owned());
    }
    // The kernel watches the counter against other clocks and leaves it when it drifts.
    let source =
        std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    match source.as_deref().map(str::trim) {
        Ok(name @ ("hpet" | "acpi_pm" | "jiffies" | "refined-jiffies")) => {
            Some(format!("the kernel does not trust the time-stamp counter (clocksource {name})"))
        }
        Ok(_) | Err(_) => None,
    }
}

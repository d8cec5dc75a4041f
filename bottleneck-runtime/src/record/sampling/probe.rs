//! One timed load of the program's own data, after every check that it can do no harm. Runs in a signal handler.

use super::Tables;
use super::eligible::Range;
use super::repair;
use crate::os::bare_call;
use crate::time_load::time_load;

const PAGE: u64 = 4096;

/// What came of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probed {
    /// A load of it took so many ticks.
    Ticks(u32),
    /// It is not in memory that is known to be harmless.
    NotEligible,
    /// Its page would have to be fetched.
    NotResident,
    /// The memory went away in the last moment.
    Fault,
}

/// Whether faults would be put right now; asked once a sample, before anything is probed.
pub(super) fn is_safe() -> bool {
    repair::is_installed()
}

/// Times a load of the byte at `address`.
pub(super) fn probe(tables: &Tables, address: u64) -> Probed {
    let Some(range) = tables.eligible.find(address) else {
        return Probed::NotEligible;
    };
    if !is_unchanged(tables, address, range) {
        tables.eligible.report(address);
        return Probed::NotEligible;
    }
    if !bare_call::is_resident(address & !(PAGE - 1)) {
        return Probed::NotResident;
    }
    // SAFETY: private memory or a plain file, in memory a moment ago; and the caller saw that faults are put right.
    match unsafe { time_load(address as *const u8) } {
        0 => {
            tables.eligible.report(address);
            Probed::Fault
        }
        ticks => Probed::Ticks(ticks),
    }
}

/// Whether what is mapped there now is what the table says. Where the kernel cannot be asked, the table is trusted.
fn is_unchanged(tables: &Tables, address: u64, range: Range) -> bool {
    match &tables.maps {
        Some(maps) => maps.readable(address) == Some(range.tag),
        None => true,
    }
}

//! What a sampled thread does at each tick of its timer: counts where it is, notes the data that it waits for, and times a load
//! of what it is about to need.
//!
//! Runs in a signal handler at any point of the program. Nothing here allocates, locks, formats, panics, reads a thread-local
//! variable, or calls into the C library.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use super::probe::{self, Probed};
use super::recent::{Found, Group, group_of};
use super::registers::Registers;
use super::slot::{self, Owner, Slot};
use super::{Tables, recipes};
use crate::clock::counter;
use crate::format::accesses::{FLAG_ADOPTED, FLAG_EXTRAPOLATED};
use crate::format::{AccessData, Node};
use crate::os::signal::Previous;
use crate::os::{Errno, bare_call, cpu_timer};
use crate::record::recorder::Recorder;

static PREVIOUS: Previous = Previous::new();

/// Probes of one sample at most.
const PROBES: usize = 2;
/// What a load brings into the caches.
const LINE_BYTES: u64 = 64;
/// What a timer's signal says of its origin.
const SI_TIMER: i32 = -2;

/// Handles the timers' signal from now on.
pub(super) fn install() -> Result<(), Errno> {
    PREVIOUS.install(cpu_timer::SIGNAL, on_tick, libc::SA_SIGINFO | libc::SA_RESTART)
}

/// Whether the signal is still ours.
pub(super) fn is_installed() -> bool {
    bare_call::handler_of(cpu_timer::SIGNAL) == Some(on_tick as *const () as usize)
}

extern "C" fn on_tick(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands over a valid description; what is no timer's has other bytes there, which are not used.
    let (code, value) = unsafe { ((*info).si_code, (*info).si_value().sival_ptr as u64) };
    let owner = if code == SI_TIMER { slot::of_signal(value) } else { Owner::Program };
    match owner {
        Owner::Slot(slot) => {
            if let Some(tables) = super::tables() {
                // SAFETY: the third argument of a signal handler.
                let registers = unsafe { Registers::of(context) };
                sample(tables, slot, &registers);
            }
        }
        Owner::Nobody => {}
        Owner::Program => PREVIOUS.chain(signal, info, context),
    }
}

/// Where a thread is.
struct Place<'a> {
    node: &'a Node,
    reference: u32,
    is_adopted: bool,
}

fn sample(tables: &Tables, slot: &Slot, registers: &Registers) {
    let begin = counter();
    let head = tables.accesses.head;
    head.samples.fetch_add(1, Relaxed);
    if let Some(place) = place(slot) {
        tables.samples.count(place.reference, registers.ip, place.is_adopted);
        if tables.has_counter && head.partner.load(Relaxed) == 1 {
            note_access(tables, slot, registers, &place, begin);
        }
    } else {
        head.unadopted.fetch_add(1, Relaxed);
    }
    if tables.has_counter {
        head.handler_ticks.fetch_add(counter().saturating_sub(begin), Relaxed);
    }
}

/// The innermost open node of the thread, or of the one that waits for it.
fn place(slot: &Slot) -> Option<Place<'_>> {
    let of = |recorder: &'static Recorder, is_adopted| {
        let node = recorder.current();
        Place { node, reference: recorder.reference(node), is_adopted }
    };
    // SAFETY: null, or a recorder, which is never freed.
    let own = unsafe { slot.recorder.load(Relaxed).as_ref() }.map(|recorder| of(recorder, false));
    if own.as_ref().is_some_and(|place| 0 < place.node.depth.load(Relaxed)) {
        return own;
    }
    let adopter = super::adopter().map(|recorder| of(recorder, true));
    adopter.filter(|place| 0 < place.node.depth.load(Relaxed)).or(own)
}

fn note_access(tables: &Tables, slot: &Slot, registers: &Registers, place: &Place<'_>, ticks: u64) {
    let Some(recipe) = tables.recipes.find(registers.ip) else {
        return;
    };
    let address = recipes::address(recipe, registers);
    let open_since = place.node.open_since.load(Relaxed);
    let usage = slot.usage_since(bare_call::thread_usage());
    let mut access = AccessData {
        ticks,
        node: place.reference,
        thread: slot.number,
        sampled: registers.ip,
        address: address.unwrap_or(0),
        open_since,
        faults: u32::try_from(usage.faults).unwrap_or(u32::MAX),
        kernel_us: u32::try_from(usage.kernel_us).unwrap_or(u32::MAX),
        cpu_us: u32::try_from(usage.cpu_us).unwrap_or(u32::MAX),
        flags: if place.is_adopted { FLAG_ADOPTED } else { 0 },
        ..AccessData::default()
    };
    // A span may begin or end right now: then its beginning is 0, or behind us.
    if open_since != 0
        && open_since <= ticks
        && let Some(group) = group_of(&slot.groups, place.reference)
    {
        if let Some(address) = address {
            let found = Found { sampled: registers.ip, open_since, address, ticks };
            group.add(found, mean_length(place.node));
        }
        let is_probing = tables.accesses.head.is_probing.load(Relaxed) == 1;
        if registers.can_fault && is_probing && !slot.pauses() {
            let begin = counter();
            probe_ahead(tables, slot, group, place.node, &mut access);
            if tables.ticks_of_50_us < counter().saturating_sub(begin) {
                slot.pause();
            }
        }
    }
    tables.accesses.append(&access);
}

/// Ticks that a call of a node takes on average; 0 if none has ended yet.
fn mean_length(node: &Node) -> u64 {
    node.total.load(Relaxed).checked_div(node.count.load(Relaxed)).unwrap_or(0)
}

/// Times loads of what the span is about to need: what calls before this one used a little later after their beginning, or,
/// where none did, what lies ahead of an even advance.
fn probe_ahead(tables: &Tables, slot: &Slot, group: &Group, node: &Node, access: &mut AccessData) {
    let age = access.ticks - access.open_since;
    let length = Some(mean_length(node)).filter(|&length| length != 0).unwrap_or(age);
    let unit = tables.ticks_of_50_us;
    let from = age + unit / 10;
    let until = from + unit.max(length / 8);
    let mut results = Results::default();
    let mut is_safe = None;
    let mut attempt = |address: u64, results: &mut Results| {
        // The load before has brought its line.
        if results.has_line_of(address) {
            return;
        }
        // Two system calls: not before there is something to probe.
        if *is_safe.get_or_insert_with(probe::is_safe) {
            results.add(tables, address, probe::probe(tables, address));
        } else {
            results.count = PROBES;
        }
    };
    // Bounded: of 64 addresses, those in memory that changes are asked for once and again otherwise.
    for address in group.between(from, until, slot.random()).take(2 * PROBES) {
        if results.count < PROBES {
            attempt(address, &mut results);
        }
    }
    if results.count == 0 && results.tried == 0 {
        // 5 to 50 µs ahead.
        let ticks = unit / 10 + slot.random() % (unit - unit / 10).max(1);
        if let Some(address) = group.ahead(ticks) {
            attempt(address, &mut results);
            if 0 < results.count {
                access.flags |= FLAG_EXTRAPOLATED;
            }
        }
    }
    [access.probed_0, access.probed_1] = results.addresses;
    [access.latency_0, access.latency_1] = results.ticks;
}

/// What the probes of one sample found.
#[derive(Default)]
struct Results {
    addresses: [u64; PROBES],
    ticks: [u32; PROBES],
    count: usize,
    tried: usize,
}

impl Results {
    fn has_line_of(&self, address: u64) -> bool {
        let timed = self.addresses.iter().take(self.count);
        timed.into_iter().any(|&it| it / LINE_BYTES == address / LINE_BYTES)
    }

    fn add(&mut self, tables: &Tables, address: u64, probed: Probed) {
        let head = tables.accesses.head;
        self.tried += 1;
        let counter: &AtomicU64 = match probed {
            Probed::Ticks(ticks) => {
                if let (Some(to), Some(time)) =
                    (self.addresses.get_mut(self.count), self.ticks.get_mut(self.count))
                {
                    (*to, *time) = (address, ticks);
                    self.count += 1;
                }
                &head.probes
            }
            Probed::NotEligible => &head.not_eligible,
            Probed::NotResident => &head.not_resident,
            Probed::Fault => &head.faults,
        };
        counter.fetch_add(1, Relaxed);
    }
}

//! Sampling: where threads are every 4 ms of their CPU time, which data they wait for, and how far away it is.
//!
//! ```text
//! timer on the CPU clock of each thread ──SIGURG──▶ handler ──▶ SampleTable   node, instruction ▶ count
//!                                                     │  ▲         AccessTable   instruction, data, timed loads
//! `cargo bottleneck`, beside the program ─▶ Recipes ──┘  │
//! background thread (Keeper) ─▶ Eligible memory, adopter ┘ ; copies the code around what was sampled
//! ```
//!
//! A sample changes nothing that the program can see, but for time: no system call is interrupted, no memory is written that
//! is not ours, and nothing is read that is not plain memory of the program.

mod accesses;
mod code;
mod eligible;
mod files;
mod handler;
mod keeper;
mod probe;
mod recent;
mod recipes;
mod regions;
mod registers;
mod repair;
mod slot;
mod threads;

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use super::recorder::Recorder;
use super::sample_table::SampleTable;
use super::session::Session;
use crate::clock::ClockKind;
use crate::os::address_space::Maps;
use crate::os::cpu_timer;

pub(super) use crate::os::cpu_timer::PERIOD_NS as TIMER_PERIOD_NS;
pub(super) use keeper::Keeper;
pub(super) use threads::Threads;

/// What the handler works with. Made by the background thread, and never freed.
#[derive(Debug)]
struct Tables {
    samples: &'static SampleTable,
    accesses: accesses::AccessTable,
    recipes: recipes::Recipes,
    eligible: eligible::Eligible,
    /// Where single addresses can be asked for.
    maps: Option<Maps>,
    has_counter: bool,
    ticks_of_50_us: u64,
}

static TABLES: AtomicPtr<Tables> = AtomicPtr::new(ptr::null_mut());
/// The recorder of the thread whose span waits for threads without spans; null for none.
static ADOPTER: AtomicPtr<Recorder> = AtomicPtr::new(ptr::null_mut());

fn tables() -> Option<&'static Tables> {
    // Acquire: pairs with the Release in `Tables::start`.
    // SAFETY: null, or leaked there.
    unsafe { TABLES.load(Ordering::Acquire).as_ref() }
}

fn adopter() -> Option<&'static Recorder> {
    // SAFETY: null, or a recorder, which is never freed.
    unsafe { ADOPTER.load(Ordering::Relaxed).as_ref() }
}

/// Names the thread whose span waits for those without spans.
pub(super) fn set_adopter(recorder: Option<&'static Recorder>) {
    let recorder = recorder.map_or(ptr::null_mut(), |it| ptr::from_ref(it).cast_mut());
    ADOPTER.store(recorder, Ordering::Relaxed);
}

/// In the child of a fork, which has no timers. Stores only.
pub(super) fn forget_in_child() {
    TABLES.store(ptr::null_mut(), Ordering::Relaxed);
    set_adopter(None);
    slot::forget_all();
}

impl Tables {
    /// Makes room in the file, and has the handler use it; `None` where there is no space.
    fn start(session: &'static Session) -> Option<&'static Self> {
        let tables = Self {
            samples: session.samples()?,
            recipes: recipes::Recipes::new(&session.arena)?,
            accesses: accesses::AccessTable::new(&session.arena, cpu_timer::PERIOD_NS)?,
            eligible: eligible::Eligible::new(),
            maps: Maps::open().filter(Maps::answers),
            has_counter: session.clock == ClockKind::Tsc,
            ticks_of_50_us: session.long_span_ticks.max(1),
        };
        let tables: &'static Self = Box::leak(Box::new(tables));
        // Release: pairs with the Acquire in `tables`.
        TABLES.store(ptr::from_ref(tables).cast_mut(), Ordering::Release);
        Some(tables)
    }
}

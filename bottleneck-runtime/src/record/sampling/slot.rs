//! What the signal handler knows of a sampled thread. Slots are never freed: a signal may be on its way to one.

use core::ptr;
use core::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

use super::super::recorder::Recorder;
use super::recent::{GROUPS, Group};
use crate::os::bare_call::Usage;

/// Threads that are sampled at the same time at most.
pub(super) const SLOTS: usize = 1024;
/// Samples without probes after one that took long.
const PAUSE: u32 = 16;
/// The upper half of what a timer of ours sends.
const MAGIC: u64 = 0x626E_636B;

static ALL: [AtomicPtr<Slot>; SLOTS] = [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];

/// One sampled thread, or the place of one that ended.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: u32,
    /// Counts the threads that had the slot.
    generation: AtomicU32,
    /// The thread's recorder; null while it has no span.
    pub(super) recorder: AtomicPtr<Recorder>,
    /// State of the choice among addresses.
    random: AtomicU64,
    /// Samples that are left before something is probed again.
    pause: AtomicU32,
    /// Page faults at the entry before, the time inside the kernel, and all CPU time.
    faults: AtomicU64,
    kernel_us: AtomicU64,
    cpu_us: AtomicU64,
    /// Addresses that it used lately, by node.
    pub(super) groups: [Group; GROUPS],
}

impl Slot {
    /// Makes the slot with this number; `None` where there is no memory, or no such number.
    pub(super) fn new(number: usize) -> Option<&'static Self> {
        let place = ALL.get(number)?;
        let memory = crate::os::memory::pages(size_of::<Self>())?.cast::<Self>();
        // SAFETY: fresh zeros of at least this size, page-aligned, which are a valid `Slot`: numbers and null pointers.
        let slot: &'static mut Self = unsafe { &mut *memory };
        slot.number = u32::try_from(number).ok()?;
        // Release: pairs with the Acquire in `of_signal`.
        place.store(slot, Release);
        Some(slot)
    }

    /// A thread takes the slot over. Returns what its timer sends.
    pub(super) fn begin(&self, recorder: Option<&'static Recorder>, seed: u64) -> u64 {
        let generation = self.generation.fetch_add(1, Relaxed).wrapping_add(1);
        for group in &self.groups {
            group.clear();
        }
        self.faults.store(u64::MAX, Relaxed);
        self.kernel_us.store(u64::MAX, Relaxed);
        self.cpu_us.store(u64::MAX, Relaxed);
        self.random.store(seed | 1, Relaxed);
        self.pause.store(0, Relaxed);
        self.set_recorder(recorder);
        value(generation, self.number)
    }

    /// The thread has spans from now on, or none any more.
    pub(super) fn set_recorder(&self, recorder: Option<&'static Recorder>) {
        let recorder = recorder.map_or(ptr::null_mut(), |it| ptr::from_ref(it).cast_mut());
        self.recorder.store(recorder, Relaxed);
    }

    /// What is still on its way to the slot's thread is not counted any more.
    pub(super) fn end(&self) {
        self.set_recorder(None);
        self.generation.fetch_add(1, Relaxed);
    }

    /// The next number of a series without a pattern.
    pub(super) fn random(&self) -> u64 {
        let mut state = self.random.load(Relaxed);
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.random.store(state, Relaxed);
        state >> 16
    }

    /// Whether to leave this sample unprobed.
    pub(super) fn pauses(&self) -> bool {
        let left = self.pause.load(Relaxed);
        self.pause.store(left.saturating_sub(1), Relaxed);
        0 < left
    }

    /// Probing took long: others hold the locks of the address space. The next samples do without.
    pub(super) fn pause(&self) {
        self.pause.store(PAUSE, Relaxed);
    }

    /// What the kernel did since this was last asked, for the calling thread, whose slot this is.
    pub(super) fn usage_since(&self, now: Usage) -> Usage {
        let since = |counter: &AtomicU64, now: u64| now.saturating_sub(counter.swap(now, Relaxed));
        Usage {
            faults: since(&self.faults, now.faults),
            kernel_us: since(&self.kernel_us, now.kernel_us),
            cpu_us: since(&self.cpu_us, now.cpu_us),
        }
    }
}

fn value(generation: u32, number: u32) -> u64 {
    MAGIC << 32 | u64::from(generation & 0xFFFF) << 16 | u64::from(number & 0xFFFF)
}

/// Whose sample a signal is.
#[derive(Debug)]
pub(super) enum Owner {
    /// That of a thread of ours.
    Slot(&'static Slot),
    /// Of a thread that has left.
    Nobody,
    /// It is not ours at all.
    Program,
}

/// Finds the slot that a timer's signal is for. For the signal handler.
pub(super) fn of_signal(value: u64) -> Owner {
    if value >> 32 != MAGIC {
        return Owner::Program;
    }
    let Some(place) = ALL.get((value & 0xFFFF) as usize) else {
        return Owner::Program;
    };
    // Acquire: pairs with the Release in `new`.
    // SAFETY: null, or a slot, which is never freed.
    let Some(slot) = (unsafe { place.load(Acquire).as_ref() }) else {
        return Owner::Program;
    };
    if self::value(slot.generation.load(Relaxed), slot.number) == value {
        Owner::Slot(slot)
    } else {
        Owner::Nobody
    }
}

/// In the child of a fork: its parent's threads do not exist. Stores only.
pub(super) fn forget_all() {
    for place in &ALL {
        // SAFETY: as above.
        if let Some(slot) = unsafe { place.load(Relaxed).as_ref() } {
            slot.end();
        }
    }
}

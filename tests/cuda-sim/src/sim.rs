//! The simulated machine of this process: made once, at the first call of whichever library.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::clock::Clock;
use crate::cupti::collector::{Collector, Options};
use crate::cupti::listeners::Listeners;
use crate::cupti::records::Place;
use crate::device::{Device, Placed, StreamId, Submitted, Ticket};
use crate::driver::graphs::Graphs;
use crate::driver::host::HostFunction;
use crate::driver::modules::Modules;
use crate::engine::{Interval, Ns};
use crate::memory::Memory;
use crate::settings::{SETTINGS, Settings};
use crate::truth::Truth;

/// A device, its memory, and what was loaded onto it.
pub struct Machine {
    /// Streams, events and engines.
    pub device: Device,
    /// Memory of the device and pinned memory.
    pub memory: Memory,
    /// Modules and their kernels.
    pub modules: Modules,
    /// Graphs, and the streams that are captured into one.
    pub graphs: Graphs,
    /// Host functions that have not begun.
    pub functions: BTreeMap<Ticket, HostFunction>,
    /// What is to be done when it is known when something runs.
    later: BTreeMap<Ticket, Then>,
}

type Then = Box<dyn FnOnce(&mut Memory, Placed) + Send>;

impl Machine {
    /// Does something when it is known when what was submitted runs: at once, unless a host function holds it.
    pub fn when_placed(
        &mut self,
        submitted: Submitted,
        then: impl FnOnce(&mut Memory, Placed) + Send + 'static,
    ) {
        match submitted {
            Submitted::Placed(placed) => then(&mut self.memory, placed),
            Submitted::Held(ticket) => {
                self.later.insert(ticket, Box::new(then));
            }
        }
    }

    /// A host function has returned: what was behind it is placed.
    fn finish(&mut self, function: Ticket, runs: Interval) {
        for (ticket, placed) in self.device.finish(function, runs) {
            if let Some(then) = self.later.remove(&ticket) {
                then(&mut self.memory, placed);
            }
        }
    }
}

/// Everything that is simulated.
pub struct Sim {
    /// What was asked for.
    pub settings: Settings,
    /// Time.
    pub clock: Clock,
    /// The log of what really happened.
    pub truth: Truth,
    /// CUPTI's records.
    pub cupti: Collector,
    /// Who is told of calls.
    pub listeners: Listeners,
    /// `cuInit` was called, and succeeded.
    pub is_ready: AtomicBool,
    machine: Mutex<Machine>,
    /// A host function was launched or has returned.
    has_turned: Condvar,
    correlation: AtomicU32,
}

/// The machine of this process.
///
/// # Panics
/// The settings make no sense: a test that asks for something else than it means must not pass.
pub fn sim() -> &'static Sim {
    static SIM: OnceLock<Sim> = OnceLock::new();
    SIM.get_or_init(|| Sim::new().unwrap_or_else(|why| panic!("the simulated CUDA driver: {why}")))
}

impl Sim {
    fn new() -> Result<Self, String> {
        let text = std::env::var(SETTINGS).unwrap_or_default();
        let settings = Settings::parse(&text).map_err(|why| format!("{SETTINGS}: {why}"))?;
        Ok(Self {
            clock: Clock::new(settings.is_virtual, settings.spins),
            truth: Truth::open()?,
            cupti: Collector::default(),
            listeners: Listeners::default(),
            is_ready: AtomicBool::new(false),
            machine: Mutex::new(Machine {
                device: Device::new(settings.clone()),
                memory: Memory::default(),
                modules: Modules::new()?,
                graphs: Graphs::default(),
                functions: BTreeMap::new(),
                later: BTreeMap::new(),
            }),
            has_turned: Condvar::new(),
            correlation: AtomicU32::new(1),
            settings,
        })
    }

    /// The machine, for one thread at a time.
    pub fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine, when it is as it is wanted, which only the launch and the return of host functions can make it.
    pub fn machine_when(&self, is: impl Fn(&Machine) -> bool) -> MutexGuard<'_, Machine> {
        let waiting = self.has_turned.wait_while(self.machine(), |machine| !is(machine));
        waiting.unwrap_or_else(PoisonError::into_inner)
    }

    /// The next host function, when its turn and its time have come, and when that was.
    pub fn next_function(&self) -> (Ticket, Ns, HostFunction) {
        loop {
            let mut machine = self.machine_when(|machine| machine.device.next_function().is_some());
            let Some((ticket, ready)) = machine.device.next_function() else { continue };
            if let Some(left) = self.clock.left_until(ready) {
                // One that is to begin earlier may be launched in the meantime.
                _ = self.has_turned.wait_timeout(machine, left);
                continue;
            }
            machine.device.begin(ticket);
            if let Some(function) = machine.functions.remove(&ticket) {
                return (ticket, ready, function);
            }
        }
    }

    /// A host function was launched.
    pub fn launched(&self) {
        self.has_turned.notify_all();
    }

    /// A host function has returned.
    pub fn finish(&self, function: Ticket, runs: Interval) {
        self.machine().finish(function, runs);
        self.has_turned.notify_all();
    }

    /// A number for a call.
    pub fn next_correlation(&self) -> u32 {
        self.correlation.fetch_add(1, Relaxed)
    }

    /// What the collector is told.
    pub fn options(&self) -> Options {
        Options {
            drop_every: self.settings.drop_every,
            is_shuffled: self.settings.is_shuffled,
            has_no_times: self.settings.has_no_times,
        }
    }

    /// Hands records over.
    pub fn deliver(&self, is_forced: bool) {
        let now = self.clock.now();
        let day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let day_ns = u64::try_from(day.as_nanos()).unwrap_or(u64::MAX);
        self.cupti.deliver(now, is_forced, day_ns, self.options());
    }

    /// Where work on a stream is, for a record.
    pub fn place(&self, stream: StreamId, correlation: u32) -> Place {
        Place { device: 0, context: 1, stream: stream.0, correlation }
    }
}

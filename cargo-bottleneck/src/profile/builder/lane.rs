//! Test kit: what one thread does from moment to moment, drawn with one character for each.

use super::span::Label;
use crate::profile::snapshots::{CONTENDED_MUTEX, Call, State, Target};

/// A thread's line in a drawing.
#[derive(Clone, Debug)]
pub struct Lane {
    pub(super) name: String,
    pub(super) legend: Vec<Activity>,
    /// Positions in the legend; `None` where the thread is absent from the snapshot.
    pub(super) moments: Vec<Option<usize>>,
}

impl Lane {
    /// The thread `name`, up to 15 bytes; each character of `timeline` is a moment that the legend explains. A dot is a
    /// moment at which the thread is absent from the snapshot; spaces are ignored.
    ///
    /// # Panics
    /// The legend lacks a character of the timeline, or the name is too long.
    pub fn new(name: &str, timeline: &str, legend: &[(char, Activity)]) -> Self {
        assert!(name.len() <= 15, "a thread's name has 15 bytes: {name}");
        let position = |character| match character {
            '.' => None,
            _ => Some(
                legend
                    .iter()
                    .position(|&(explained, _)| explained == character)
                    .unwrap_or_else(|| panic!("the legend of lane {name} lacks {character:?}")),
            ),
        };
        Self {
            name: name.to_owned(),
            legend: legend.iter().map(|(_, activity)| activity.clone()).collect(),
            moments: timeline.chars().filter(|&at| at != ' ').map(position).collect(),
        }
    }

    pub(super) fn activity(&self, moment: usize) -> Option<&Activity> {
        self.moments.get(moment).copied().flatten().map(|at| &self.legend[at])
    }

    /// How many moments it runs in.
    pub(super) fn running(&self) -> u64 {
        let activities = (0..self.moments.len()).filter_map(|moment| self.activity(moment));
        let running = activities
            .filter(|activity| matches!(activity.state, State::Running | State::Runnable));
        running.count() as u64
    }
}

/// What a thread does at a moment, and the spans that are open then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    pub(super) path: Vec<Label>,
    pub(super) state: State,
    pub(super) wait: Wait,
}

/// What a thread waits in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    pub(super) call: Call,
    pub(super) target: Target,
    pub(super) is_timed: bool,
    pub(super) argument: u64,
    pub(super) value: u32,
    /// The thread whose id is the value.
    pub(super) joins: Option<String>,
}

/// It has a CPU. `path` names the open spans from the outermost of the thread; a name may carry a key: `forward[decode]`.
pub fn runs(path: &[&str]) -> Activity {
    activity(path, State::Running, call(Call::Unknown))
}

/// Its CPU was taken away.
pub fn preempted(path: &[&str]) -> Activity {
    activity(path, State::Preempted, call(Call::Unknown))
}

/// Its wait has ended, and it has no CPU yet.
pub fn woken(path: &[&str]) -> Activity {
    activity(path, State::Woken, call(Call::Unknown))
}

/// It can run; whether it has a CPU is not known.
pub fn runnable(path: &[&str]) -> Activity {
    activity(path, State::Runnable, call(Call::Unknown))
}

/// It waits.
pub fn waits(path: &[&str], wait: Wait) -> Activity {
    activity(path, State::Blocked, wait)
}

/// An untimed wait for a futex: a channel, a condition, a barrier.
pub fn futex(address: u64) -> Wait {
    Wait { argument: address, ..call(Call::Futex) }
}

/// A wait for a mutex that another thread holds.
pub fn mutex(address: u64) -> Wait {
    Wait { value: CONTENDED_MUTEX, ..futex(address) }
}

/// A wait for a futex that ends by itself.
pub fn timed_futex(address: u64) -> Wait {
    Wait { is_timed: true, ..futex(address) }
}

/// A parked thread of the standard library.
pub fn parked(address: u64) -> Wait {
    Wait { value: u32::MAX, ..futex(address) }
}

/// A wait for the end of the thread of the lane `name`.
pub fn joins(name: &str) -> Wait {
    Wait { joins: Some(name.to_owned()), ..futex(0x7f00_0000_0910) }
}

/// A wait for a page of memory.
pub fn fault() -> Wait {
    call(Call::Fault)
}

/// A sleep.
pub fn sleep() -> Wait {
    Wait { is_timed: true, ..call(Call::Sleeping) }
}

/// A read.
pub fn read(target: Target) -> Wait {
    on(Call::Reading, target)
}

/// A write.
pub fn write(target: Target) -> Wait {
    on(Call::Writing, target)
}

/// A read from a socket.
pub fn receive(target: Target) -> Wait {
    on(Call::Receiving, target)
}

/// An untimed wait for one of several descriptors.
pub fn poll() -> Wait {
    on(Call::Polling, Target::Anonymous)
}

/// A wait for one of several descriptors that ends by itself.
pub fn timed_poll() -> Wait {
    Wait { is_timed: true, ..poll() }
}

/// A wait for a peer that connects.
pub fn accept() -> Wait {
    on(Call::Accepting, Target::Listener)
}

/// A connection being made.
pub fn connect() -> Wait {
    on(Call::Connecting, Target::DistantSocket)
}

/// A wait until a file is on the disk.
pub fn sync() -> Wait {
    on(Call::Flushing, Target::PlainFile)
}

/// A wait for a child process.
pub fn child() -> Wait {
    call(Call::Reaping)
}

/// Another call, without a descriptor.
pub fn call(call: Call) -> Wait {
    Wait { call, target: Target::Unknown, is_timed: false, argument: 0, value: 0, joins: None }
}

fn on(kind: Call, target: Target) -> Wait {
    Wait { target, argument: 5, ..call(kind) }
}

fn activity(path: &[&str], state: State, wait: Wait) -> Activity {
    Activity { path: path.iter().map(|name| Label::of(name)).collect(), state, wait }
}

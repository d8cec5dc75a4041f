//! Looks at devices while the program runs: whether something keeps them below their clock, who else computes on them, and which
//! of their parts are in use.
//!
//! A thread of the command. Until the program is seen to collect what devices do it looks at the headers of recordings, and then
//! asks NVML [`PERIOD`] by [`PERIOD`]. A driver that does not answer is not waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::counters::{Counters, Window};
use super::nvml::{Device, Nvml, Use};

/// Between looks.
const PERIOD: Duration = Duration::from_millis(100);
/// What was seen is waited for so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// Reasons of NVML for a lower clock: nothing runs; limits of power; limits of heat.
const IDLES: u64 = 1;
const POWER: u64 = 0x04 | 0x80;
const HEAT: u64 = 0x20 | 0x40;
/// A process that computes less of the time is nobody's neighbor, in percent.
const LEAST_PERCENT: u32 = 5;

/// What was seen of a device while the program ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// Its domain, bus and number on the bus.
    pub pci: [u32; 3],
    /// Looks at which it worked.
    pub looks: u32,
    /// Of these, at which its power was limited.
    pub power: u32,
    /// Of these, at which it was too hot.
    pub heat: u32,
    /// Other processes that computed on it.
    pub others: Vec<Other>,
    /// The program is known to be the only one that has it: not where processes have other numbers, and not with two processes.
    #[serde(default)]
    pub is_alone: bool,
    /// What its counters said, by time.
    #[serde(default)]
    pub windows: Vec<Window>,
    /// Why it was not counted.
    #[serde(default)]
    pub not_counted: Option<String>,
}

/// Another process that computed on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    /// Its process id.
    pub pid: u32,
    /// The part of the time in which its kernels ran, in percent: the most that was seen.
    pub percent: u32,
}

/// The thread beside the program.
#[derive(Debug)]
pub struct Watch {
    thread: io::Result<(Sender<()>, Receiver<Vec<Seen>>)>,
}

impl Watch {
    /// Starts to look as soon as `is_used` says that the program uses a device.
    pub fn start(is_used: impl Fn() -> bool + Send + 'static) -> Self {
        let ((stop, stopped), (tell, told)) = (channel(), channel());
        let look = move || {
            if let Some(seen) = look(&stopped, is_used) {
                // Whoever started this may not wait any more.
                let _ = tell.send(seen);
            }
        };
        let thread = std::thread::Builder::new().name("gpu-watch".to_owned()).spawn(look);
        Self { thread: thread.map(|_| (stop, told)) }
    }

    /// Ends with the program, of whose processes these are the ids. Nothing where nothing could be seen.
    pub fn finish(self, own: &BTreeSet<u32>) -> Vec<Conditions> {
        let Ok((stop, told)) = self.thread else { return Vec::new() };
        drop(stop);
        let seen = told.recv_timeout(PATIENCE).unwrap_or_default();
        seen.into_iter().map(|it| it.conditions(own)).collect()
    }
}

fn look(stopped: &Receiver<()>, is_used: impl Fn() -> bool) -> Option<Vec<Seen>> {
    let has_ended = || stopped.recv_timeout(PERIOD) != Err(RecvTimeoutError::Timeout);
    loop {
        let is_over = has_ended();
        if is_used() {
            break;
        }
        if is_over {
            return None;
        }
    }
    let nvml = Nvml::load().ok()?;
    let all = nvml.devices().ok()?.into_iter();
    let mut devices: Vec<(Device, Seen)> =
        all.map(|device| (device, Seen { pci: device.pci, ..Seen::default() })).collect();
    let mut counters: Vec<_> =
        devices.iter().map(|(device, _)| Counters::start(nvml, *device)).collect();
    for (device, seen) in &mut devices {
        // The driver keeps what was before the program too.
        seen.until_us = newest(&nvml.uses(*device, 0), now_us());
    }
    loop {
        for (device, seen) in &mut devices {
            seen.add(nvml, *device);
        }
        let is_over = has_ended();
        counters.iter_mut().flatten().for_each(Counters::look);
        if is_over {
            break;
        }
    }
    for ((_, seen), counters) in devices.iter_mut().zip(counters) {
        let windows = counters.and_then(|it| it.windows().map(<[Window]>::to_vec));
        match windows {
            Ok(windows) => seen.windows = windows,
            Err(why) => seen.not_counted = Some(why),
        }
    }
    Some(devices.into_iter().map(|(_, seen)| seen).collect())
}

/// The time of the newest use; 0 if there is none.
fn newest(uses: &[Use], now_us: u64) -> u64 {
    uses.iter().filter(|it| is_sane(it, now_us)).map(|it| it.at_us).max().unwrap_or(0)
}

/// Some drivers give places in which there is nothing, with whatever lies there.
fn is_sane(it: &Use, now_us: u64) -> bool {
    it.percent <= 100 && it.at_us <= now_us
}

/// A little later than now on the driver's clock for uses, which is the time of day.
fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from((now + PATIENCE).as_micros()).unwrap_or(u64::MAX)
}

/// What was seen so far.
#[derive(Clone, Debug, Default)]
struct Seen {
    pci: [u32; 3],
    looks: u32,
    power: u32,
    heat: u32,
    /// Processes that may compute.
    present: BTreeSet<u32>,
    /// Processes that did, and the most of the time, in percent.
    percent: BTreeMap<u32, u32>,
    /// Until when their use is known, on the driver's clock.
    until_us: u64,
    /// What was counted, and why nothing was.
    windows: Vec<Window>,
    not_counted: Option<String>,
}

impl Seen {
    fn add(&mut self, nvml: Nvml, device: Device) {
        if let Some(reasons) = nvml.reasons(device).filter(|reasons| reasons & IDLES == 0) {
            self.looks += 1;
            self.power += u32::from(reasons & POWER != 0);
            self.heat += u32::from(reasons & HEAT != 0);
        }
        self.present.extend(nvml.processes(device).unwrap_or_default());
        let uses = nvml.uses(device, self.until_us);
        self.add_uses(&uses, now_us());
    }

    fn add_uses(&mut self, uses: &[Use], now_us: u64) {
        let since_us = self.until_us;
        for it in uses.iter().filter(|it| is_sane(it, now_us) && since_us < it.at_us) {
            let most = self.percent.entry(it.pid).or_default();
            *most = (*most).max(it.percent);
            self.until_us = self.until_us.max(it.at_us);
        }
    }

    fn conditions(self, own: &BTreeSet<u32>) -> Conditions {
        // In a container the driver may number processes otherwise: then nobody knows which is the program.
        let is_known = self.present.iter().any(|pid| own.contains(pid));
        let is_other = |pid| is_known && self.present.contains(pid) && !own.contains(pid);
        let others = self
            .percent
            .iter()
            .filter(|(pid, percent)| is_other(pid) && LEAST_PERCENT <= **percent);
        Conditions {
            pci: self.pci,
            looks: self.looks,
            power: self.power,
            heat: self.heat,
            others: others.map(|(&pid, &percent)| Other { pid, percent }).collect(),
            is_alone: self.present.len() == 1 && is_known,
            windows: self.windows,
            not_counted: self.not_counted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others(present: &[u32], percent: &[(u32, u32)]) -> Vec<u32> {
        let seen = Seen {
            present: present.iter().copied().collect(),
            percent: percent.iter().copied().collect(),
            ..Seen::default()
        };
        let own = BTreeSet::from([10, 11]);
        seen.conditions(&own).others.iter().map(|it| it.pid).collect()
    }

    #[test]
    fn who_computes_beside_the_program_is_named() {
        assert_eq!(others(&[10, 20, 21], &[(10, 90), (20, 40), (21, 1)]), [20]);
        assert_eq!(others(&[10, 11], &[(10, 90), (11, 90)]), [0; 0], "both are the program's");
    }

    #[test]
    fn what_was_before_or_makes_no_sense_is_nothing() {
        let before = [Use { pid: 20, percent: 90, at_us: 900 }];
        let garbage = [
            Use { pid: 0, percent: 4_000_000, at_us: 1_100 },
            Use { pid: 7, percent: 50, at_us: u64::MAX },
        ];
        let until_us = newest(&[&before[..], &garbage[..]].concat(), 2_000);
        assert_eq!(until_us, 900);
        let mut seen = Seen { until_us, ..Seen::default() };
        let later = [Use { pid: 21, percent: 30, at_us: 1_200 }];
        seen.add_uses(&[&before[..], &garbage[..], &later[..]].concat(), 2_000);
        assert_eq!((seen.percent, seen.until_us), (BTreeMap::from([(21, 30)]), 1_200));
    }

    #[test]
    fn where_the_program_itself_is_not_known_nobody_is() {
        assert_eq!(others(&[710, 720], &[(710, 90), (720, 40)]), [0; 0]);
    }
}

//! What limits kernels whose spans declare no work: the counters of their device, where it has some.
//!
//! Counters tell of windows of a fifth of a second, in which hundreds of kernels run, of all kernels together. A window is that
//! of a *phase*: the innermost span, by its path and on whichever threads, whose kernels, with those of all spans inside it, run
//! in four fifths of it and of the lag before it, while those of others take no more than a tenth. What the windows of a phase
//! say holds for its kernels if they hold half of the time in which these run, and for spans inside it that have a quarter of
//! it. Where three quarters of that time reach 60 % of the memory's bandwidth the phase is limited by that; where they reach as
//! much of a unit that computes, by arithmetic. Misjudges: kernels of both sorts that take turns within windows reach neither.

use std::collections::BTreeMap;

use crate::analysis::roofline::{Abstained, Says};
use crate::analysis::subkind::Subkind;
use crate::kind::Kind;
use crate::machine::gpu::{LAG_NS, UNITS, Window};
use crate::profile::device::{Deed, Devices, Direction};
use crate::profile::{Profile, SiteIdx, SpanIdx};
use crate::report::model::{Evidence, Source};

use super::kernels::NEAR;
use super::stretches::Stretches;

/// The part of a window in which kernels of a phase run, at least.
const OF_WINDOW: f64 = 0.8;
/// The part of a window in which something else works on the device, at most.
const OF_OTHERS: f64 = 0.1;
/// Fewer windows say nothing.
const LEAST_WINDOWS: usize = 3;
/// The part of the time of a phase's kernels that its windows hold, at least.
const OF_KERNELS: f64 = 0.5;
/// The part of the time of a phase's kernels that a span inside it must have for what the phase says.
const OF_PHASE: f64 = 0.25;
/// The part of the time of a phase's windows that must say the same.
const MOST_WINDOWS: f64 = 0.75;
/// Less of a unit is nothing.
const LEAST_PART: f64 = 0.005;

/// A span by its sites, the outermost first: the same on each thread.
type Path = Vec<SiteIdx>;

/// What the counters of one device say of its phases.
#[derive(Debug, Default)]
pub(super) struct Phases(BTreeMap<(u32, Path), Phase>);

#[derive(Debug)]
struct Phase {
    counted: Counted,
    /// Time of the kernels of it, and of each span inside it that launches some, in ns.
    kernels_ns: u64,
    of_spans: BTreeMap<Path, u64>,
}

/// What the counters say of one phase: parts of what the device could do while kernels ran, 0 to 1, medians over the time of its
/// windows.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// Windows that are the phase's.
    pub windows: usize,
    /// Bandwidth of the device's memory.
    pub memory: f64,
    /// The unit that computes the most, and how much; `None` where none is counted.
    pub unit: Option<(&'static str, f64)>,
    /// Multiprocessors that have work; `None` where they are not counted.
    pub busy: Option<f64>,
    /// What limits its kernels.
    pub says: Says,
}

/// A window by the time in which kernels run: its parts, 0 to 1.
#[derive(Clone, Copy, Debug)]
struct Parts {
    /// Time of the window.
    ns: u64,
    memory: f64,
    busy: Option<f64>,
    units: [Option<f64>; UNITS.len()],
}

impl Parts {
    fn of(window: &Window, kernels: f64) -> Self {
        let part = |thousandths: u16| (f64::from(thousandths) / 1000.0 / kernels).min(1.0);
        Self {
            ns: window.ns(),
            memory: part(window.memory),
            busy: window.busy.map(part),
            units: window.units.map(|unit| unit.map(part)),
        }
    }

    fn reaches_memory(&self) -> bool {
        NEAR <= self.memory
    }

    fn reaches_units(&self) -> bool {
        self.units.into_iter().flatten().any(|part| NEAR <= part)
    }
}

impl Phases {
    /// By the windows of each device, whose number is given.
    pub(super) fn of<'w>(
        profile: &Profile,
        devices: &Devices,
        windows: impl Iterator<Item = (u32, &'w [Window])>,
    ) -> Self {
        let mut res = BTreeMap::new();
        for (device, windows) in windows.filter(|(_, windows)| LEAST_WINDOWS <= windows.len()) {
            let running = Running::of(profile, devices, device);
            let mut parts: BTreeMap<Path, (Vec<Parts>, u64)> = BTreeMap::new();
            for window in windows {
                if let Some((path, of_window, kernels_ns)) = running.phase(profile, window) {
                    let (all, ns) = parts.entry(path).or_default();
                    all.push(of_window);
                    *ns += kernels_ns;
                }
            }
            for (path, (all, counted_ns)) in parts {
                let (kernels_ns, of_spans) = running.within(&path);
                let is_most = kernels_ns as f64 * OF_KERNELS <= counted_ns as f64;
                if LEAST_WINDOWS <= all.len() && is_most {
                    let phase = Phase { counted: Counted::of(&all), kernels_ns, of_spans };
                    res.insert((device, path), phase);
                }
            }
        }
        Self(res)
    }

    /// The innermost phase that tells of the kernels of a span on a device, and the span that stands for it: itself, or one
    /// around it.
    pub(super) fn of_span(
        &self,
        profile: &Profile,
        device: u32,
        span: SpanIdx,
    ) -> Option<(SpanIdx, &Counted)> {
        let own = path_of(profile, span);
        around(profile, span).find_map(|span| {
            let phase = self.0.get(&(device, path_of(profile, span)))?;
            let ns = phase.of_spans.get(&own)?;
            let is_large = phase.kernels_ns as f64 * OF_PHASE <= *ns as f64;
            is_large.then_some((span, &phase.counted))
        })
    }
}

/// A span, and all around it.
fn around(profile: &Profile, span: SpanIdx) -> impl Iterator<Item = SpanIdx> + '_ {
    std::iter::successors(Some(span), |&span| profile.spans[span].parent)
}

fn path_of(profile: &Profile, span: SpanIdx) -> Path {
    let mut res: Path = around(profile, span).map(|span| profile.spans[span].site).collect();
    res.reverse();
    res
}

/// When kernels of one device run.
struct Running {
    /// By the path of the span that launched them; an empty one for none.
    by_path: BTreeMap<Path, Stretches>,
    kernels: Stretches,
    /// What else uses its memory; copies from and to the host hardly do.
    others: Stretches,
}

impl Running {
    fn of(profile: &Profile, devices: &Devices, device: u32) -> Self {
        let is_kernel = |deed: &Deed| matches!(deed, Deed::Kernel { .. } | Deed::Graph { .. });
        let uses_memory = |deed: &Deed| {
            let direction = Direction::DeviceToDevice;
            matches!(deed, Deed::Set { .. })
                || matches!(deed, Deed::Copy { direction: its, .. } if *its == direction)
        };
        let mut by_span: BTreeMap<Option<SpanIdx>, Vec<(u64, u64)>> = BTreeMap::new();
        let (mut kernels, mut others) = (Vec::new(), Vec::new());
        for work in devices.works.iter().filter(|it| it.stream.device == device) {
            let times = (work.when.start_ns, work.when.end_ns);
            if is_kernel(&work.deed) {
                kernels.push(times);
                by_span.entry(work.span).or_default().push(times);
            } else if uses_memory(&work.deed) {
                others.push(times);
            }
        }
        let mut by_path: BTreeMap<Path, Vec<(u64, u64)>> = BTreeMap::new();
        for (span, times) in by_span {
            let path = span.map(|span| path_of(profile, span)).unwrap_or_default();
            by_path.entry(path).or_default().extend(times);
        }
        Self {
            by_path: by_path.into_iter().map(|(path, all)| (path, Stretches::of(all))).collect(),
            kernels: Stretches::of(kernels),
            others: Stretches::of(others),
        }
    }

    /// The phase of a window, what of it counts for that, and for how long its kernels run in it, in ns.
    fn phase(&self, profile: &Profile, window: &Window) -> Option<(Path, Parts, u64)> {
        // What a window tells is of itself and of the lag before it.
        let from = window.from_ns.checked_sub(profile.start_ns.checked_add(LAG_NS)?)?;
        let until = window.until_ns.checked_sub(profile.start_ns)?;
        let part_of = |ns: u64| ns as f64 / until.saturating_sub(from).max(1) as f64;
        let part = |times: &Stretches| part_of(times.around(from, until).ns());
        let (kernels, others) = (part(&self.kernels), part(&self.others));
        if kernels < OF_WINDOW || OF_OTHERS < others {
            return None;
        }
        let there: Vec<(&Path, f64)> = self
            .by_path
            .iter()
            .map(|(path, times)| (path, part(times)))
            .filter(|(_, part)| 0.0 < *part)
            .collect();
        // From the outermost span inwards, along whatever has the most, as long as it fills the window and the rest does not.
        let mut phase: Option<Path> = None;
        loop {
            let begin = phase.clone().unwrap_or_default();
            let mut inner: BTreeMap<SiteIdx, f64> = BTreeMap::new();
            for (path, part) in there.iter().filter(|(path, _)| path.starts_with(&begin)) {
                if let Some(&next) = path.get(begin.len()) {
                    *inner.entry(next).or_default() += part;
                }
            }
            let Some((next, _)) = inner.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)) else {
                break;
            };
            let path: Path = begin.into_iter().chain([next]).collect();
            let (inside, outside): (Vec<_>, Vec<_>) =
                there.iter().partition(|(other, _)| other.starts_with(&path));
            let outside: f64 = outside.into_iter().map(|(_, part)| part).sum();
            // Its own kernels may overlap; of the others all are taken to be one after the other.
            let inside = part(&Stretches::of(inside.into_iter().flat_map(|(path, _)| {
                self.by_path[path].around(from, until).iter().collect::<Vec<_>>()
            })));
            if inside < OF_WINDOW || OF_OTHERS < outside + others {
                break;
            }
            phase = Some(path);
        }
        let path = phase?;
        let own = self.by_path.iter().filter(|(other, _)| other.starts_with(&path));
        let ns = own.map(|(_, times)| times.around(from + LAG_NS, until).ns()).sum();
        Some((path, Parts::of(window, kernels), ns))
    }

    /// Time of all kernels of a phase, and of each path inside it that launches some, in ns.
    fn within(&self, phase: &Path) -> (u64, BTreeMap<Path, u64>) {
        let inside = self.by_path.iter().filter(|(path, _)| path.starts_with(phase));
        let of_spans: BTreeMap<Path, u64> =
            inside.map(|(path, times)| (path.clone(), times.ns())).collect();
        (of_spans.values().sum(), of_spans)
    }
}

impl Counted {
    fn of(all: &[Parts]) -> Self {
        let whole: u64 = all.iter().map(|it| it.ns).sum();
        // Half of the time had less, half had more. Nothing where some windows do not say.
        let median = |of: &dyn Fn(&Parts) -> Option<f64>| {
            let mut values: Vec<(f64, u64)> =
                all.iter().map(|it| Some((of(it)?, it.ns))).collect::<Option<_>>()?;
            values.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut so_far = 0;
            let middle = values.iter().find(|(_, ns)| {
                so_far += ns;
                whole <= 2 * so_far
            });
            middle.map(|(value, _)| *value)
        };
        let units = UNITS.iter().enumerate();
        let units: Vec<(&'static str, f64)> =
            units.filter_map(|(at, name)| Some((*name, median(&|it| it.units[at])?))).collect();
        let knows_all = units.len() == UNITS.len();
        let unit = units.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let memory = median(&|it| Some(it.memory)).unwrap_or_default();
        let most = |is: fn(&Parts) -> bool| {
            let ns: u64 = all.iter().filter(|it| is(it)).map(|it| it.ns).sum();
            MOST_WINDOWS <= ns as f64 / whole.max(1) as f64
        };
        let says = match (most(Parts::reaches_memory), most(Parts::reaches_units)) {
            (true, true) => Says::Nothing(Abstained::BothNear),
            (false, true) => Says::Bound(Kind::Compute, Subkind::DeviceArithmetic),
            // A unit that nobody counts may be the one.
            (true, false) if knows_all => Says::Bound(Kind::Memory, Subkind::DeviceBandwidth),
            (_, false) if !knows_all => Says::Nothing(Abstained::NoCeiling),
            (_, false) if memory.max(unit.map_or(0.0, |unit| unit.1)) < NEAR => {
                Says::Nothing(Abstained::BothFar)
            }
            (_, false) => Says::Nothing(Abstained::Between),
        };
        Self { windows: all.len(), memory, unit, busy: median(&|it| it.busy), says }
    }

    /// What was counted, each part in percent of what the device could do.
    pub(in crate::analysis) fn evidence(&self) -> Vec<Evidence> {
        let one = |what: String, part: f64| Evidence {
            what,
            value: (100.0 * part).round(),
            unit: "%".to_owned(),
            of: None,
            source: Source::Counter,
        };
        let memory =
            format!("device memory bandwidth in use, by {} windows of its counters", self.windows);
        let unit = self.unit.map(|unit| match unit {
            (name, part) if LEAST_PART <= part => one(format!("{name} in use, by the same"), part),
            _ => one("any unit that computes in use, by the same".to_owned(), 0.0),
        });
        let busy = self.busy.map(|part| one("multiprocessors with work".to_owned(), part));
        [Some(one(memory, self.memory)), unit, busy].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests;

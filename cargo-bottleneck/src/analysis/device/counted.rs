//! What limits kernels whose spans declare no work: the counters of their device, where it has some.
//!
//! Counters tell of windows of a tenth of a second, in which hundreds of kernels run. A window is that of a *phase*: the
//! innermost span (by its place in the code, on whichever thread) whose kernels, with those of all spans inside it, run in
//! four fifths of it. What its windows say holds for all kernels of a phase together. Where three quarters of them reach
//! 60 % of the memory's bandwidth the phase is limited by that; where they reach as much of a unit that computes, by
//! arithmetic. Misjudges: a phase in which kernels of both sorts take turns within a window, which reaches neither.

use std::collections::BTreeMap;

use crate::analysis::roofline::{Abstained, Says};
use crate::analysis::subkind::Subkind;
use crate::kind::Kind;
use crate::machine::gpu::{UNITS, Window};
use crate::profile::device::{Deed, Devices, Direction};
use crate::profile::{Profile, SiteIdx, SpanIdx};
use crate::report::model::{Evidence, Source};

use super::kernels::NEAR;
use super::stretches::Stretches;

/// The part of a window in which kernels of a phase run, at least.
const OF_WINDOW: f64 = 0.8;
/// The part of a window in which something else works on the device's memory, at most.
const OF_OTHERS: f64 = 0.1;
/// Fewer windows say nothing.
const LEAST_WINDOWS: usize = 3;
/// The part of a phase's windows that must say the same.
const MOST_WINDOWS: f64 = 0.75;

/// Less is nothing.
const LEAST_PART: f64 = 0.005;

/// What the counters say of one phase: parts of what the device could do while kernels ran, 0 to 1, medians over its windows.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// Windows that are the phase's.
    pub windows: usize,
    /// Bandwidth of the device's memory.
    pub memory: f64,
    /// The unit that computes the most, and how much.
    pub unit: (&'static str, f64),
    /// Multiprocessors that have work.
    pub busy: f64,
    /// What limits its kernels.
    pub says: Says,
}

/// A window by the time in which kernels run: its parts, 0 to 1.
#[derive(Clone, Copy, Debug)]
struct Parts {
    memory: f64,
    busy: f64,
    units: [f64; UNITS.len()],
}

impl Parts {
    fn of(window: &Window, kernels: f64) -> Self {
        let part = |thousandths: u16| (f64::from(thousandths) / 1000.0 / kernels).min(1.0);
        Self { memory: part(window.memory), busy: part(window.busy), units: window.units.map(part) }
    }

    fn most_of_units(&self) -> f64 {
        self.units.into_iter().fold(0.0, f64::max)
    }
}

/// What counters say of phases; `windows` are those of one device, whose number is given.
pub(super) fn phases<'w>(
    profile: &Profile,
    devices: &Devices,
    windows: impl Iterator<Item = (u32, &'w [Window])>,
) -> BTreeMap<SiteIdx, Counted> {
    let mut parts: BTreeMap<SiteIdx, Vec<Parts>> = BTreeMap::new();
    for (device, windows) in windows.filter(|(_, windows)| LEAST_WINDOWS <= windows.len()) {
        let running = Running::of(devices, device);
        for window in windows {
            if let Some((site, of_window)) = running.phase(profile, window) {
                parts.entry(site).or_default().push(of_window);
            }
        }
    }
    parts.retain(|_, all| LEAST_WINDOWS <= all.len());
    parts.into_iter().map(|(site, all)| (site, Counted::of(&all))).collect()
}

/// The innermost phase that a span belongs to, and the span that stands for it: itself, or one around it.
pub(super) fn phase_of<'p>(
    profile: &Profile,
    phases: &'p BTreeMap<SiteIdx, Counted>,
    span: SpanIdx,
) -> Option<(SpanIdx, &'p Counted)> {
    around(profile, span).find_map(|span| Some((span, phases.get(&profile.spans[span].site)?)))
}

/// A span, and all around it.
fn around(profile: &Profile, span: SpanIdx) -> impl Iterator<Item = SpanIdx> + '_ {
    std::iter::successors(Some(span), |&span| profile.spans[span].parent)
}

/// When kernels of one device run.
struct Running {
    by_span: BTreeMap<SpanIdx, Stretches>,
    kernels: Stretches,
    /// What else uses its memory; copies from and to the host hardly do.
    others: Stretches,
}

impl Running {
    fn of(devices: &Devices, device: u32) -> Self {
        let of_device = || devices.works.iter().filter(|it| it.stream.device == device);
        let is_kernel = |deed: &Deed| matches!(deed, Deed::Kernel { .. } | Deed::Graph { .. });
        let uses_memory = |deed: &Deed| {
            let direction = Direction::DeviceToDevice;
            matches!(deed, Deed::Set { .. })
                || matches!(deed, Deed::Copy { direction: its, .. } if *its == direction)
        };
        let mut by_span: BTreeMap<SpanIdx, Vec<(u64, u64)>> = BTreeMap::new();
        let (mut kernels, mut others) = (Vec::new(), Vec::new());
        for work in of_device() {
            let times = (work.when.start_ns, work.when.end_ns);
            if is_kernel(&work.deed) {
                kernels.push(times);
                if let Some(span) = work.span {
                    by_span.entry(span).or_default().push(times);
                }
            } else if uses_memory(&work.deed) {
                others.push(times);
            }
        }
        Self {
            by_span: by_span.into_iter().map(|(span, all)| (span, Stretches::of(all))).collect(),
            kernels: Stretches::of(kernels),
            others: Stretches::of(others),
        }
    }

    /// The phase of a window, and what of it counts for that.
    fn phase(&self, profile: &Profile, window: &Window) -> Option<(SiteIdx, Parts)> {
        let from = window.from_ns.checked_sub(profile.start_ns)?;
        let until = window.until_ns.checked_sub(profile.start_ns)?;
        let part = |times: &Stretches| {
            times.around(from, until).ns() as f64 / until.saturating_sub(from).max(1) as f64
        };
        let kernels = part(&self.kernels);
        if kernels < OF_WINDOW || OF_OTHERS < part(&self.others) {
            return None;
        }
        // By site: how much of the window its kernels take, and how deep it is.
        let mut sites: BTreeMap<SiteIdx, (f64, usize)> = BTreeMap::new();
        for (&span, times) in &self.by_span {
            let of_span = part(times);
            if of_span == 0.0 {
                continue;
            }
            let path: Vec<SpanIdx> = around(profile, span).collect();
            let mut seen = Vec::with_capacity(path.len());
            for (outer, &span) in path.iter().rev().enumerate() {
                let site = profile.spans[span].site;
                // A function that calls itself counts once.
                if !seen.contains(&site) {
                    seen.push(site);
                    let sum = sites.entry(site).or_insert((0.0, outer));
                    *sum = (sum.0 + of_span, sum.1.max(outer));
                }
            }
        }
        let whole = sites.into_iter().filter(|(_, (of_window, _))| OF_WINDOW <= *of_window);
        let (site, _) = whole.max_by_key(|(_, (_, depth))| *depth)?;
        Some((site, Parts::of(window, kernels)))
    }
}

impl Counted {
    fn of(all: &[Parts]) -> Self {
        let median = |of: &dyn Fn(&Parts) -> f64| {
            let mut values: Vec<f64> = all.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        let units = UNITS.iter().enumerate();
        let units = units.map(|(at, name)| (*name, median(&|it| it.units[at])));
        let unit = units.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(("units", 0.0));
        let memory = median(&|it| it.memory);
        let most = |is: &dyn Fn(&Parts) -> bool| {
            MOST_WINDOWS <= all.iter().filter(|it| is(it)).count() as f64 / all.len().max(1) as f64
        };
        let reaches_memory = most(&|it| NEAR <= it.memory);
        let reaches_units = most(&|it| NEAR <= it.most_of_units());
        let says = match (reaches_memory, reaches_units) {
            (true, true) => Says::Nothing(Abstained::BothNear),
            (true, false) => Says::Bound(Kind::Memory, Subkind::DeviceBandwidth),
            (false, true) => Says::Bound(Kind::Compute, Subkind::DeviceArithmetic),
            (false, false) if memory.max(unit.1) < NEAR => Says::Nothing(Abstained::BothFar),
            (false, false) => Says::Nothing(Abstained::Between),
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
        let windows = self.windows;
        vec![
            one(
                format!("of the bandwidth of its memory, by {windows} windows of its counters"),
                self.memory,
            ),
            match self.unit {
                (name, part) if LEAST_PART <= part => {
                    one(format!("of its {name}, by the same"), part)
                }
                _ => one("of any of its units that compute, by the same".to_owned(), 0.0),
            },
            one("of its multiprocessors have work".to_owned(), self.busy),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::device::fixture::Drawing;
    use crate::profile::RowIdx as _;
    use crate::profile::builder::ProfileBuilder;

    const MS: u64 = 1_000_000;

    /// `token` with `attention` and `mlp` inside.
    fn profile() -> Profile {
        ProfileBuilder::new(900 * MS)
            .span("token", 0..900 * MS, |token| {
                token.span("attention", 0..MS, |_| ());
                token.span("mlp", MS..2 * MS, |_| ());
            })
            .build()
    }

    fn span(at: usize) -> SpanIdx {
        SpanIdx::from_position(at)
    }

    /// Windows of 100 ms, one behind the other, with the memory and the f32 units in use in thousandths.
    fn windows(profile: &Profile, parts: &[(u16, u16)]) -> Vec<Window> {
        let window = |(at, &(memory, units)): (u64, &(u16, u16))| Window {
            from_ns: profile.start_ns + 100 * MS * at,
            until_ns: profile.start_ns + 100 * MS * (at + 1),
            memory,
            busy: 900,
            units: [0, 0, units, 0, 0],
        };
        (0..).zip(parts).map(window).collect()
    }

    fn of(profile: &Profile, drawing: &Drawing, parts: &[(u16, u16)]) -> Vec<(String, Says)> {
        let windows = windows(profile, parts);
        let all = [(0, windows.as_slice())];
        let phases = phases(profile, &drawing.devices(), all.into_iter());
        let name = |site: SiteIdx| profile.sites[site].name.clone();
        phases.into_iter().map(|(site, counted)| (name(site), counted.says)).collect()
    }

    fn launch(drawing: Drawing, of: SpanIdx, from_ms: u64, until_ms: u64) -> Drawing {
        let at = from_ms * MS;
        drawing.launch(1, at..at + 1000, "k", 7, at + 1000..until_ms * MS).in_span(of)
    }

    const MEMORY: Says = Says::Bound(Kind::Memory, Subkind::DeviceBandwidth);
    const COMPUTE: Says = Says::Bound(Kind::Compute, Subkind::DeviceArithmetic);

    #[test]
    fn spans_that_fill_windows_are_phases_of_their_own() {
        // device   |--attention--|--mlp--|
        // windows  | A | A | A   | B | B | B |    A: 85 % of the memory, B: 90 % of the f32 units
        let profile = profile();
        let drawing = launch(launch(Drawing::new(), span(1), 0, 300), span(2), 300, 600);
        let (a, b) = ((850, 50), (100, 900));
        let found = of(&profile, &drawing, &[a, a, a, b, b, b]);
        assert_eq!(found, [("attention".to_owned(), MEMORY), ("mlp".to_owned(), COMPUTE)]);
    }

    #[test]
    fn spans_that_take_turns_within_windows_are_one_phase() {
        // device   |at|mlp|at|mlp| ...      50 ms each
        let profile = profile();
        let turns = (0..6).fold(Drawing::new(), |drawing, at| {
            launch(drawing, span(1 + at % 2), 50 * at as u64, 50 * at as u64 + 50)
        });
        let found = of(&profile, &turns, &[(700, 100); 3]);
        assert_eq!(found, [("token".to_owned(), MEMORY)]);
        let mixed = of(&profile, &turns, &[(450, 450); 3]);
        assert_eq!(mixed, [("token".to_owned(), Says::Nothing(Abstained::BothFar))]);
        assert_eq!(of(&profile, &turns, &[(700, 100); 2]), [], "too few");
    }

    #[test]
    fn windows_in_which_the_device_idles_say_nothing() {
        // device   |--|   |--|   |--|      60 of 100 ms
        let profile = profile();
        let drawing = [0, 100, 200]
            .into_iter()
            .fold(Drawing::new(), |drawing, at| launch(drawing, span(1), at, at + 60));
        assert_eq!(of(&profile, &drawing, &[(550, 10); 3]), []);
        // 90 of 100: what is counted is of the time in which kernels run.
        let drawing = [0, 100, 200]
            .into_iter()
            .fold(Drawing::new(), |drawing, at| launch(drawing, span(1), at, at + 90));
        assert_eq!(of(&profile, &drawing, &[(550, 10); 3]), [("attention".to_owned(), MEMORY)]);
    }

    #[test]
    fn a_window_that_says_something_else_now_and_then_does_not_matter() {
        let profile = profile();
        let drawing = launch(Drawing::new(), span(1), 0, 800);
        let mut parts = [(800, 10); 8];
        parts[3] = (100, 10);
        assert_eq!(of(&profile, &drawing, &parts), [("attention".to_owned(), MEMORY)]);
        parts[4] = (100, 10);
        parts[5] = (100, 10);
        let between = Says::Nothing(Abstained::Between);
        assert_eq!(of(&profile, &drawing, &parts), [("attention".to_owned(), between)]);
    }

    #[test]
    fn a_span_is_of_the_innermost_phase_around_it() {
        let profile = profile();
        let drawing = launch(Drawing::new(), span(1), 0, 300);
        let windows = windows(&profile, &[(850, 50); 3]);
        let phases = phases(&profile, &drawing.devices(), [(0, windows.as_slice())].into_iter());
        let found = phase_of(&profile, &phases, span(1)).unwrap();
        assert_eq!((found.0, found.1.windows), (span(1), 3));
        assert_eq!(found.1.evidence()[0].value.to_bits(), 85.0_f64.to_bits());
        assert!(phase_of(&profile, &phases, span(2)).is_none());
    }
}

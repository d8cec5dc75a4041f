//! Whether times of a device are the program's own: what the driver said of the device meanwhile.

use crate::machine::gpu::{Conditions, LAG_NS, UNITS, Window};
use crate::number::percent;
use crate::profile::device::DeviceFacts;
use crate::report::model::gpu::{Counters, Unit};

use super::timeline::Timeline;

/// Held back for less than this part of the looks, a device is still what it is.
const LEAST: f64 = 0.2;
/// Fewer looks say nothing.
const LEAST_LOOKS: u32 = 3;

/// The conditions of a device.
pub(super) fn of<'c>(device: &DeviceFacts, all: &'c [Conditions]) -> Option<&'c Conditions> {
    let place = |name: &str| u32::try_from(*device.attributes.get(name)?).ok();
    let pci = [place("pci_domain")?, place("pci_bus")?, place("pci_device")?];
    all.iter().find(|it| it.pci == pci)
}

/// Who else computed on the device: a sentence for each.
pub(super) fn others(device: u32, seen: &Conditions) -> impl Iterator<Item = String> {
    seen.others.iter().map(move |other| {
        format!(
            "another process ({}) computed on device {device} meanwhile, for up to {} % of the time: times are not those of this \
             program alone",
            other.pid, other.percent
        )
    })
}

/// What kept the device below its clock, so that its kernels cannot be held against what it reaches.
pub(super) fn held_back(device: u32, seen: &Conditions) -> Option<String> {
    let part = |looks: u32| f64::from(looks) / f64::from(seen.looks.max(1));
    let (what, looks) = [("the limit of its power", seen.power), ("its heat", seen.heat)]
        .into_iter()
        .max_by_key(|(_, looks)| *looks)?;
    (LEAST_LOOKS <= seen.looks && LEAST <= part(looks)).then(|| {
        format!(
            "device {device} was kept below its clock by {what} in {} of {} looks: what its kernels would reach is not known",
            percent(part(looks)),
            seen.looks
        )
    })
}

/// What was counted from a device's first work to its last; why nothing was, or `None` where nobody knows.
pub(super) fn counters(
    seen: &Conditions,
    timeline: &Timeline,
    start_ns: u64,
) -> Option<Result<Counters, String>> {
    if let Some(why) = &seen.not_counted {
        return Some(Err(why.clone()));
    }
    // What a window tells may be of the time before it.
    let from_ns = start_ns + timeline.segments.first()?.start_ns + LAG_NS;
    let until_ns = start_ns + timeline.segments.last()?.end_ns;
    let windows: Vec<&Window> =
        seen.windows.iter().filter(|it| from_ns <= it.from_ns && it.until_ns <= until_ns).collect();
    let ns: u64 = windows.iter().map(|it| it.ns()).sum();
    if ns == 0 {
        return Some(Err("it was in use for less time than its counters need".to_owned()));
    }
    // Nothing where some windows do not say.
    let mean = |of: &dyn Fn(&Window) -> Option<u16>| {
        let one = |it: &&Window| Some(f64::from(of(it)?) / 1e3 * it.ns() as f64);
        let sum: f64 = windows.iter().map(one).sum::<Option<f64>>()?;
        Some(sum / ns as f64)
    };
    let unit = |(at, name): (usize, &&str)| {
        let share = mean(&|it| it.units[at])?;
        Some(Unit { name: (*name).to_owned(), share })
    };
    let mut units: Vec<Unit> = UNITS.iter().enumerate().filter_map(unit).collect();
    units.sort_by(|a, b| b.share.total_cmp(&a.share));
    let memory = mean(&|it| Some(it.memory)).unwrap_or_default();
    let busy = mean(&|it| it.busy);
    Some(Ok(Counters { windows: windows.len() as u64, ns, memory, busy, units }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::gpu::Other;

    #[test]
    fn a_device_is_found_by_its_place_on_the_bus() {
        let seen = [0x17, 0x18].map(|bus| Conditions { pci: [0, bus, 0], ..Conditions::default() });
        let attributes = [("pci_domain", 0), ("pci_bus", 0x18), ("pci_device", 0)];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value)).into();
        let facts = DeviceFacts { attributes, ..DeviceFacts::default() };
        assert_eq!(of(&facts, &seen), Some(&seen[1]));
        assert_eq!(of(&DeviceFacts::default(), &seen), None);
    }

    #[test]
    fn a_limit_that_holds_for_a_while_is_told() {
        let seen = |looks, power| Conditions { looks, power, ..Conditions::default() };
        assert_eq!(held_back(0, &seen(10, 1)), None);
        assert_eq!(held_back(0, &seen(2, 2)), None, "too few");
        assert!(held_back(0, &seen(10, 5)).is_some_and(|why| why.contains("power in 50% of 10")));
    }

    #[test]
    fn windows_count_while_the_device_is_in_use() {
        use crate::analysis::device::timeline::{Segment, State};
        use crate::profile::device::WorkIdx;

        // in use    |----------|          from 100 to 300 ms, in a recording that began at 1 s; what is told lags by 100 ms
        // windows |--A--|--B--|--C--|
        const MS: u64 = 1_000_000;
        let window = |from_ms: u64, memory| Window {
            from_ns: from_ms * MS,
            until_ns: (from_ms + 90) * MS,
            memory,
            units: [Some(300), None, Some(0), None, None],
            ..Window::default()
        };
        let windows = vec![window(1110, 900), window(1205, 400), window(1300, 900)];
        let seen = Conditions { windows, ..Conditions::default() };
        let segment =
            Segment { start_ns: 100 * MS, end_ns: 300 * MS, state: State::Runs(WorkIdx(0)) };
        let timeline = Timeline { device: 0, segments: vec![segment] };
        let counted = counters(&seen, &timeline, 1000 * MS).unwrap().unwrap();
        assert_eq!((counted.windows, counted.ns), (1, 90 * MS));
        assert!((counted.memory - 0.4).abs() < 1e-9);
        let units = counted.units.iter().map(|it| it.name.as_str());
        assert_eq!(units.collect::<Vec<_>>(), ["matrix units", "f32 units"], "the rest is unknown");
        assert_eq!(counted.busy, None);
        let not_counted = Some("no".to_owned());
        let refused = Conditions { not_counted, ..Conditions::default() };
        assert_eq!(counters(&refused, &timeline, 0).unwrap().unwrap_err(), "no");
        assert!(counters(&Conditions::default(), &timeline, 0).unwrap().is_err(), "too short");
    }

    #[test]
    fn neighbors_are_named() {
        let others = vec![Other { pid: 4242, percent: 40 }];
        let seen = Conditions { others, ..Conditions::default() };
        assert!(super::others(0, &seen).next().unwrap().contains("(4242)"));
    }
}

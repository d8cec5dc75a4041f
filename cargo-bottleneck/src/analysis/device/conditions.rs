//! Whether times of a device are the program's own: what the driver said of the device meanwhile.

use crate::machine::gpu::Conditions;
use crate::number::percent;
use crate::profile::device::DeviceFacts;

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
    fn neighbors_are_named() {
        let others = vec![Other { pid: 4242, percent: 40 }];
        let seen = Conditions { others, ..Conditions::default() };
        assert!(super::others(0, &seen).next().unwrap().contains("(4242)"));
    }
}

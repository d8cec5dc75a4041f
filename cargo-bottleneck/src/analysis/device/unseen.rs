//! Devices that a program used while nothing of them was recorded: what the host then does in their driver, or waits for without a
//! reason of its own, may be their time.

use std::borrow::Cow;

use crate::analysis::cause::Cause;
use crate::analysis::subkind::Subkind;
use crate::profile::{Capability, Profile};

/// Whether this file is the driver of devices, or a library that only calls it. The last one is the simulated driver's.
pub(in crate::analysis) fn is_driver(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let library = name.split_once(".so").map_or("", |(library, _)| library);
    ["libcuda", "libcudart", "libcuda_sim"].contains(&library)
}

fn capability<'p>(profile: &'p Profile, name: &str) -> Option<&'p Capability> {
    profile.capabilities.iter().find(|it| it.name == name)
}

/// Nobody asked what devices do, and the program has loaded their driver.
fn was_not_asked(profile: &Profile) -> bool {
    let maps = profile.sampling.iter().flat_map(|it| &it.code.maps);
    capability(profile, "gpu_activity").is_none() && maps.into_iter().any(|it| is_driver(&it.path))
}

/// Why nothing was recorded; `None` where everything was, or the program has no driver of devices.
pub(in crate::analysis) fn reason(profile: &Profile) -> Option<Cow<'_, str>> {
    if was_not_asked(profile) {
        return Some(
            "the runtime was built without its feature `cuda`, and the program was run without `--gpu`".into(),
        );
    }
    let activity = capability(profile, "gpu_activity").filter(|it| !it.is_available)?;
    Some(activity.reason.as_str().into())
}

/// A device was used, and nothing of it recorded but times of streams.
pub(in crate::analysis) fn is_used(profile: &Profile) -> bool {
    let is_used = capability(profile, "gpu_used").is_some_and(|it| it.is_available);
    was_not_asked(profile) || is_used && reason(profile).is_some()
}

/// A wait as a driver makes it: it sleeps and looks again, asks the kernel for an event, or makes a call that tells nothing.
pub(in crate::analysis) fn may_be(subkind: Option<Subkind>, cause: Option<Cause>) -> bool {
    let is_as_drivers_wait =
        matches!(cause, None | Some(Cause::Timer | Cause::Events | Cause::Unknown));
    is_as_drivers_wait && subkind != Some(Subkind::Asserted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Sampling;
    use crate::profile::builder::ProfileBuilder;
    use crate::profile::sampling::Mapping;

    fn profile(capabilities: &[(&str, &str)], library: &str) -> Profile {
        let mut res = ProfileBuilder::new(1_000_000).build();
        let one = |&(name, reason): &(&str, &str)| Capability {
            name: name.to_owned(),
            is_available: reason.is_empty(),
            reason: reason.to_owned(),
        };
        res.capabilities = capabilities.iter().map(one).collect();
        let map = Mapping { start: 0x1000, end: 0x2000, offset: 0, path: library.to_owned() };
        let mut sampling = Sampling::default();
        sampling.code.maps.push(map);
        res.sampling = Some(sampling);
        res
    }

    #[test]
    fn a_device_is_unseen_where_it_is_used_and_nothing_tells() {
        let driver = "/usr/lib/libcuda.so.535.54";
        assert!(is_used(&profile(&[("gpu_activity", "no CUPTI"), ("gpu_used", "")], driver)));
        assert!(!is_used(&profile(&[("gpu_activity", "no CUPTI")], driver)), "it may use none");
        assert!(!is_used(&profile(&[("gpu_activity", ""), ("gpu_used", "")], driver)), "recorded");
    }

    #[test]
    fn a_program_that_was_not_asked_has_the_driver_or_no_device() {
        let unasked = profile(&[], "/usr/lib/libcuda.so.1");
        assert!(is_used(&unasked) && reason(&unasked).unwrap().contains("--gpu"));
        let without = profile(&[], "/usr/lib/libc.so.6");
        assert!(!is_used(&without) && reason(&without).is_none());
    }

    #[test]
    fn libraries_of_the_program_are_no_driver() {
        assert!(is_driver("/usr/lib/x86_64-linux-gnu/libcuda.so.535.54.03"));
        assert!(is_driver("/opt/cuda/lib64/libcudart.so.12"));
        assert!(!is_driver("/app/libcuda_kernels.so") && !is_driver("/app/libcudaq.so.1"));
        assert!(!is_driver("/app/libcuda") && !is_driver("[vdso]"));
    }

    #[test]
    fn what_a_driver_does_not_do_keeps_its_reason() {
        assert!(may_be(Some(Subkind::Timer), Some(Cause::Timer)) && may_be(None, None));
        assert!(!may_be(Some(Subkind::Lock), Some(Cause::Lock)));
        assert!(!may_be(Some(Subkind::Disk), Some(Cause::File)));
        assert!(!may_be(Some(Subkind::Asserted), None), "the program says what it is");
    }
}

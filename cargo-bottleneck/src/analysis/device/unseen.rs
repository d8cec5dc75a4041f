//! Devices that a program used while nothing of them could be recorded: what the host then does in their driver, or waits for
//! without a reason of its own, may be their time.

use crate::analysis::cause::Cause;
use crate::analysis::subkind::Subkind;
use crate::profile::{Capability, Profile};

fn capability<'p>(profile: &'p Profile, name: &str) -> Option<&'p Capability> {
    profile.capabilities.iter().find(|it| it.name == name)
}

/// Why nothing was recorded; `None` where everything was, or there was nothing to ask.
pub(in crate::analysis) fn reason(profile: &Profile) -> Option<&str> {
    let activity = capability(profile, "gpu_activity").filter(|it| !it.is_available)?;
    Some(&activity.reason)
}

/// A device was used, and nothing of it recorded but times of streams.
pub(in crate::analysis) fn is_used(profile: &Profile) -> bool {
    let is_used = capability(profile, "gpu_used").is_some_and(|it| it.is_available);
    is_used && reason(profile).is_some()
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
    use crate::profile::builder::ProfileBuilder;

    fn profile(capabilities: &[(&str, &str)]) -> Profile {
        let mut res = ProfileBuilder::new(1_000_000).build();
        let one = |&(name, reason): &(&str, &str)| Capability {
            name: name.to_owned(),
            is_available: reason.is_empty(),
            reason: reason.to_owned(),
        };
        res.capabilities = capabilities.iter().map(one).collect();
        res
    }

    #[test]
    fn a_device_is_unseen_where_it_is_used_and_nothing_tells() {
        assert!(is_used(&profile(&[("gpu_activity", "no CUPTI"), ("gpu_used", "")])));
        assert!(!is_used(&profile(&[("gpu_activity", "no CUPTI")])), "the program may use none");
        assert!(!is_used(&profile(&[("gpu_activity", ""), ("gpu_used", "")])), "all is recorded");
        assert!(!is_used(&profile(&[])));
    }

    #[test]
    fn what_a_driver_does_not_do_keeps_its_reason() {
        assert!(may_be(Some(Subkind::Timer), Some(Cause::Timer)) && may_be(None, None));
        assert!(!may_be(Some(Subkind::Lock), Some(Cause::Lock)));
        assert!(!may_be(Some(Subkind::Disk), Some(Cause::File)));
        assert!(!may_be(Some(Subkind::Asserted), None), "the program says what it is");
    }
}

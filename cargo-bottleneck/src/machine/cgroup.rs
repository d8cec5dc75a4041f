//! How much CPU time the control group grants, in version 1 and 2 of the hierarchy.
//!
//! Reads `/proc/self` and the mounted hierarchies; the parsers are pure. A quota that cannot be read counts as none.

use std::fs;
use std::path::{Path, PathBuf};

/// The smallest quota on the way from this process's group to the root, in CPUs; `None` where none is set.
pub(super) fn quota() -> Option<f64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let unified = group_of(&groups, "").zip(mount_of(&mounts, "cgroup2", ""));
    let version1 = group_of(&groups, "cpu").zip(mount_of(&mounts, "cgroup", "cpu"));
    let least = |found: Option<(&str, Mount<'_>)>, read: fn(&Path) -> Option<f64>| {
        found.and_then(|(group, mount)| {
            mount.folders(group).iter().filter_map(|f| read(f)).reduce(f64::min)
        })
    };
    let quotas = [least(unified, quota_v2), least(version1, quota_v1)];
    quotas.into_iter().flatten().reduce(f64::min)
}

fn quota_v2(folder: &Path) -> Option<f64> {
    parse_v2(&fs::read_to_string(folder.join("cpu.max")).ok()?)
}

fn quota_v1(folder: &Path) -> Option<f64> {
    let field = |name: &str| fs::read_to_string(folder.join(name)).ok();
    parse_v1(&field("cpu.cfs_quota_us")?, &field("cpu.cfs_period_us")?)
}

/// `cpu.max`: the quota, or `max`, and the period, both in microseconds.
fn parse_v2(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    parse_v1(quota, period)
}

/// A quota of -1 is none.
fn parse_v1(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (i64, i64) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

/// The group of this process under `controller`; the empty name is the hierarchy of version 2.
fn group_of<'a>(groups: &'a str, controller: &str) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        controllers.split(',').any(|c| c == controller).then_some(group)
    })
}

/// Where a hierarchy, or a part of it, is mounted.
#[derive(Debug, PartialEq)]
struct Mount<'a> {
    /// The group that is seen at `at`.
    root: &'a str,
    at: &'a str,
}

impl Mount<'_> {
    /// The folders of `group` and of the groups around it, as far as they are mounted.
    fn folders(&self, group: &str) -> Vec<PathBuf> {
        let mount = Path::new(self.at);
        // A group outside what is mounted (a container without an own name space): the root is what is known.
        let inside = Path::new(group).strip_prefix(self.root).unwrap_or(Path::new(""));
        inside.ancestors().map(|folder| mount.join(folder)).collect()
    }
}

/// The first mount of type `kind` in `mountinfo` whose options name `controller`, where one is given.
fn mount_of<'a>(mountinfo: &'a str, kind: &str, controller: &str) -> Option<Mount<'a>> {
    mountinfo.lines().find_map(|line| {
        let (place, source) = line.split_once(" - ")?;
        let mut source = source.split(' ');
        let (found, options) = (source.next()?, source.nth(1)?);
        let mut place = place.split(' ').skip(3);
        let mount = Mount { root: place.next()?, at: place.next()? };
        let matches =
            found == kind && (controller.is_empty() || options.split(',').any(|o| o == controller));
        matches.then_some(mount)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_in_cpus() {
        assert_eq!(parse_v2("max 100000\n"), None);
        assert_eq!(parse_v2("150000 100000\n"), Some(1.5));
        assert_eq!(parse_v1("-1\n", "100000\n"), None);
        assert_eq!(parse_v1("50000\n", "100000\n"), Some(0.5));
        assert_eq!(parse_v1("50000\n", "0\n"), None);
        assert_eq!(parse_v2(""), None);
    }

    #[test]
    fn the_group_is_found_in_both_versions() {
        let text = "4:memory:/a\n3:cpu,cpuacct:/docker/b\n2:cpuset:/c\n0::/user.slice/d:e\n";
        assert_eq!(group_of(text, "cpu"), Some("/docker/b"));
        assert_eq!(group_of(text, ""), Some("/user.slice/d:e"));
        assert_eq!(group_of("4:memory:/a\n", "cpu"), None);
    }

    #[test]
    fn mounts_are_found_by_kind_and_controller() {
        let text = "25 1 0:23 / /sys/fs/cgroup/memory rw shared:1 - cgroup cgroup rw,memory\n\
                    26 1 0:24 /docker/b /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                    27 1 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(
            mount_of(text, "cgroup", "cpu"),
            Some(Mount { root: "/docker/b", at: "/sys/fs/cgroup/cpu" })
        );
        assert_eq!(
            mount_of(text, "cgroup2", ""),
            Some(Mount { root: "/", at: "/sys/fs/cgroup/unified" })
        );
        assert_eq!(mount_of(text, "cgroup", "cpuset"), None);
    }

    #[test]
    fn every_group_up_to_the_mount_counts() {
        let mount = Mount { root: "/docker", at: "/sys/fs/cgroup/cpu" };
        let folders = mount.folders("/docker/a/b");
        let expected = ["/sys/fs/cgroup/cpu/a/b", "/sys/fs/cgroup/cpu/a", "/sys/fs/cgroup/cpu/"];
        assert_eq!(folders, expected.map(PathBuf::from));
        assert_eq!(mount.folders("/elsewhere"), [PathBuf::from("/sys/fs/cgroup/cpu/")]);
    }
}

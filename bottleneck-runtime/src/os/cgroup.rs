//! The limit of CPU time that a control group sets, and how often it was reached. Both versions of control groups.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the versions are mounted.
const MOUNTS_2: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
const MOUNTS_1: [&str; 2] = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"];

/// The group that limits this process: its own, or the nearest around it with a limit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Group {
    folder: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// What a group says of CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// CPU time in a period, in ns; 0 without a limit.
    pub(crate) quota_ns: u64,
    /// Length of the period, in ns.
    pub(crate) period_ns: u64,
    /// Periods that passed, and those in which the limit was reached.
    pub(crate) periods: u64,
    pub(crate) throttled_periods: u64,
    /// Time that its CPUs were throttled, in ns.
    pub(crate) throttled_ns: u64,
}

impl Group {
    /// That of this process; `None` where there are no control groups, or they are hidden.
    pub(crate) fn of_this_process() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/cgroup").ok()?;
        let (version, path) = membership(&text)?;
        let mounts = match version {
            Version::One => MOUNTS_1,
            Version::Two => MOUNTS_2,
        };
        mounts.iter().find_map(|mount| Self::nearest(version, Path::new(mount), path))
    }

    /// The nearest group with a limit, from the one at `path` up to the mount; without a limit, the innermost that exists.
    fn nearest(version: Version, mount: &Path, path: &str) -> Option<Self> {
        let own = mount.join(path.trim_start_matches('/'));
        let around = own.ancestors().take_while(|folder| folder.starts_with(mount));
        let mut groups = around
            .map(|folder| Self { folder: folder.to_owned(), version })
            .filter_map(|group| Some((group.read()?, group)));
        let innermost = groups.next()?;
        if innermost.0.quota_ns != 0 {
            return Some(innermost.1);
        }
        let limited = groups.find(|(time, _)| time.quota_ns != 0);
        Some(limited.unwrap_or(innermost).1)
    }

    /// Reads the files of the group. A few system calls.
    pub(crate) fn read(&self) -> Option<CpuTime> {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).ok();
        let mut time = stat(&read("cpu.stat")?);
        let limit = match self.version {
            Version::One => read("cpu.cfs_quota_us").zip(read("cpu.cfs_period_us")),
            // The outermost group has no limit, and no file for it.
            Version::Two => read("cpu.max").and_then(|text| {
                let (quota, period) = text.trim().split_once(' ')?;
                Some((quota.to_owned(), period.to_owned()))
            }),
        };
        if let Some((quota, period)) = limit {
            // `max` and -1 are none.
            time.quota_ns = quota.trim().parse::<u64>().map_or(0, |quota| quota * 1000);
            time.period_ns = period.trim().parse::<u64>().map_or(0, |period| period * 1000);
        }
        Some(time)
    }
}

/// Which version governs CPU time, and the path of the group: the first one where its controller is attached there.
fn membership(text: &str) -> Option<(Version, &str)> {
    let mut found = None;
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if controllers.split(',').any(|name| name == "cpu") {
            return Some((Version::One, path));
        }
        if controllers.is_empty() {
            found = Some((Version::Two, path));
        }
    }
    found
}

/// The counters of `cpu.stat`; the two versions differ in the unit of one.
fn stat(text: &str) -> CpuTime {
    let mut time = CpuTime::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once(' ')) {
        let Ok(value) = value.trim().parse::<u64>() else {
            continue;
        };
        match name {
            "nr_periods" => time.periods = value,
            "nr_throttled" => time.throttled_periods = value,
            "throttled_usec" => time.throttled_ns = value.saturating_mul(1000),
            "throttled_time" => time.throttled_ns = value,
            _ => {}
        }
    }
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_has_the_controller() {
        let hybrid = "9:name=systemd:/x\n2:cpuacct:/b\n1:cpu,cpuset:/a\n0::/u\n";
        assert_eq!(membership(hybrid), Some((Version::One, "/a")));
        assert_eq!(membership("0::/user.slice/a:b\n"), Some((Version::Two, "/user.slice/a:b")));
        assert_eq!(membership("2:cpuacct:/b\n"), None);
        assert_eq!(membership("nonsense"), None);
    }

    #[test]
    fn the_nearest_limit_counts() {
        let mount = tempfile::tempdir().unwrap();
        let write = |path: &str, name: &str, text: &str| {
            let folder = mount.path().join(path);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(name), text).unwrap();
        };
        write("a/b", "cpu.max", "max 100000\n");
        write("a/b", "cpu.stat", "usage_usec 5\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n");
        write("a", "cpu.max", "50000 100000\n");
        write("a", "cpu.stat", "nr_periods 10\nnr_throttled 4\nthrottled_usec 70\n");
        let group = Group::nearest(Version::Two, mount.path(), "/a/b").unwrap();
        assert_eq!(group.folder, mount.path().join("a"));
        let expected = CpuTime {
            quota_ns: 50_000_000,
            period_ns: 100_000_000,
            periods: 10,
            throttled_periods: 4,
            throttled_ns: 70_000,
        };
        assert_eq!(group.read(), Some(expected));
        // What a container without a namespace of its own sees: a path that is not there.
        assert_eq!(Group::nearest(Version::Two, mount.path(), "/elsewhere/x"), None);
        fs::write(mount.path().join("a/cpu.max"), "max 100000\n").unwrap();
        let group = Group::nearest(Version::Two, mount.path(), "/a/b").unwrap();
        assert_eq!(group.folder, mount.path().join("a/b"));
        assert_eq!(group.read().map(|time| time.quota_ns), Some(0));
    }

    #[test]
    fn the_first_version_has_files_of_its_own() {
        let mount = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(mount.path().join(name), text).unwrap();
        write("cpu.stat", "nr_periods 3\nnr_throttled 2\nthrottled_time 12345\n");
        write("cpu.cfs_quota_us", "20000\n");
        write("cpu.cfs_period_us", "100000\n");
        let read = || Group::nearest(Version::One, mount.path(), "/gone").unwrap().read().unwrap();
        assert_eq!((read().quota_ns, read().throttled_ns), (20_000_000, 12_345));
        write("cpu.cfs_quota_us", "-1\n");
        assert_eq!(read().quota_ns, 0);
    }
}

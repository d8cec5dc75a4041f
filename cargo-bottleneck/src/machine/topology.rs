//! What the machine is: processor, the CPUs that a program may use, caches, memory.
//!
//! Read from `/proc`, `/sys` and the affinity mask; every parser is a pure function over text. What cannot be read is
//! `None` or empty, never a guess.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cgroup;
use super::sys;
use crate::units::{Bytes, Nanos};

/// The parts of a machine that bound what a program can do on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Topology {
    /// The processor by its own words, such as `AMD EPYC 9654`.
    pub cpu_model: String,
    /// The instruction set, as Rust names it.
    pub architecture: String,
    /// Version of the kernel.
    pub kernel: Option<String>,
    /// The processor says that a hypervisor runs below this system.
    pub virtual_machine: bool,
    /// The CPUs of the affinity mask (which holds the cpuset), rising.
    pub cpus: Vec<u32>,
    /// The CPU time that the control group may use, in CPUs; `None` is no limit.
    pub quota: Option<f64>,
    /// Data and unified caches seen by the first CPU of the mask, by level.
    pub caches: Vec<Cache>,
    /// All memory.
    pub memory: Option<Bytes>,
    /// Memory that can be had without swapping, at the time of reading.
    pub memory_available: Option<Bytes>,
}

/// One data or unified cache. A hypervisor reports what it likes: measured ceilings decide, not these sizes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cache {
    /// 1 is next to the core.
    pub level: u8,
    /// Its size as the system reports it.
    pub size: Bytes,
    /// How many CPUs share it.
    pub shared_by: u32,
}

impl Topology {
    /// Reads the machine. Costs about a millisecond of small files.
    ///
    /// # Errors
    /// Where the kernel does not tell the affinity mask.
    pub fn read() -> io::Result<Self> {
        let cpuinfo = read("/proc/cpuinfo").unwrap_or_default();
        let meminfo = read("/proc/meminfo").unwrap_or_default();
        let cpus = sys::affinity()?;
        let first = cpus.first().copied().unwrap_or(0);
        Ok(Self {
            cpu_model: cpu_model(&cpuinfo)
                .unwrap_or_else(|| format!("unknown {} processor", std::env::consts::ARCH)),
            architecture: std::env::consts::ARCH.to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            virtual_machine: has_flag(&cpuinfo, "hypervisor"),
            quota: cgroup::quota(),
            caches: caches(Path::new(&format!("/sys/devices/system/cpu/cpu{first}/cache"))),
            memory: meminfo_field(&meminfo, "MemTotal"),
            memory_available: meminfo_field(&meminfo, "MemAvailable"),
            cpus,
        })
    }

    /// How many threads can run at once: the CPUs of the mask, or fewer where the quota allows fewer. At least 1.
    pub fn parallelism(&self) -> u32 {
        let cpus = u32::try_from(self.cpus.len()).unwrap_or(u32::MAX).max(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates; a quota is positive"
        )]
        let allowed = self.quota.map_or(u32::MAX, |quota| quota.ceil() as u32);
        cpus.min(allowed.max(1))
    }

    /// The largest cache, which data must exceed to come from memory.
    pub fn last_level_cache(&self) -> Option<Cache> {
        self.caches.iter().copied().max_by_key(|cache| cache.level)
    }
}

/// Time that the hypervisor gave to others while CPUs of this machine wanted to run, summed over CPUs since boot.
/// The difference over a run tells whether its times can be trusted. `None` where the kernel does not count it.
pub fn stolen_time() -> Option<Nanos> {
    let ticks = steal_ticks(&read("/proc/stat")?)?;
    Some(Nanos(ticks.saturating_mul(1_000_000_000 / sys::ticks_per_second())))
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    let field = |name: &str| {
        let mut fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        fields
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim().to_owned())
            .filter(|v| !v.is_empty())
    };
    // aarch64 kernels give numbers of the maker and the part in place of a name.
    field("model name").or_else(|| {
        let (maker, part) = (field("CPU implementer")?, field("CPU part")?);
        Some(format!("Arm implementer {maker} part {part}"))
    })
}

/// Whether the processor's feature list has `flag`.
pub(super) fn has_flag(cpuinfo: &str, flag: &str) -> bool {
    let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    lines
        .find(|(key, _)| matches!(key.trim(), "flags" | "Features"))
        .is_some_and(|(_, flags)| flags.split_whitespace().any(|f| f == flag))
}

/// A field of `/proc/meminfo`, which is in units of 1024 bytes whatever the text says.
pub(super) fn meminfo_field(meminfo: &str, name: &str) -> Option<Bytes> {
    let (_, value) =
        meminfo.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| *key == name)?;
    let kib: u64 = value.split_whitespace().next()?.parse().ok()?;
    Some(Bytes(kib as f64 * 1024.0))
}

/// The eighth counter of the first line of `/proc/stat`.
fn steal_ticks(stat: &str) -> Option<u64> {
    let all = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    all.split_whitespace().nth(7)?.parse().ok()
}

/// A list of CPUs such as `0-3,8`: how many they are.
fn count_cpus(list: &str) -> Option<u32> {
    let mut count = 0_u32;
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

/// A size such as `48K` or `2M`, as sysfs writes them.
fn cache_size(text: &str) -> Option<Bytes> {
    let text = text.trim();
    let (number, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number = number.parse::<u64>().ok()? as f64;
    let unit = match unit {
        "" => 1.0,
        "K" => 1024.0,
        "M" => 1024.0 * 1024.0,
        "G" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Bytes::new(number * unit).filter(|size| size.get() > 0.0)
}

fn cache(level: &str, kind: &str, size: &str, shared: &str) -> Option<Cache> {
    if !matches!(kind.trim(), "Data" | "Unified") {
        return None;
    }
    Some(Cache {
        level: level.trim().parse().ok()?,
        size: cache_size(size)?,
        shared_by: count_cpus(shared).unwrap_or(1),
    })
}

fn caches(folder: &Path) -> Vec<Cache> {
    let mut caches: Vec<Cache> = (0..16)
        .map_while(|index| {
            let folder = folder.join(format!("index{index}"));
            let field = |name: &str| read(folder.join(name)).unwrap_or_default();
            folder.is_dir().then(|| {
                cache(&field("level"), &field("type"), &field("size"), &field("shared_cpu_list"))
            })
        })
        .flatten()
        .collect();
    caches.sort_by_key(|cache| cache.level);
    caches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_named_on_each_architecture() {
        let x86 = "processor\t: 0\nmodel name\t: AMD EPYC 9654\nflags\t\t: fpu hypervisor avx2\n";
        assert_eq!(cpu_model(x86).as_deref(), Some("AMD EPYC 9654"));
        assert!(has_flag(x86, "hypervisor") && has_flag(x86, "avx2") && !has_flag(x86, "avx"));
        let arm =
            "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n";
        assert_eq!(cpu_model(arm).as_deref(), Some("Arm implementer 0x41 part 0xd4f"));
        assert!(has_flag(arm, "asimd"));
        assert_eq!(cpu_model(""), None);
    }

    #[test]
    fn memory_is_in_kibibytes() {
        let text =
            "MemTotal:       24684096 kB\nMemFree:        1 kB\nMemAvailable:   24299840 kB\n";
        assert_eq!(meminfo_field(text, "MemAvailable"), Some(Bytes::kib(24_299_840)));
        assert_eq!(meminfo_field(text, "Mem"), None);
        assert_eq!(meminfo_field("MemTotal: lots\n", "MemTotal"), None);
    }

    #[test]
    fn steal_is_the_eighth_counter() {
        assert_eq!(steal_ticks("cpu  10 0 20 300 4 0 5 1216 0 0\ncpu0 1 2 3\n"), Some(1216));
        assert_eq!(steal_ticks("cpu  10 0 20\n"), None);
        assert_eq!(steal_ticks(""), None);
    }

    #[test]
    fn lists_of_cpus_are_counted() {
        for (list, count) in [
            ("0", Some(1)),
            ("0-1\n", Some(2)),
            ("0-3,8,10-11", Some(7)),
            ("", None),
            ("3-1", None),
        ] {
            assert_eq!(count_cpus(list), count, "{list:?}");
        }
    }

    #[test]
    fn caches_of_instructions_are_left_out() {
        assert_eq!(cache("1\n", "Instruction\n", "32K\n", "0\n"), None);
        let unified = Cache { level: 3, size: Bytes::mib(260), shared_by: 2 };
        assert_eq!(cache("3\n", "Unified\n", "266240K\n", "0-1\n"), Some(unified));
        assert_eq!(
            cache("2\n", "Unified\n", "2M\n", "?\n").map(|c| (c.size, c.shared_by)),
            Some((Bytes::mib(2), 1))
        );
        assert_eq!(cache("2\n", "Unified\n", "0K\n", "0\n"), None);
    }

    #[test]
    fn a_quota_bounds_the_parallelism() {
        let mut topology = Topology {
            cpu_model: String::new(),
            architecture: String::new(),
            kernel: None,
            virtual_machine: false,
            cpus: vec![0, 1, 2, 3],
            quota: None,
            caches: Vec::new(),
            memory: None,
            memory_available: None,
        };
        assert_eq!(topology.parallelism(), 4);
        topology.quota = Some(1.5);
        assert_eq!(topology.parallelism(), 2);
        topology.quota = Some(0.2);
        assert_eq!(topology.parallelism(), 1);
    }

    #[test]
    fn this_machine_can_be_read() {
        let topology = Topology::read().unwrap();
        assert!(!topology.cpus.is_empty());
        assert!(topology.memory.unwrap() > Bytes::mib(64));
    }
}

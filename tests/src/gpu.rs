//! Runs the GPU examples on the simulated device, and reads what was recorded of them beside what really happened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bottleneck_runtime::format::chunk::chunks;
use bottleneck_runtime::format::device_work::Class;
use bottleneck_runtime::format::{ChunkKind, DeviceWorkData, HeaderData};
use cuda_sim::harness::Machine;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Ran, bottleneck, cargo, target_directory, workspace};

/// What came of a run.
#[derive(Debug)]
pub struct Decoded {
    /// As the command saw it.
    pub ran: Ran,
    /// What really happened: the simulator's log.
    pub truth: Vec<Value>,
}

impl Decoded {
    /// The report.
    #[track_caller]
    pub fn summary(&self) -> Value {
        self.ran.message()["summary"].clone()
    }

    /// When operations of a sort ran.
    pub fn intervals(&self, is: impl Fn(&Value) -> bool) -> Vec<Interval> {
        let own = self.truth.iter().filter(|it| is(it) && it["start"].is_u64());
        own.filter_map(|it| Some((it["start"].as_u64()?, it["end"].as_u64()?))).collect()
    }

    /// Sum of a difference of two fields over the operations of a sort, in ns.
    pub fn truth_ns(&self, op: &str, from: &str, to: &str) -> u64 {
        let own = self.truth.iter().filter(|it| it["op"] == op);
        own.map(|it| it[to].as_u64().unwrap_or(0).saturating_sub(it[from].as_u64().unwrap_or(0)))
            .sum()
    }
}

/// Time from beginnings to ends, in ns.
pub type Interval = (u64, u64);

/// Intervals without overlaps, rising.
pub fn union(mut intervals: Vec<Interval>) -> Vec<Interval> {
    intervals.sort_unstable();
    let mut res: Vec<Interval> = Vec::new();
    for (start, end) in intervals {
        match res.last_mut().filter(|last| start <= last.1) {
            Some(last) => last.1 = last.1.max(end),
            None => res.push((start, end)),
        }
    }
    res
}

/// Time of some intervals that others, both without overlaps, do not cover.
pub fn uncovered_ns(of: &[Interval], by: &[Interval]) -> u64 {
    let covered = |&(start, end): &Interval| -> u64 {
        by.iter().map(|it| it.1.min(end).saturating_sub(it.0.max(start))).sum()
    };
    of.iter().map(|it| it.1 - it.0 - covered(it)).sum()
}

/// Time between neighbors of a union.
pub fn gaps(of: &[Interval]) -> impl Iterator<Item = Interval> + '_ {
    of.windows(2).map(|pair| (pair[0].1, pair[1].0))
}

/// `cargo bottleneck run --example gpu_decode` on a simulated machine.
pub fn decode(machine: &Machine, arguments: &[&str]) -> Decoded {
    example(machine, "gpu_decode", arguments)
}

/// The same with any example that uses a device.
pub fn example(machine: &Machine, name: &str, arguments: &[&str]) -> Decoded {
    let target = bottleneck().target().display().to_string();
    let base = ["run", "--target-dir", &target, "--message-format", "json"];
    let example = ["-p", "bottleneck-examples", "--features", "gpu", "--example", name, "--"];
    let all = base.into_iter().chain(example).chain(arguments.iter().copied());
    let mut command = bottleneck().command(workspace(), all);
    machine.prepare(&mut command);
    Decoded { ran: Ran::of(command), truth: truth(machine) }
}

/// The simulator's log.
pub fn truth(machine: &Machine) -> Vec<Value> {
    machine.truth().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// `gpu_decode`, built as a user builds it.
///
/// # Panics
/// If it cannot be built.
pub fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = bottleneck().target();
        let build =
            ["build", "-p", "bottleneck-examples", "--features", "gpu", "--example", "gpu_decode"];
        let status = cargo(workspace(), build).arg("--target-dir").arg(target).status();
        assert!(status.is_ok_and(|it| it.success()), "gpu_decode cannot be built");
        target.join("debug/examples/gpu_decode")
    })
}

/// `gpu_conformance`, beside the other programs of this crate.
///
/// # Panics
/// If it cannot be built.
pub fn conformance() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = target_directory();
        let name = "gpu_conformance";
        let build = ["build", "-p", "bottleneck-tests", "--features", "gpu", "--bin", name];
        let status = cargo(workspace(), build).arg("--target-dir").arg(&target).status();
        assert!(status.is_ok_and(|it| it.success()), "{name} cannot be built");
        target.join("debug").join(name)
    })
}

/// A recording of a program that runs alone on a simulated machine.
#[derive(Debug)]
pub struct Recording {
    folder: TempDir,
}

impl Recording {
    /// An empty one.
    ///
    /// # Panics
    /// If no folder can be made.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("there is a place for temporary folders") }
    }

    /// The command that records into it.
    pub fn command(&self, machine: &Machine, program: &Path) -> Command {
        let mut command = Command::new(program);
        machine.prepare(&mut command).env("BOTTLENECK_RUN_DIR", self.folder.path());
        command
    }

    fn bytes(&self) -> Vec<Vec<u8>> {
        crate::profiles(self.folder.path())
            .iter()
            .filter_map(|path| std::fs::read(path).ok())
            .collect()
    }

    /// All device work, in the order of the file.
    pub fn works(&self) -> Vec<DeviceWorkData> {
        let mut res = Vec::new();
        for bytes in self.bytes() {
            for chunk in chunks(&bytes) {
                if ChunkKind::from_number(chunk.kind) == Some(ChunkKind::DeviceWork) {
                    let records = chunk.payload.chunks_exact(size_of::<DeviceWorkData>());
                    res.extend(records.take(chunk.aux as usize).filter_map(DeviceWorkData::read));
                }
            }
        }
        res
    }

    /// Device work of a class by the number of its call.
    pub fn by_call(&self, class: Class) -> BTreeMap<u32, DeviceWorkData> {
        let own = self.works().into_iter().filter(|it| it.class == class as u32);
        own.map(|it| (it.correlation, it)).collect()
    }

    /// Ticks of the recording's clock in seconds.
    ///
    /// # Panics
    /// There is no recording.
    pub fn seconds(&self, ticks: u64) -> f64 {
        let bytes = self.bytes();
        let header =
            bytes.iter().find_map(|it| HeaderData::open(it).ok()).expect("there is a recording");
        let passed = (header.last_ticks - header.start_ticks) as f64;
        ticks as f64 / passed * (header.last_ns - header.start_ns) as f64 / 1e9
    }

    /// What the recorder says of a capability: whether it is there, and why not.
    pub fn capability(&self, name: &str) -> Option<(bool, String)> {
        for bytes in self.bytes() {
            for chunk in chunks(&bytes) {
                if ChunkKind::from_number(chunk.kind) != Some(ChunkKind::Capability) {
                    continue;
                }
                let text =
                    String::from_utf8_lossy(chunk.payload.get(..chunk.aux as usize)?).into_owned();
                let mut lines = text.splitn(3, '\n');
                if lines.next() == Some(name) {
                    let is_there = lines.next() == Some("1");
                    return Some((is_there, lines.next().unwrap_or_default().to_owned()));
                }
            }
        }
        None
    }
}

impl Default for Recording {
    fn default() -> Self {
        Self::new()
    }
}

//! What kernels cost: lines `NAME key=value ...`, in a file, or behind `// cuda-sim:` in the text of a module.
//!
//! | key | meaning |
//! |---|---|
//! | `us` | the time of one launch, whatever its size |
//! | `flops`, `bytes` | arithmetic and memory traffic of one launch, limited by the device's peaks |
//! | `flops_per_thread`, `bytes_per_thread` | the same for each thread |
//! | `occupancy` | the part of the processors that one launch takes, and of the peaks that it gets; else one block for each |

use std::collections::HashMap;

use crate::engine::Ns;
use crate::settings::Settings;

/// What begins a line in the text of a module.
const MARK: &str = "// cuda-sim:";

/// What one launch of a kernel costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    us: Option<f64>,
    flops: f64,
    bytes: f64,
    flops_per_thread: f64,
    bytes_per_thread: f64,
    occupancy: Option<f64>,
}

/// Blocks of a launch, and threads of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Blocks in each direction.
    pub grid: [u32; 3],
    /// Threads of a block in each direction.
    pub block: [u32; 3],
}

impl Shape {
    fn blocks(self) -> f64 {
        self.grid.into_iter().map(f64::from).product()
    }

    fn threads(self) -> f64 {
        self.blocks() * self.block.into_iter().map(f64::from).product::<f64>()
    }
}

/// Parts of a device that are in use, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Uses {
    /// Of the bandwidth of its memory.
    pub memory: f64,
    /// Of its arithmetic peak.
    pub arithmetic: f64,
    /// Of its processors.
    pub processors: f64,
}

impl Cost {
    /// How long a launch takes when it is alone.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time of a test, and positive"
    )]
    pub fn length(&self, shape: Shape, settings: &Settings) -> Ns {
        if let Some(us) = self.us {
            return (us * 1e3).round() as Ns;
        }
        let flops = self.flops + self.flops_per_thread * shape.threads();
        let bytes = self.bytes + self.bytes_per_thread * shape.threads();
        // A part of the processors has that part of the peaks.
        let part = self.occupancy(shape, settings).max(1.0 / f64::from(settings.processors));
        let ns = (flops / settings.flops).max(bytes / settings.bandwidth) / part;
        (ns.round() as Ns).max(settings.kernel_ns)
    }

    /// The parts of the device's peaks that a launch of this length uses.
    #[expect(clippy::cast_precision_loss, reason = "a time of a test")]
    pub fn uses(&self, shape: Shape, settings: &Settings, length: Ns) -> Uses {
        let ns = length.max(1) as f64;
        let part = |amount: f64, of_thread: f64, peak: f64| {
            ((amount + of_thread * shape.threads()) / ns / peak).min(1.0)
        };
        Uses {
            memory: part(self.bytes, self.bytes_per_thread, settings.bandwidth),
            arithmetic: part(self.flops, self.flops_per_thread, settings.flops),
            processors: self.occupancy(shape, settings),
        }
    }

    /// The part of the processors that it takes.
    pub fn occupancy(&self, shape: Shape, settings: &Settings) -> f64 {
        let of_blocks = shape.blocks() / f64::from(settings.processors);
        self.occupancy.unwrap_or(of_blocks).clamp(0.0, 1.0)
    }
}

/// Costs by name, from the lines of a file.
///
/// # Errors
/// A sentence that quotes the line.
pub fn costs(text: &str) -> Result<HashMap<String, Cost>, String> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(cost).collect()
}

/// Costs by name, from the marked lines of a module's text.
///
/// # Errors
/// As [`costs`].
pub fn costs_in_module(text: &str) -> Result<HashMap<String, Cost>, String> {
    text.lines().filter_map(|line| line.trim().strip_prefix(MARK)).map(cost).collect()
}

fn cost(line: &str) -> Result<(String, Cost), String> {
    let wrong = || format!("`{line}` is no cost of a kernel");
    let mut words = line.split_whitespace();
    let name = words.next().ok_or_else(wrong)?.to_owned();
    let mut res = Cost::default();
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(wrong)?;
        let value: f64 = value.parse().ok().filter(|&it: &f64| 0.0 <= it).ok_or_else(wrong)?;
        match key {
            "us" => res.us = Some(value),
            "flops" => res.flops = value,
            "bytes" => res.bytes = value,
            "flops_per_thread" => res.flops_per_thread = value,
            "bytes_per_thread" => res.bytes_per_thread = value,
            "occupancy" => res.occupancy = Some(value),
            _ => return Err(wrong()),
        }
    }
    Ok((name, res))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { grid: [66, 1, 1], block: [256, 1, 1] };

    #[test]
    fn a_kernel_takes_what_limits_it() {
        let settings = Settings::default();
        let length = |text: &str| costs(text).unwrap()["k"].length(SHAPE, &settings);
        assert_eq!(length("k us=120"), 120_000);
        // 3000 bytes and 60000 FLOP per ns.
        assert_eq!(length("k bytes=3e8 flops=3e8 occupancy=1"), 100_000);
        assert_eq!(length("k bytes=3e6 flops=3e9 occupancy=1"), 50_000);
        assert_eq!(length("k bytes_per_thread=17755.6818 occupancy=1"), 100_000);
        // 66 blocks on 132 processors: half of them, at half of the rate.
        assert_eq!(length("k bytes=3e6 flops=3e9"), 100_000);
        assert_eq!(length("k"), settings.kernel_ns);
    }

    #[test]
    fn a_launch_takes_a_processor_for_each_block() {
        let settings = Settings::default();
        let part = |text: &str| costs(text).unwrap()["k"].occupancy(SHAPE, &settings);
        assert!((part("k") - 0.5).abs() < 1e-9 && (part("k occupancy=0.1") - 0.1).abs() < 1e-9);
    }

    #[test]
    fn what_limits_a_kernel_is_used_up() {
        let settings = Settings::default();
        let uses = |text: &str| {
            let cost = costs(text).unwrap()["k"];
            cost.uses(SHAPE, &settings, cost.length(SHAPE, &settings))
        };
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-3, "{a} {b}");
        let reads = uses("k bytes=3e8 flops=3e8 occupancy=1");
        near(reads.memory, 1.0);
        near(reads.arithmetic, 0.05);
        // Half of the processors reach half of the peak.
        let computes = uses("k flops=3e9");
        near(computes.arithmetic, 0.5);
        near(computes.processors, 0.5);
    }

    #[test]
    fn lines_come_from_files_and_from_modules() {
        let file = costs("# decode\nk us=1\n\nl us=2\n").unwrap();
        assert_eq!(file.len(), 2);
        let module = costs_in_module(".version 8.0\n  // cuda-sim: k us=3\n.entry k()").unwrap();
        assert_eq!(module["k"].us, Some(3.0));
        for line in ["k us", "k us=-1", "k su=1", "k us=x"] {
            assert!(costs(line).unwrap_err().contains(line));
        }
    }
}

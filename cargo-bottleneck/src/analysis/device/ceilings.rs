//! What a device can do at most: its memory as measured where it was, all else by its own attributes, which are a data sheet.
//!
//! Memory: `2 * clock * width / 8` (two transfers each clock). Arithmetic: `2 * units * multiprocessors * clock`, by the units of
//! its compute capability in NVIDIA's programming guide (table of arithmetic throughput) and, for matrix units, the white paper of each
//! architecture. Both clocks are the highest that the device runs at; a device in use is often below.

use crate::analysis::ceilings::{Ceilings, Peak, Range};
use crate::machine::gpu::GpuCeilings;
use crate::profile::Dtype;
use crate::profile::device::DeviceFacts;

/// Multiply-adds of one multiprocessor in one clock.
struct Units {
    /// Compute capability, `major * 10 + minor`.
    capability: i64,
    /// Ordinary units, f32.
    f32: f64,
    /// Matrix units with f16 or bf16, dense. Twice as many with i8, half as many with f32 cut to tf32.
    f16_matrix: f64,
}

/// The newest row that is not newer than a device is taken, if its major number is the same.
static UNITS: &[Units] = &[
    Units { capability: 70, f32: 64.0, f16_matrix: 512.0 },
    Units { capability: 75, f32: 64.0, f16_matrix: 512.0 },
    Units { capability: 80, f32: 64.0, f16_matrix: 1024.0 },
    Units { capability: 86, f32: 128.0, f16_matrix: 512.0 },
    Units { capability: 90, f32: 128.0, f16_matrix: 2048.0 },
    Units { capability: 100, f32: 128.0, f16_matrix: 4096.0 },
    Units { capability: 120, f32: 128.0, f16_matrix: 512.0 },
];

/// Beyond this share of a unit's peak another unit did the work.
const BEATEN: f64 = 1.05;

/// The ceilings for work of a type that ran at `flops_per_s`; a ceiling whose attributes are missing is missing.
pub(super) fn ceilings(
    facts: &DeviceFacts,
    measured: Option<&GpuCeilings>,
    dtype: Dtype,
    flops_per_s: f64,
) -> Ceilings {
    let peak = units_of(facts, dtype)
        .into_iter()
        .map(|(unit, per_clock)| (unit, per_clock * clocks(facts).unwrap_or(0.0)))
        .filter(|(_, rate)| *rate > 0.0)
        .reduce(|slower, faster| if slower.1 * BEATEN < flops_per_s { faster } else { slower });
    let peak = peak.map(|(unit, rate)| Peak {
        dtype,
        unit: unit.to_owned(),
        lanes: 2,
        rate: Range::exactly(rate),
    });
    Ceilings {
        dram_read: memory(facts, measured),
        peaks: peak.into_iter().collect(),
        threads: Some(1),
        measured: format!("by the attributes of {}", facts.name),
        ..Ceilings::default()
    }
}

/// Reading its memory: at least what a copy within it was measured to move, at most what the data sheet says; without a
/// measurement the data sheet.
fn memory(facts: &DeviceFacts, measured: Option<&GpuCeilings>) -> Option<Range> {
    let sheet = memory_bytes_per_s(facts);
    let Some(measured) = measured.map(|it| it.memory) else { return sheet.map(Range::exactly) };
    let (min, median) = (measured.min.get(), measured.median.get());
    Some(Range { min, median, max: measured.max.get().max(sheet.unwrap_or(0.0)) })
}

/// Bytes per second of the device's memory, by its data sheet.
fn memory_bytes_per_s(facts: &DeviceFacts) -> Option<f64> {
    let khz = positive(facts, "memory_clock_khz")?;
    let bits = positive(facts, "memory_bus_bits")?;
    Some(2.0 * khz * 1e3 * bits / 8.0)
}

/// Its multiprocessors.
pub(super) fn multiprocessors(facts: &DeviceFacts) -> Option<u64> {
    let count = facts.attributes.get("multiprocessors")?;
    u64::try_from(*count).ok().filter(|&count| 0 < count)
}

fn positive(facts: &DeviceFacts, name: &str) -> Option<f64> {
    let value = *facts.attributes.get(name)?;
    (0 < value).then_some(value as f64)
}

/// Clocks of all multiprocessors in a second, times two operations for each multiply-add.
fn clocks(facts: &DeviceFacts) -> Option<f64> {
    let count = positive(facts, "multiprocessors")?;
    Some(2.0 * count * positive(facts, "clock_khz")? * 1e3)
}

/// Units that can do it, the slowest first.
fn units_of(facts: &DeviceFacts, dtype: Dtype) -> Vec<(&'static str, f64)> {
    let attribute = |name| facts.attributes.get(name).copied();
    let (Some(major), Some(minor)) = (attribute("capability_major"), attribute("capability_minor"))
    else {
        return Vec::new();
    };
    let own = 10 * major + minor;
    let fits = |it: &&Units| it.capability <= own && it.capability / 10 == major;
    let Some(units) = UNITS.iter().rfind(fits) else { return Vec::new() };
    let ordinary = ("ordinary units", units.f32);
    match dtype {
        Dtype::F32 => vec![ordinary, ("matrix units, tf32", units.f16_matrix / 2.0)],
        Dtype::F16 | Dtype::Bf16 => vec![("matrix units", units.f16_matrix)],
        Dtype::I8 => vec![("matrix units", 2.0 * units.f16_matrix)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An H100 with SXM, as its driver tells it.
    fn h100() -> DeviceFacts {
        let attributes = [
            ("multiprocessors", 132),
            ("clock_khz", 1_980_000),
            ("memory_clock_khz", 2_619_000),
            ("memory_bus_bits", 5120),
            ("capability_major", 9),
            ("capability_minor", 0),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value)).into();
        DeviceFacts { number: 0, name: "H100".to_owned(), attributes }
    }

    #[test]
    fn an_h100_has_the_ceilings_of_its_data_sheet() {
        let facts = h100();
        let bandwidth = memory_bytes_per_s(&facts).unwrap();
        assert!((bandwidth / 3.35e12 - 1.0).abs() < 0.01, "{bandwidth}");
        let peak = |dtype, rate| ceilings(&facts, None, dtype, rate).peaks[0].rate.median / 1e12;
        // 67 at its highest clock, 1070 with matrix units; the data sheet has 989 at a lower clock.
        assert!((66.0..68.0).contains(&peak(Dtype::F32, 30e12)));
        assert!(
            (500.0..540.0).contains(&peak(Dtype::F32, 100e12)),
            "faster than ordinary units can be"
        );
        assert!((1000.0..1100.0).contains(&peak(Dtype::F16, 1e12)));
    }

    #[test]
    fn what_is_not_told_is_missing() {
        let none = ceilings(&DeviceFacts::default(), None, Dtype::F32, 1e12);
        assert!(none.dram_read.is_none() && none.peaks.is_empty());
        let mut old = h100();
        old.attributes.insert("capability_major".to_owned(), 6);
        assert!(ceilings(&old, None, Dtype::F32, 1e12).peaks.is_empty());
    }
}

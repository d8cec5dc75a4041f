//! Copies by direction, memory of the host, and size.

use std::collections::BTreeMap;

use crate::profile::device::{Deed, Devices, Direction, MemoryKind, Work};

use super::stretches::Stretches;
use super::timeline::{State, Timeline};

/// Copies below this size are small: their latency is most of their time.
pub(super) const SMALL: u64 = 64 << 10;
/// Upper ends of the classes of sizes, in bytes; the last one has none.
const CLASSES: [(u64, &str); 3] =
    [(SMALL, "below 64 KiB"), (1 << 20, "below 1 MiB"), (16 << 20, "below 16 MiB")];
const LARGE: &str = "16 MiB and more";

/// What copies of one sort have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sort {
    /// Which way.
    pub direction: Direction,
    /// Memory of the host; that of the device for copies within it.
    pub memory: MemoryKind,
    /// Index of the class of its size.
    class: usize,
}

impl Sort {
    /// The sort of a copy.
    pub(super) fn of(direction: Direction, from: MemoryKind, to: MemoryKind, bytes: u64) -> Self {
        let memory = if direction == Direction::DeviceToHost { to } else { from };
        let class = CLASSES.iter().position(|(end, _)| bytes < *end).unwrap_or(CLASSES.len());
        Self { direction, memory, class }
    }

    /// The class of its size, in words.
    pub fn size(self) -> &'static str {
        CLASSES.get(self.class).map_or(LARGE, |(_, words)| words)
    }

    /// Direction and memory in words: `H2D pageable`.
    pub fn words(self) -> String {
        let direction = direction_word(self.direction);
        match self.direction {
            Direction::HostToDevice | Direction::DeviceToHost => {
                format!("{direction} {}", memory_word(self.memory))
            }
            _ => direction.to_owned(),
        }
    }
}

/// As CUDA calls it.
pub fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::HostToDevice => "H2D",
        Direction::DeviceToHost => "D2H",
        Direction::DeviceToDevice => "D2D",
        Direction::PeerToPeer => "P2P",
        Direction::Other => "other",
    }
}

/// As CUDA calls it.
pub fn memory_word(memory: MemoryKind) -> &'static str {
    match memory {
        MemoryKind::Pageable => "pageable",
        MemoryKind::Pinned => "pinned",
        MemoryKind::Device => "device",
        MemoryKind::Managed => "managed",
        MemoryKind::Other => "other",
    }
}

/// All copies of one sort.
#[derive(Clone, Debug, Default)]
pub struct Copies {
    /// How many.
    pub count: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// Their times, one after the other, in ns.
    pub ns: u64,
    /// The part of it in which no kernel ran, in ns.
    pub exposed_ns: u64,
    /// Bytes per second of each.
    rates: Vec<f64>,
}

impl Copies {
    /// Median of the bytes per second.
    pub fn bytes_per_s(&self) -> Option<f64> {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    }
}

/// The copies of all devices, by sort.
pub(super) fn by_sort(devices: &Devices, timelines: &[Timeline]) -> BTreeMap<Sort, Copies> {
    let mut exposed: BTreeMap<usize, u64> = BTreeMap::new();
    for segment in timelines.iter().flat_map(|timeline| &timeline.segments) {
        if let State::Runs(work) = segment.state {
            *exposed.entry(work.0).or_default() += segment.ns();
        }
    }
    let mut res: BTreeMap<Sort, Copies> = BTreeMap::new();
    for (index, work) in devices.indexed_works() {
        let Deed::Copy { direction, from, to, bytes, .. } = work.deed else { continue };
        let sum = res.entry(Sort::of(direction, from, to, bytes)).or_default();
        sum.count += 1;
        sum.bytes = sum.bytes.saturating_add(bytes);
        sum.ns += work.when.ns();
        sum.exposed_ns += exposed.get(&index.0).copied().unwrap_or(0);
        if work.when.ns() > 0 {
            sum.rates.push(bytes as f64 * 1e9 / work.when.ns() as f64);
        }
    }
    res
}

/// The part of the copies during which kernels run, 0 to 1.
pub(super) fn overlap(devices: &Devices, device: u32) -> Option<f64> {
    let of = |is: fn(&Deed) -> bool| {
        let own = devices.works.iter().filter(|it| it.stream.device == device && is(&it.deed));
        Stretches::of(own.map(|it: &Work| (it.when.start_ns, it.when.end_ns)))
    };
    let copies = of(|deed| matches!(deed, Deed::Copy { .. }));
    let kernels = of(|deed| matches!(deed, Deed::Kernel { .. } | Deed::Graph { .. }));
    (copies.ns() > 0).then(|| copies.and(&kernels).ns() as f64 / copies.ns() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::device::fixture::Drawing;
    use crate::analysis::device::idle::Gaps;

    #[test]
    fn copies_are_told_apart_by_memory_and_size() {
        // stream 8  |--1 MiB--|        |4 KiB|
        // stream 7       |---kernel---|
        let drawing = Drawing::new()
            .upload(1, 0..10, (1 << 20, MemoryKind::Pinned), 8, 1000..2000)
            .kernel("k", 7, 1600..4000)
            .upload(1, 20..30, (4096, MemoryKind::Pageable), 8, 5000..6000);
        let devices = drawing.devices();
        let timeline = Timeline::of(&devices, &Gaps::of(&devices), 0, None);
        let found = by_sort(&devices, &[timeline]);
        let rows: Vec<_> = found
            .iter()
            .map(|(sort, it)| (sort.words(), sort.size(), it.count, it.ns, it.exposed_ns))
            .collect();
        assert_eq!(
            rows,
            [
                ("H2D pageable".to_owned(), "below 64 KiB", 1, 1000, 1000),
                ("H2D pinned".to_owned(), "below 16 MiB", 1, 1000, 600),
            ]
        );
        assert_eq!(overlap(&devices, 0), Some(0.2));
        assert_eq!(overlap(&devices, 1), None);
    }
}

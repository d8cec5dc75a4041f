//! Memory that may be probed: a table that the background thread writes and signal handlers read, at the same time, without
//! waiting for each other.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

use crate::os::address_space::Tag;

/// Ranges of the table.
pub(super) const RANGES: usize = 2048;
/// What has changed once is left alone by pieces of so many bytes.
pub(super) const REGION_BYTES: u64 = 2 << 20;
/// Regions that handlers can report between two lists; then nothing is probed any more.
const REPORTS: usize = 64;

/// Memory that has been the same for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u64,
    /// First address behind it.
    pub(super) end: u64,
    pub(super) tag: Tag,
}

/// The tables, and what handlers found out since they were made.
#[derive(Debug)]
pub(super) struct Eligible {
    tables: [Table; 2],
    /// Which one handlers read.
    active: AtomicUsize,
    /// Regions, by their number plus one, that turned out to be something else.
    reports: [AtomicU64; REPORTS],
    reported: AtomicUsize,
}

#[derive(Debug)]
struct Table {
    /// Odd while it is written.
    version: AtomicU64,
    used: AtomicUsize,
    ranges: Box<[[AtomicU64; 3]]>,
}

impl Table {
    fn new() -> Self {
        let ranges = (0..RANGES).map(|_| [const { AtomicU64::new(0) }; 3]).collect();
        Self { version: AtomicU64::new(0), used: AtomicUsize::new(0), ranges }
    }

    fn write(&self, ranges: &[Range]) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        // Nothing below may be seen before the odd version.
        fence(Ordering::Release);
        let ranges = ranges.get(..RANGES).unwrap_or(ranges);
        for (place, range) in self.ranges.iter().zip(ranges) {
            for (word, value) in place.iter().zip([range.start, range.end, range.tag.0]) {
                word.store(value, Ordering::Relaxed);
            }
        }
        self.used.store(ranges.len(), Ordering::Relaxed);
        // Release: pairs with the Acquire in `find`; what was written is there with the even version.
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// The range with an address; `None` also where the table is being written.
    fn find(&self, address: u64) -> Option<Range> {
        // Acquire: pairs with the Release in `write`.
        let version = self.version.load(Ordering::Acquire);
        if !version.is_multiple_of(2) {
            return None;
        }
        let used = self.used.load(Ordering::Relaxed).min(RANGES);
        let ranges = self.ranges.get(..used)?;
        let behind = ranges.partition_point(|range| range[0].load(Ordering::Relaxed) <= address);
        let place = ranges.get(behind.checked_sub(1)?)?;
        let [start, end, tag] = [0, 1, 2].map(|at: usize| place[at].load(Ordering::Relaxed));
        // Acquire: what was read above was read before the version below.
        fence(Ordering::Acquire);
        let is_same = self.version.load(Ordering::Relaxed) == version;
        (is_same && start <= address && address < end).then_some(Range {
            start,
            end,
            tag: Tag(tag),
        })
    }
}

impl Eligible {
    pub(super) fn new() -> Self {
        Self {
            tables: [Table::new(), Table::new()],
            active: AtomicUsize::new(0),
            reports: [const { AtomicU64::new(0) }; REPORTS],
            reported: AtomicUsize::new(0),
        }
    }

    /// Puts these ranges, which rise and do not overlap, in place of all before. One thread at a time.
    pub(super) fn publish(&self, ranges: &[Range]) {
        let next = 1 - self.active.load(Ordering::Relaxed).min(1);
        if let Some(table) = self.tables.get(next) {
            table.write(ranges);
            // Release: pairs with the Acquire in `find`.
            self.active.store(next, Ordering::Release);
        }
    }

    /// The range with an address, if it may be probed. For signal handlers.
    pub(super) fn find(&self, address: u64) -> Option<Range> {
        // Acquire: pairs with the Release in `publish`.
        let range = self.tables.get(self.active.load(Ordering::Acquire))?.find(address)?;
        let region = address / REGION_BYTES + 1;
        let reported = self.reported.load(Ordering::Relaxed);
        let reports = self.reports.get(..reported)?;
        let is_reported = reports.iter().any(|report| report.load(Ordering::Relaxed) == region);
        (!is_reported).then_some(range)
    }

    /// The memory at an address is not what the table says: it is never probed again. For signal handlers.
    pub(super) fn report(&self, address: u64) {
        let at = self.reported.fetch_add(1, Ordering::Relaxed);
        if let Some(report) = self.reports.get(at) {
            report.store(address / REGION_BYTES + 1, Ordering::Relaxed);
        }
    }

    /// Numbers of the regions that were reported.
    pub(super) fn reports(&self) -> impl Iterator<Item = u64> + '_ {
        let reports = self.reports.iter().map(|report| report.load(Ordering::Relaxed));
        reports.filter_map(|region| region.checked_sub(1))
    }

    /// Whether there were so many reports that nothing is probed any more.
    pub(super) fn is_exhausted(&self) -> bool {
        REPORTS < self.reported.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicBool;

    fn range(start: u64, end: u64, tag: u64) -> Range {
        Range { start, end, tag: Tag(tag) }
    }

    #[test]
    fn an_address_is_found_in_its_range_only() {
        let eligible = Eligible::new();
        assert_eq!(eligible.find(5), None);
        let two = [range(0x1000, 0x3000, 0), range(0x5000, 0x6000, 7)];
        eligible.publish(&two);
        for (address, expected) in [
            (0xFFF, None),
            (0x1000, Some(two[0])),
            (0x2FFF, Some(two[0])),
            (0x3000, None),
            (0x5800, Some(two[1])),
            (0x6000, None),
        ] {
            assert_eq!(eligible.find(address), expected, "{address:x}");
        }
        eligible.publish(&two[..1]);
        assert_eq!(eligible.find(0x5800), None);
    }

    #[test]
    fn what_was_reported_stays_out() {
        let eligible = Eligible::new();
        eligible.publish(&[range(0, 64 * REGION_BYTES, 0)]);
        eligible.report(3 * REGION_BYTES + 5);
        assert_eq!(eligible.find(3 * REGION_BYTES), None);
        assert!(eligible.find(4 * REGION_BYTES).is_some());
        assert_eq!(eligible.reports().collect::<Vec<_>>(), [3]);
        for _ in 0..REPORTS {
            eligible.report(9);
        }
        assert!(eligible.is_exhausted() && eligible.find(4 * REGION_BYTES).is_none());
    }

    #[test]
    fn a_table_that_changes_is_never_seen_half() {
        // Every range of the n-th table has n in all of its words.
        let eligible = Eligible::new();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for seed in 0..3_u64 {
                let (eligible, is_over) = (&eligible, &is_over);
                scope.spawn(move || {
                    let mut at = seed;
                    while !is_over.load(Ordering::Relaxed) {
                        at = (at * 25 + 11) % 1_000_000;
                        if let Some(found) = eligible.find(at) {
                            let n = found.tag.0;
                            assert_eq!((found.start % 1000, found.end % 1000), (n, n));
                            assert!(found.start <= at && at < found.end);
                        }
                    }
                });
            }
            for round in 0..2000_u64 {
                let n = round % 500;
                let ranges: Vec<Range> =
                    (0..999).map(|at| range(at * 1000 + n, (at + 1) * 1000 + n, n)).collect();
                eligible.publish(&ranges);
            }
            is_over.store(true, Ordering::Relaxed);
        });
    }
}

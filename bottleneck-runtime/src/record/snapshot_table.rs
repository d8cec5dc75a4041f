//! The two tables of snapshots in the mapped file. Never grows: what is full is thinned out.
//!
//! Only the background thread writes. At every instant the active table is whole up to its `used`, so that a program that is
//! killed leaves it readable; see `format::snapshot` for the layout.
#![expect(
    clippy::cast_possible_truncation,
    reason = "sizes are those of one table, and counts are held to their field"
)]

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, Release};

use crate::format::Snapshots;
use crate::format::snapshot::{ENTRY_BYTES, SNAPSHOT_HEAD_BYTES, State, TABLE_BYTES};

/// Bytes of the head and both tables.
pub(super) const BYTES: usize = HEAD_BYTES + 2 * TABLE_BYTES;
const HEAD_BYTES: usize = 64;
/// Most entries of one snapshot, so that a table holds several.
pub(super) const MOST_ENTRIES: usize = (TABLE_BYTES / 8 - SNAPSHOT_HEAD_BYTES) / ENTRY_BYTES;

/// One task of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) task: u32,
    pub(super) node: u32,
    pub(super) argument: u64,
    pub(super) state: State,
    pub(super) call: u8,
    pub(super) target: u8,
    pub(super) flags: u8,
    pub(super) value: u32,
}

impl Entry {
    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..4].copy_from_slice(&self.task.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.node.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.argument.to_ne_bytes());
        bytes[16..20].copy_from_slice(&[self.state as u8, self.call, self.target, self.flags]);
        bytes[20..].copy_from_slice(&self.value.to_ne_bytes());
        bytes
    }
}

/// The head of a snapshot, without its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) at_ns: u64,
    pub(super) async_requests: u16,
    pub(super) stalled_us: u32,
}

/// The tables.
#[derive(Debug)]
pub(super) struct SnapshotTable {
    head: &'static Snapshots,
    tables: [*mut u8; 2],
    /// Time without a CPU that belongs to the next snapshot, because the one before it was thinned out.
    carried_us: u32,
}

// SAFETY: the tables are plain memory that this value alone writes, on whichever thread it is.
unsafe impl Send for SnapshotTable {}

impl SnapshotTable {
    /// Takes over [`BYTES`] of zeros.
    ///
    /// # Safety
    /// `payload` is 64-aligned, has that many bytes, which stay for good, and nothing else writes to them.
    pub(super) unsafe fn new(payload: *mut u8) -> Self {
        // SAFETY: by contract; a `Snapshots` is 64 bytes of atomics.
        let head = unsafe { &*payload.cast::<Snapshots>() };
        // SAFETY: by contract there are two tables behind the head.
        let tables = [HEAD_BYTES, HEAD_BYTES + TABLE_BYTES].map(|at| unsafe { payload.add(at) });
        Self { head, tables, carried_us: 0 }
    }

    /// The counters that go with the tables.
    pub(super) fn head(&self) -> &Snapshots {
        self.head
    }

    /// Appends a snapshot. Returns whether the tables were thinned out for it: then the times between snapshots double.
    pub(super) fn append(&mut self, moment: Moment, entries: &[Entry]) -> bool {
        let entries = entries.get(..MOST_ENTRIES).unwrap_or(entries);
        let bytes = SNAPSHOT_HEAD_BYTES + entries.len() * ENTRY_BYTES;
        let is_full = TABLE_BYTES < self.used_of(self.active()) + bytes;
        if is_full {
            self.halve();
        }
        let table = self.active();
        let at = self.used_of(table);
        let moment = Moment {
            stalled_us: moment.stalled_us.saturating_add(core::mem::take(&mut self.carried_us)),
            ..moment
        };
        self.put_head(table, at, moment, entries.len() as u16);
        for (index, entry) in entries.iter().enumerate() {
            self.put(table, at + SNAPSHOT_HEAD_BYTES + index * ENTRY_BYTES, &entry.encode());
        }
        // Release: pairs with the reader of the growing file; the snapshot is complete.
        self.used(table).store((at + bytes) as u64, Release);
        let taken = &self.head.taken;
        taken.store(taken.load(Relaxed) + 1, Relaxed);
        is_full
    }

    /// Copies every other snapshot into the other table, which then is the active one.
    fn halve(&mut self) {
        let from = self.active();
        let to = 1 - from;
        self.used(to).store(0, Relaxed);
        let end = self.used_of(from);
        let (mut at, mut filled) = (0, 0);
        let mut carried_us = 0_u32;
        let mut is_kept = false;
        while at + SNAPSHOT_HEAD_BYTES <= end {
            let Some((moment, count)) = self.moment_at(from, at) else {
                break;
            };
            let bytes = SNAPSHOT_HEAD_BYTES + usize::from(count) * ENTRY_BYTES;
            carried_us = carried_us.saturating_add(moment.stalled_us);
            // The second of each pair: it stands for the time since the one before the first.
            if is_kept {
                self.copy(from, at, to, filled, bytes);
                let moment = Moment { stalled_us: core::mem::take(&mut carried_us), ..moment };
                self.put_head(to, filled, moment, count);
                filled += bytes;
            }
            is_kept = !is_kept;
            at += bytes;
        }
        self.carried_us = carried_us;
        self.used(to).store(filled as u64, Relaxed);
        let halvings = &self.head.halvings;
        halvings.store(halvings.load(Relaxed) + 1, Relaxed);
        // Release: pairs with the reader; the table and its length are complete.
        self.head.active.store(to as u32, Release);
    }

    fn active(&self) -> usize {
        // Relaxed: this value alone writes it.
        (self.head.active.load(Relaxed) & 1) as usize
    }

    fn used(&self, table: usize) -> &AtomicU64 {
        if table == 0 { &self.head.used_0 } else { &self.head.used_1 }
    }

    fn used_of(&self, table: usize) -> usize {
        self.used(table).load(Relaxed) as usize
    }

    fn put_head(&mut self, table: usize, at: usize, moment: Moment, count: u16) {
        let mut bytes = [0; SNAPSHOT_HEAD_BYTES];
        bytes[..8].copy_from_slice(&moment.at_ns.to_ne_bytes());
        bytes[8..10].copy_from_slice(&count.to_ne_bytes());
        bytes[10..12].copy_from_slice(&moment.async_requests.to_ne_bytes());
        bytes[12..].copy_from_slice(&moment.stalled_us.to_ne_bytes());
        self.put(table, at, &bytes);
    }

    fn moment_at(&self, table: usize, at: usize) -> Option<(Moment, u16)> {
        let mut bytes = [0_u8; SNAPSHOT_HEAD_BYTES];
        if TABLE_BYTES < at + bytes.len() {
            return None;
        }
        // SAFETY: within the table by the lines above; nobody writes meanwhile.
        unsafe {
            self.tables[table].add(at).copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len());
        }
        let [n0, n1, n2, n3, n4, n5, n6, n7, c0, c1, r0, r1, s0, s1, s2, s3] = bytes;
        let moment = Moment {
            at_ns: u64::from_ne_bytes([n0, n1, n2, n3, n4, n5, n6, n7]),
            async_requests: u16::from_ne_bytes([r0, r1]),
            stalled_us: u32::from_ne_bytes([s0, s1, s2, s3]),
        };
        Some((moment, u16::from_ne_bytes([c0, c1])))
    }

    fn put(&mut self, table: usize, at: usize, bytes: &[u8]) {
        if TABLE_BYTES < at + bytes.len() {
            return;
        }
        // SAFETY: within the table by the line above; readers look below `used` only.
        unsafe {
            self.tables[table].add(at).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    fn copy(&mut self, from: usize, from_at: usize, to: usize, to_at: usize, bytes: usize) {
        if TABLE_BYTES < from_at + bytes || TABLE_BYTES < to_at + bytes {
            return;
        }
        // SAFETY: within both tables by the line above, and the tables are two.
        unsafe {
            self.tables[to]
                .add(to_at)
                .copy_from_nonoverlapping(self.tables[from].add(from_at), bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{SnapshotsData, u32_at, u64_at};

    const ENTRY: Entry = Entry {
        task: 3,
        node: 9,
        argument: 0x7f00,
        state: State::Blocked,
        call: 2,
        target: 0,
        flags: 1,
        value: 2,
    };

    fn table() -> SnapshotTable {
        // Aligned as the payload of a chunk is.
        let layout = std::alloc::Layout::from_size_align(BYTES, 64).unwrap();
        // SAFETY: the layout has a size; the memory is leaked, zero, aligned, and handed to the table alone.
        unsafe { SnapshotTable::new(std::alloc::alloc_zeroed(layout)) }
    }

    /// What a reader of the file would see: time, requests and stalled time of each snapshot, and its entries.
    fn read(table: &SnapshotTable) -> Vec<(u64, u16, u32, Vec<Vec<u8>>)> {
        // SAFETY: the head is 64 bytes of atomics, which nobody writes now.
        let head =
            unsafe { core::slice::from_raw_parts(core::ptr::from_ref(table.head).cast(), 64) };
        let head = SnapshotsData::read(head).unwrap();
        let used = [head.used_0, head.used_1][head.active as usize] as usize;
        // SAFETY: the table has `TABLE_BYTES`, of which `used` were written.
        let bytes =
            unsafe { core::slice::from_raw_parts(table.tables[head.active as usize], used) };
        let mut found = Vec::new();
        let mut at = 0;
        while at < used {
            let counts = u32_at(bytes, at + 8).unwrap();
            let entries = (counts & 0xFFFF) as usize;
            let first = at + SNAPSHOT_HEAD_BYTES;
            let end = first + entries * ENTRY_BYTES;
            let entries = bytes[first..end].chunks(ENTRY_BYTES).map(<[u8]>::to_vec).collect();
            let stalled = u32_at(bytes, at + 12).unwrap();
            found.push((u64_at(bytes, at).unwrap(), (counts >> 16) as u16, stalled, entries));
            at = end;
        }
        found
    }

    fn moment(at_ns: u64) -> Moment {
        Moment { at_ns, async_requests: 7, stalled_us: 10 }
    }

    #[test]
    fn what_is_appended_is_read() {
        let mut table = table();
        assert!(!table.append(moment(5), &[ENTRY, Entry { task: 4, ..ENTRY }]));
        assert!(!table.append(moment(8), &[]));
        let found = read(&table);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].0, found[0].1, found[0].2), (5, 7, 10));
        assert_eq!(found[0].3.len(), 2);
        let entry = &found[0].3[1];
        assert_eq!((u32_at(entry, 0), u32_at(entry, 4)), (Some(4), Some(9)));
        assert_eq!(u64_at(entry, 8), Some(0x7f00));
        assert_eq!(entry[16..20], [State::Blocked as u8, 2, 0, 1]);
        assert_eq!(u32_at(entry, 20), Some(2));
        assert_eq!((found[1].0, found[1].3.len()), (8, 0));
    }

    #[test]
    fn a_full_table_keeps_every_other_snapshot_and_all_of_the_stalled_time() {
        let mut table = table();
        let mut last = 0;
        while !table.append(moment(last + 1), &[ENTRY; 16]) {
            last += 1;
        }
        last += 1;
        let found = read(&table);
        let times: Vec<u64> = found.iter().map(|it| it.0).collect();
        let kept: Vec<u64> = (2..last).step_by(2).chain([last]).collect();
        assert_eq!(times, kept);
        assert_eq!(found.iter().map(|it| u64::from(it.2)).sum::<u64>(), 10 * last);
        assert!(found.iter().all(|it| it.3.len() == 16 && it.1 == 7));
        assert_eq!(table.head().taken.load(Relaxed), last);
    }

    #[test]
    fn times_rise_after_many_halvings_and_nothing_is_ever_torn() {
        let mut table = table();
        let mut halvings = 0;
        for at in 1..200_000_u64 {
            // Sizes that do not divide the table.
            halvings += u32::from(table.append(moment(at), &[ENTRY; 37][..(at % 37) as usize]));
            if at % 997 == 0 {
                let found = read(&table);
                assert!(found.is_sorted_by(|a, b| a.0 < b.0), "after {at}");
                assert_eq!(found.iter().map(|it| u64::from(it.2)).sum::<u64>(), 10 * at);
            }
        }
        assert_eq!(table.head().halvings.load(Relaxed), halvings);
        assert!(halvings > 5, "{halvings}");
    }

    #[test]
    fn a_snapshot_of_too_many_tasks_is_cut() {
        let mut table = table();
        for at in 1..100 {
            table.append(moment(at), &vec![ENTRY; MOST_ENTRIES + 9]);
            assert!(read(&table).iter().all(|it| it.3.len() == MOST_ENTRIES));
        }
    }
}

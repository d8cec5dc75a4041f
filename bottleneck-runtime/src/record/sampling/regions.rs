//! Which memory may be probed: what has been mapped the same way for a while and has never come and gone. Made from the lines
//! of `/proc/self/maps`, again and again; pure, but for what files are.

use std::collections::HashMap;

use super::eligible::{RANGES, REGION_BYTES, Range};
use crate::os::address_space::{Line, Tag};

/// A stretch is eligible once it has been the same for so long, and in so many lists.
const SAME_NS: u64 = 1_000_000_000;
/// In the first moments of a run, where there was no time for that.
const FIRST_SAME_NS: u64 = 150_000_000;
const FIRST_LISTS: u32 = 3;
/// How long the first moments last.
const FIRST_NS: u64 = 2_000_000_000;
/// Memory that came or went so often by regions is never probed.
const MOST_CHANGES: u32 = 2;
/// More regions than this change at once: then every stretch has to prove itself anew.
const MOST_REGIONS: u64 = 65_536;

/// A stretch of memory as it was in the newest list.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    range: Range,
    since_ns: u64,
    lists: u32,
}

/// The stretches of a process over time.
#[derive(Debug, Default)]
pub(super) struct Regions {
    stretches: Vec<Stretch>,
    next: Vec<Stretch>,
    /// How often memory changed in a region; `MOST_CHANGES` where it is not to be probed again.
    changes: HashMap<u64, u32>,
    first_ns: Option<u64>,
    /// Whether a file may be probed, by its tag.
    files: HashMap<Tag, bool>,
}

impl Regions {
    /// Takes in a list. `is_plain_file` tells whether a file's pages may be read at any time.
    pub(super) fn see(
        &mut self,
        text: &str,
        now_ns: u64,
        mut is_plain_file: impl FnMut(&Line<'_>) -> bool,
    ) {
        let is_first = self.first_ns.is_none();
        self.first_ns.get_or_insert(now_ns);
        self.next.clear();
        let before = core::mem::take(&mut self.stretches);
        let mut old = before.iter().peekable();
        for line in text.lines().filter_map(Line::parse) {
            if !is_candidate(&line) {
                continue;
            }
            let tag = line.tag();
            let is_file = line.inode != 0;
            if is_file && !*self.files.entry(tag).or_insert_with(|| is_plain_file(&line)) {
                continue;
            }
            // Where the stretch was before with the same tag it keeps its age.
            let mut at = line.start;
            while at < line.end {
                while old.next_if(|stretch| stretch.range.end <= at).is_some() {}
                let known = old.peek().filter(|stretch| stretch.range.start < line.end);
                let (until, since_ns, lists) = match known {
                    Some(stretch) if stretch.range.start <= at => {
                        let until = stretch.range.end.min(line.end);
                        if stretch.range.tag == tag {
                            (until, stretch.since_ns, stretch.lists.saturating_add(1))
                        } else {
                            (until, now_ns, 1)
                        }
                    }
                    Some(stretch) => (stretch.range.start, now_ns, 1),
                    None => (line.end, now_ns, 1),
                };
                self.next.push(Stretch {
                    range: Range { start: at, end: until, tag },
                    since_ns,
                    lists,
                });
                at = until;
            }
        }
        if !is_first {
            self.note_gone(&before);
        }
        self.stretches = before;
        core::mem::swap(&mut self.stretches, &mut self.next);
    }

    /// Counts a change wherever something that was there is not, or is something else.
    fn note_gone(&mut self, before: &[Stretch]) {
        let mut gone = Vec::new();
        let mut new = self.next.iter().peekable();
        for old in before {
            let mut at = old.range.start;
            while at < old.range.end {
                while new.next_if(|stretch| stretch.range.end <= at).is_some() {}
                let here = new.peek().filter(|stretch| stretch.range.start < old.range.end);
                let until = match here {
                    Some(stretch) if stretch.range.start <= at => {
                        let until = stretch.range.end.min(old.range.end);
                        if stretch.range.tag == old.range.tag {
                            at = until;
                            continue;
                        }
                        until
                    }
                    Some(stretch) => stretch.range.start,
                    None => old.range.end,
                };
                gone.push((at, until, old.lists));
                at = until;
            }
        }
        for (start, end, lists) in gone {
            let regions = start / REGION_BYTES..end.div_ceil(REGION_BYTES);
            if MOST_REGIONS < regions.end - regions.start {
                for stretch in &mut self.next {
                    stretch.lists = 0;
                }
                continue;
            }
            // What was there for long enough to be probed must not come back under a probe.
            let weight = if FIRST_LISTS <= lists { MOST_CHANGES } else { 1 };
            for region in regions {
                *self.changes.entry(region).or_default() += weight;
            }
        }
    }

    /// These regions turned out to be something else than the list said.
    pub(super) fn exclude(&mut self, regions: impl Iterator<Item = u64>) {
        for region in regions {
            self.changes.insert(region, MOST_CHANGES);
        }
    }

    /// What may be probed now. Where there is more than the table holds, the largest.
    pub(super) fn eligible(&self, now_ns: u64) -> Vec<Range> {
        let age_ns = now_ns.saturating_sub(self.first_ns.unwrap_or(now_ns));
        let same_ns = if age_ns < FIRST_NS { FIRST_SAME_NS } else { SAME_NS };
        let mut ranges: Vec<Range> = Vec::new();
        for stretch in &self.stretches {
            let is_old = same_ns <= now_ns.saturating_sub(stretch.since_ns);
            if is_old && FIRST_LISTS <= stretch.lists {
                self.push_unchanged(&mut ranges, stretch.range);
            }
        }
        if RANGES < ranges.len() {
            ranges.sort_unstable_by_key(|range| core::cmp::Reverse(range.end - range.start));
            ranges.truncate(RANGES);
            ranges.sort_unstable_by_key(|range| range.start);
        }
        ranges
    }

    /// Appends the parts of a range in which nothing changes again and again.
    fn push_unchanged(&self, ranges: &mut Vec<Range>, range: Range) {
        let mut changed: Vec<u64> = self
            .changes
            .iter()
            .filter(|&(region, &changes)| {
                MOST_CHANGES <= changes
                    && region * REGION_BYTES < range.end
                    && range.start < (region + 1) * REGION_BYTES
            })
            .map(|(&region, _)| region)
            .collect();
        changed.sort_unstable();
        let mut at = range.start;
        for region in changed {
            let start = (region * REGION_BYTES).max(range.start);
            if at < start {
                ranges.push(Range { start: at, end: start, tag: range.tag });
            }
            at = (region + 1) * REGION_BYTES;
        }
        if at < range.end {
            ranges.push(Range { start: at, end: range.end, tag: range.tag });
        }
    }
}

/// Whether a mapping is of a sort that may be probed: private anonymous memory, or a file.
fn is_candidate(line: &Line<'_>) -> bool {
    if !line.is_readable() {
        return false;
    }
    if line.inode == 0 {
        let is_plain =
            ["", "[heap]", "[stack]"].contains(&line.path) || line.path.starts_with("[anon:");
        return is_plain && !line.is_shared() && line.device == (0, 0);
    }
    line.path.starts_with('/')
        && !["/dev/", "/proc/", "/sys/", "/memfd:", "/SYSV", "/anon_hugepage"]
            .iter()
            .any(|place| line.path.starts_with(place))
        && ![" (deleted)", ".bneck"].iter().any(|end| line.path.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn anonymous(start: u64, end: u64) -> String {
        format!("{start:x}-{end:x} rw-p 00000000 00:00 0 \n")
    }

    /// Sees the same list at these times, in milliseconds.
    fn seen(regions: &mut Regions, text: &str, times: &[u64]) {
        for time in times {
            regions.see(text, time * MS, |_| true);
        }
    }

    fn ranges(regions: &Regions, at_ms: u64) -> Vec<(u64, u64)> {
        regions.eligible(at_ms * MS).iter().map(|range| (range.start, range.end)).collect()
    }

    const BIG: u64 = 64 * REGION_BYTES;

    #[test]
    fn memory_is_eligible_once_it_has_been_the_same_for_a_while() {
        let mut regions = Regions::default();
        let text = anonymous(BIG, BIG + 0x5000);
        seen(&mut regions, &text, &[0, 80]);
        assert!(ranges(&regions, 80).is_empty());
        seen(&mut regions, &text, &[160]);
        assert_eq!(ranges(&regions, 160), [(BIG, BIG + 0x5000)]);
        // Later it takes a second.
        let both = anonymous(BIG, BIG + 0x5000) + &anonymous(2 * BIG, 3 * BIG);
        seen(&mut regions, &both, &[3000, 3250, 3500, 3750]);
        assert_eq!(ranges(&regions, 3750), [(BIG, BIG + 0x5000)]);
        seen(&mut regions, &both, &[4000]);
        assert_eq!(ranges(&regions, 4000).len(), 2);
    }

    #[test]
    fn what_grows_keeps_its_age_and_what_is_new_has_none() {
        let mut regions = Regions::default();
        seen(&mut regions, &anonymous(BIG, BIG + 0x5000), &[0, 80, 160]);
        seen(&mut regions, &anonymous(BIG - 0x1000, BIG + 0x9000), &[200]);
        assert_eq!(ranges(&regions, 200), [(BIG, BIG + 0x5000)]);
    }

    #[test]
    fn what_came_and_went_is_never_eligible_again() {
        let mut regions = Regions::default();
        let (kept, goes) = (anonymous(BIG, 2 * BIG), anonymous(3 * BIG, 3 * BIG + 0x1000));
        let both = kept.clone() + &goes;
        seen(&mut regions, &both, &[0, 80, 160, 240]);
        assert_eq!(ranges(&regions, 240).len(), 2);
        seen(&mut regions, &kept, &[320]);
        seen(&mut regions, &both, &[1000, 2000, 3000, 4000, 9000]);
        assert_eq!(ranges(&regions, 9000), [(BIG, 2 * BIG)]);
    }

    #[test]
    fn another_mapping_at_the_same_place_is_another_one() {
        let mut regions = Regions::default();
        let file = format!("{:x}-{:x} r--p 00000000 08:01 77 /data/weights\n", BIG, 2 * BIG);
        seen(&mut regions, &anonymous(BIG, 2 * BIG), &[0, 80]);
        seen(&mut regions, &file, &[160, 240]);
        assert!(ranges(&regions, 240).is_empty());
    }

    #[test]
    fn a_reported_region_is_cut_out() {
        let mut regions = Regions::default();
        seen(&mut regions, &anonymous(BIG, BIG + 4 * REGION_BYTES), &[0, 80, 160]);
        regions.exclude([65].into_iter());
        let expected =
            [(BIG, BIG + REGION_BYTES), (BIG + 2 * REGION_BYTES, BIG + 4 * REGION_BYTES)];
        assert_eq!(ranges(&regions, 160), expected);
    }

    #[test]
    fn only_private_memory_and_files_are_candidates() {
        for (line, expected) in [
            ("1000-2000 rw-p 00000000 00:00 0 ", true),
            ("1000-2000 rw-p 00000000 00:00 0 [heap]", true),
            ("1000-2000 rw-p 00000000 00:00 0 [anon:arena]", true),
            ("1000-2000 r--p 00000000 08:01 5 /data/weights", true),
            ("1000-2000 r--s 00000000 08:01 5 /data/weights", true),
            ("1000-2000 ---p 00000000 00:00 0 ", false),
            ("1000-2000 rw-s 00000000 00:00 0 ", false),
            ("1000-2000 rw-s 00000000 00:01 5 /dev/zero (deleted)", false),
            ("1000-2000 rw-s 00000000 00:05 5 /dev/nvidia0", false),
            ("1000-2000 rw-s 00000000 00:01 5 /memfd:x (deleted)", false),
            ("1000-2000 r--p 00000000 08:01 5 /data/weights (deleted)", false),
            ("1000-2000 rw-s 00000000 08:01 5 /runs/1-2.bneck", false),
            ("1000-2000 rw-s 00000000 00:0e 5 anon_inode:[perf_event]", false),
            ("1000-2000 r-xp 00000000 00:00 0 [vdso]", false),
            ("1000-2000 r--p 00000000 00:00 0 [vvar]", false),
        ] {
            assert_eq!(is_candidate(&Line::parse(line).unwrap()), expected, "{line}");
        }
    }
}

//! Sampled instructions: from the chunks of samples, accesses, code and maps to a [`Sampling`].
//!
//! Every address, reference and number may lie. What names no path, or a time outside the run, is dropped and counted. Takes
//! time linear in the chunks, up to sorting, and copies at most a small multiple of them.

use std::collections::BTreeMap;

use bottleneck_runtime::format::accesses::{self, ENTRIES};
use bottleneck_runtime::format::code::{BLOCK_BYTES, ENTRY_BYTES};
use bottleneck_runtime::format::{AccessData, Accesses, AccessesData, samples, u32_at, u64_at};

use super::SpanIdx;
use super::clock::Clock;
use super::moments::{RawSamples, most_samples};
use super::sampling::{Access, Block, Code, Counted, Mapping, Probe, Probing, Sampling};
use super::tree::{References, with_slack};
use super::warning::{Damage, Damages};

const ACCESS_BYTES: usize = size_of::<accesses::Access>();
const HEAD_BYTES: usize = size_of::<Accesses>();
/// More threads than a process has.
const MOST_THREADS: u64 = 1 << 22;
/// The longest line of a path that the kernel writes, with room for its marks.
const LONGEST_PATH: usize = 4_200;

/// The chunks, before anything in them is converted.
#[derive(Debug, Default)]
pub(super) struct RawSampling<'a> {
    /// The text of each chunk.
    maps: Vec<&'a str>,
    /// By address; of two with one address the later one.
    blocks: BTreeMap<u64, &'a [u8]>,
    accesses: Option<(AccessesData, &'a [u8])>,
}

impl<'a> RawSampling<'a> {
    pub(super) fn add_maps(&mut self, text: Option<&'a str>) -> bool {
        self.maps.extend(text);
        text.is_some()
    }

    /// The next chunk of code: its first `written` entries.
    pub(super) fn add_code(&mut self, payload: &'a [u8], written: u32, damages: &mut Damages) {
        let written = written as usize;
        if written > payload.len() / ENTRY_BYTES {
            damages.note(Damage::Code);
        }
        for entry in payload.chunks_exact(ENTRY_BYTES).take(written) {
            match block(entry) {
                Some((_, [])) => {}
                Some((start, bytes)) => {
                    self.blocks.insert(start, bytes);
                }
                None => damages.note(Damage::Code),
            }
        }
    }

    pub(super) fn add_accesses(&mut self, payload: &'a [u8]) -> bool {
        let Some(head) = AccessesData::read(payload).filter(|_| self.accesses.is_none()) else {
            return false;
        };
        self.accesses = Some((head, payload.get(HEAD_BYTES..).unwrap_or_default()));
        true
    }

    /// Everything that was sampled; `None` where nothing could be.
    pub(super) fn finish(
        &self,
        counted: Option<&RawSamples<'_>>,
        references: &References,
        clock: &Clock,
        damages: &mut Damages,
    ) -> Option<Sampling> {
        let head = counted.map(|samples| samples.head).unwrap_or_default();
        let data = self.accesses.map(|(data, _)| data).unwrap_or_default();
        let mut res = Sampling {
            period_ns: if head.period_ns > 0 { head.period_ns } else { data.period_ns },
            lost: head.lost,
            ..Sampling::default()
        };
        if let Some(samples) = counted {
            res.counted = self::counted(samples, references, clock, damages);
        }
        res.accesses = self.accesses(references, clock, damages);
        res.accesses_seen = data.begun.max(res.accesses.len() as u64);
        if res.period_ns == 0 && res.counted.is_empty() && res.accesses.is_empty() {
            return None;
        }
        res.code = Code { maps: mappings(&self.maps, damages), blocks: joined(&self.blocks) };
        res.probing = probing(&data, clock, damages);
        Some(res)
    }

    fn accesses(
        &self,
        references: &References,
        clock: &Clock,
        damages: &mut Damages,
    ) -> Vec<Access> {
        let Some((_, entries)) = self.accesses else { return Vec::new() };
        let entries = entries.chunks_exact(ACCESS_BYTES).take(ENTRIES);
        let written = entries.filter_map(AccessData::read).filter(|entry| entry.ticks != 0);
        let mut res: Vec<Access> = Vec::new();
        for data in written {
            let Some(&span) = references.spans.get(&data.node) else {
                // Outside spans, or of a path that the damage took.
                if !references.threads.contains_key(&data.node) {
                    damages.note(Damage::Sample);
                }
                continue;
            };
            match access(&data, span, clock) {
                Some(access) => res.push(access),
                None => damages.note(Damage::Sample),
            }
        }
        res.sort_by_key(|access| access.at_ns);
        res
    }
}

impl Code {
    /// Code from entries of chunks as they lie in a recording, one behind the other, and from lists of mappings; of two that
    /// know an address the later one counts. What cannot be is dropped.
    pub fn read(entries: &[u8], maps: &[String]) -> Self {
        let blocks = entries.chunks_exact(ENTRY_BYTES).filter_map(block);
        let blocks = blocks.filter(|(_, bytes)| !bytes.is_empty()).collect();
        let texts: Vec<&str> = maps.iter().map(String::as_str).collect();
        Self { maps: mappings(&texts, &mut Damages::default()), blocks: joined(&blocks) }
    }
}

/// Samples by path and instruction. Damage to the spans' own was counted when they were added up by path.
fn counted(
    samples: &RawSamples<'_>,
    references: &References,
    clock: &Clock,
    damages: &mut Damages,
) -> Vec<Counted> {
    let most = most_samples(clock);
    // Those that are adopted are of any number of threads.
    let most_adopted = most.saturating_mul(MOST_THREADS);
    let mut res = Vec::new();
    for sample in samples.slots() {
        let Some(&span) = references.spans.get(&sample.node) else { continue };
        let is_adopted = sample.flags & samples::FLAG_ADOPTED != 0;
        if is_adopted && sample.count > most_adopted {
            damages.note(Damage::Count);
        }
        if sample.count > if is_adopted { most_adopted } else { most } {
            continue;
        }
        res.push(Counted {
            span,
            sampled: sample.address,
            n: sample.count,
            is_adopted,
            spins: sample.flags & samples::FLAG_SPINS != 0,
        });
    }
    res
}

/// `None` for a time outside the run.
fn access(data: &AccessData, span: SpanIdx, clock: &Clock) -> Option<Access> {
    let at_ns = clock.instant_ns(data.ticks)?;
    if at_ns > with_slack(clock.life_ns()) {
        return None;
    }
    let probe = |address: u64, ticks: u32| {
        // A load whose memory had gone away took no time.
        (address != 0 && ticks != 0).then_some(Probe { address, ticks })
    };
    let since = Some(data.open_since).filter(|&ticks| ticks != 0);
    let open_for = since.and_then(|ticks| data.ticks.checked_sub(ticks));
    Some(Access {
        at_ns: at_ns.min(clock.life_ns()),
        span,
        thread: data.thread,
        sampled: data.sampled,
        address: Some(data.address).filter(|&address| address != 0),
        phase_ns: open_for
            .map(|ticks| clock.duration_ns(ticks))
            .filter(|&ns| ns <= at_ns)
            .map(|ns| ns.min(clock.life_ns())),
        call: data.open_since,
        probes: [probe(data.probed_0, data.latency_0), probe(data.probed_1, data.latency_1)],
        faults: data.faults,
        kernel_us: u64::from(data.kernel_us),
        cpu_us: u64::from(data.cpu_us),
        is_adopted: data.flags & accesses::FLAG_ADOPTED != 0,
    })
}

fn probing(data: &AccessesData, clock: &Clock, damages: &mut Damages) -> Probing {
    let handler_ns = clock.duration_ns(data.handler_ticks);
    let is_possible = handler_ns <= with_slack(clock.life_ns()).saturating_mul(MOST_THREADS);
    if !is_possible {
        damages.note(Damage::Time);
    }
    Probing {
        had_partner: data.partner != 0,
        samples: data.samples,
        handler_ns: if is_possible { handler_ns } else { 0 },
        probes: data.probes,
        not_eligible: data.not_eligible,
        not_resident: data.not_resident,
        faults: data.faults,
        unadopted: data.unadopted,
    }
}

/// The address and the bytes of an entry; `None` for one that cannot be.
fn block(entry: &[u8]) -> Option<(u64, &[u8])> {
    let (address, first, len) = (u64_at(entry, 0)?, u32_at(entry, 8)?, u32_at(entry, 12)?);
    let code = entry.get(ENTRY_BYTES - BLOCK_BYTES..)?;
    let end = u64::from(first) + u64::from(len);
    let is_whole = address.is_multiple_of(BLOCK_BYTES as u64)
        && address.checked_add(BLOCK_BYTES as u64).is_some()
        && end <= BLOCK_BYTES as u64;
    let bytes = code.get(first as usize..usize::try_from(end).ok()?).filter(|_| is_whole)?;
    Some((address + u64::from(first), bytes))
}

/// Neighbors become one.
fn joined(blocks: &BTreeMap<u64, &[u8]>) -> Vec<Block> {
    let mut res: Vec<Block> = Vec::new();
    for (&start, bytes) in blocks {
        match res.last_mut() {
            Some(before) if before.start + before.bytes.len() as u64 == start => {
                before.bytes.extend_from_slice(bytes);
            }
            // Two readings of one block that began at different bytes.
            Some(before) if before.start + before.bytes.len() as u64 > start => {}
            _ => res.push(Block { start, bytes: bytes.to_vec() }),
        }
    }
    res
}

/// The mappings of all texts; where two know an address, the later one counts.
fn mappings(texts: &[&str], damages: &mut Damages) -> Vec<Mapping> {
    // What a path may be copied for: a mapping that a later one splits is there twice.
    let mut room = texts.iter().map(|text| text.len()).sum::<usize>().saturating_mul(4);
    let mut res = Vec::new();
    // Stretches that a later text has told of, by their starts, with their ends; none touches another.
    let mut told: BTreeMap<u64, u64> = BTreeMap::new();
    for line in texts.iter().rev().flat_map(|text| text.lines()) {
        let Some((start, end, offset, path)) = mapping(line) else {
            damages.note(Damage::Code);
            continue;
        };
        let reaches = |it: &(&u64, &u64)| start <= *it.1;
        let from = told.range(..=start).next_back().filter(reaches).map_or(start, |it| *it.0);
        let within: Vec<(u64, u64)> = told.range(from..=end).map(|it| (*it.0, *it.1)).collect();
        let mut at = start;
        for &(first, behind) in within.iter().chain([&(end, end)]) {
            if at < first {
                let Some(left) = room.checked_sub(path.len()) else {
                    damages.note(Damage::Code);
                    break;
                };
                room = left;
                res.push(Mapping {
                    start: at,
                    end: first,
                    offset: offset.saturating_add(at - start),
                    path: path.to_owned(),
                });
            }
            at = at.max(behind);
        }
        for (first, _) in &within {
            told.remove(first);
        }
        told.insert(from.min(start), at.max(end));
    }
    res.sort_by_key(|mapping| mapping.start);
    res
}

/// `start-end perms offset device inode path`.
fn mapping(line: &str) -> Option<(u64, u64, u64, &str)> {
    let hex = |digits: &str| u64::from_str_radix(digits, 16).ok();
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let (start, end) = (hex(start)?, hex(end)?);
    let (_permissions, rest) = rest.split_once(' ')?;
    let (offset, rest) = rest.split_once(' ')?;
    let (_device, rest) = rest.split_once(' ')?;
    // Mappings of no file end behind the inode.
    let path = rest.split_once(' ').map_or("", |(_inode, path)| path.trim_start());
    (start < end && path.len() <= LONGEST_PATH).then_some((start, end, hex(offset)?, path))
}

#[cfg(test)]
mod tests;

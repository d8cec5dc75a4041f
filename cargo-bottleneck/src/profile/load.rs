//! Bytes to a [`Profile`]: collects the chunks, sets the clock, and hands the trees to [`super::tree`].
//!
//! Any bytes may come in. Everything here is linear in the file and allocates at most a small multiple of it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use bottleneck_runtime::format::chunk::chunks;
use bottleneck_runtime::format::{
    CHUNK_HEAD_BYTES, ChunkKind, HEADER_BYTES, HeaderData, SiteRecord, TreeData, tree, u32_at,
    u64_at,
};

use super::clock::{Anchor, Clock};
use super::device_chunks::RawDevices;
use super::moments::RawMoments;
use super::sampled::RawSampling;
use super::tree::{RawThread, References, Slots};
use super::warning::{Damage, Damages};
use super::{
    Capability, Column, Dtype, Losses, NotAProfile, Profile, RowIdx, Site, SiteIdx, Warning,
};
use crate::kind::Kind;

/// Reads a profile. `death_ns` is `CLOCK_MONOTONIC` when the process was seen to be gone, on the machine that it ran on: a
/// run that was cut ends then, and without it at the last sign of life in the file.
///
/// Linear in the size of the file; 20 000 paths take tens of milliseconds.
///
/// # Errors
/// The bytes are not a profile, or one that this version does not read. Damage is no error: it is in the warnings.
pub fn load(bytes: &[u8], death_ns: Option<u64>) -> Result<(Profile, Vec<Warning>), NotAProfile> {
    let header = HeaderData::open(bytes).map_err(NotAProfile)?;
    let mut damages = Damages::default();
    let mut parts = Parts::collect(bytes, &header, &mut damages);
    parts.trees.sort_by_cached_key(thread_order);
    let mut clock = Clock::new(&header, &parts.anchors, death_ns, &mut damages);
    let mut slots = Slots::new(bytes, parts.nodes, parts.histograms);
    let raw: Vec<RawThread> =
        parts.trees.iter().filter_map(|tree| slots.gather(*tree, &mut damages)).collect();
    for thread in &raw {
        thread.extend_life(&mut clock);
    }
    parts.moments.extend_life(&mut clock);
    let mut sites = Sites::new(parts.sites);
    let (threads, spans) =
        super::tree::finish(&raw, &slots, &clock, &mut sites, &parts.keys, &mut damages);
    let references = References::new(&raw);
    let snapshots = parts.moments.snapshots(&references, &spans, &clock, &mut damages);
    let samples = parts.moments.samples(&references, spans.len(), &clock, &mut damages);
    let counted = parts.moments.samples.as_ref();
    let sampling = parts.sampling.finish(counted, &references, &clock, &mut damages);
    let conditions = parts.moments.conditions(&clock, &mut damages);
    let span_cost = clock.duration_ns(header.span_cost) as f64 / 1024.0;
    let profile = Profile {
        pid: header.pid,
        build_id: header.build_id,
        start_ns: clock.start_ns(),
        start_unix_ns: header.start_unix_ns,
        life_ns: clock.life_ns(),
        is_cut: clock.is_cut,
        is_uncalibrated: clock.is_uncalibrated,
        sites: sites.column,
        threads,
        spans,
        capabilities: parts.capabilities,
        run: parts.run,
        losses: Losses {
            spans: header.lost,
            refused: header.refused,
            out_of_order: header.out_of_order,
            switches: header.lost_switches,
            full_errno: (header.full & 1 != 0)
                .then(|| u32::try_from(header.full >> 32).unwrap_or(0)),
        },
        process_cpu_ns: Some(header.process_cpu_ns).filter(|&ns| ns > 0),
        cpus: Some(header.cpus).filter(|&n| n > 0),
        recorder_cpu_ns: if header.recorder_cpu_ns <= clock.life_ns() {
            header.recorder_cpu_ns
        } else {
            0
        },
        // A span costs tens of nanoseconds; a hundred microseconds is damage.
        span_cost_ns: (span_cost > 0.0 && span_cost < 100_000.0).then_some(span_cost),
        snapshots,
        samples,
        sampling,
        conditions,
        devices: parts.devices.finish(&references, &clock, &mut damages).map(Arc::new),
    };
    Ok((profile, damages.into_warnings()))
}

/// Main first, the recorder last, else by name and age.
fn thread_order(data: &TreeData) -> (bool, bool, String, u64, u32) {
    let is_main = data.flags & tree::FLAG_MAIN != 0;
    let is_recorder = data.flags & tree::FLAG_RECORDER != 0;
    (is_recorder, !is_main, data.name(), data.first_ns, data.tid)
}

/// What the chunks hold, before anything is converted.
#[derive(Default)]
struct Parts<'a> {
    sites: BTreeMap<u32, Site>,
    keys: HashMap<u64, Arc<str>>,
    nodes: Vec<Range<usize>>,
    histograms: Vec<Range<usize>>,
    trees: Vec<TreeData>,
    anchors: Vec<Anchor>,
    capabilities: Vec<Capability>,
    run: Option<serde_json::Value>,
    moments: RawMoments<'a>,
    sampling: RawSampling<'a>,
    devices: RawDevices<'a>,
}

impl<'a> Parts<'a> {
    fn collect(bytes: &'a [u8], header: &HeaderData, damages: &mut Damages) -> Self {
        let mut res = Self::default();
        let mut walked = HEADER_BYTES;
        for chunk in chunks(bytes) {
            let range = chunk.payload_offset..chunk.payload_offset + chunk.payload.len();
            walked = range.end;
            if chunk.is_cut {
                damages.note(Damage::Cut);
            }
            let is_read = match ChunkKind::from_number(chunk.kind) {
                Some(ChunkKind::Site) => res.add_site(chunk.payload),
                Some(ChunkKind::Key) => res.add_key(chunk.payload, chunk.aux),
                Some(ChunkKind::Nodes) => {
                    res.nodes.push(range);
                    true
                }
                Some(ChunkKind::Histograms) => {
                    res.histograms.push(range);
                    true
                }
                Some(ChunkKind::Tree) => {
                    TreeData::read(chunk.payload).map(|tree| res.trees.push(tree)).is_some()
                }
                Some(ChunkKind::Anchors) => {
                    res.add_anchors(chunk.payload, chunk.aux);
                    true
                }
                Some(ChunkKind::Capability) => res.add_capability(chunk.payload, chunk.aux),
                Some(ChunkKind::Run) => {
                    res.add_run(chunk.payload, chunk.aux, damages);
                    true
                }
                Some(ChunkKind::Tasks) => res.moments.add_tasks(chunk.payload, chunk.aux),
                Some(ChunkKind::Snapshots) => res.moments.add_snapshots(chunk.payload, damages),
                Some(ChunkKind::Samples) => res.moments.add_samples(chunk.payload),
                Some(ChunkKind::Conditions) => res.moments.add_conditions(chunk.payload),
                Some(ChunkKind::Maps) => res.sampling.add_maps(text(chunk.payload, chunk.aux)),
                Some(ChunkKind::Code) => {
                    res.sampling.add_code(chunk.payload, chunk.aux, damages);
                    true
                }
                Some(ChunkKind::Accesses) => res.sampling.add_accesses(chunk.payload),
                Some(ChunkKind::DeviceWork) => res.devices.add_works(chunk.payload, chunk.aux),
                Some(ChunkKind::DeviceName) => res.devices.add_name(chunk.payload, chunk.aux),
                Some(ChunkKind::Device) => res.devices.add_device(text(chunk.payload, chunk.aux)),
                // Recipes are for the program. No kind: being written when the program died, or of a later minor version.
                Some(ChunkKind::Recipes) | None => true,
            };
            if !is_read {
                damages.note(Damage::Record);
            }
        }
        // The smallest chunk is its head: less than that is the alignment behind the last one.
        if header.used > (walked.max(HEADER_BYTES) + CHUNK_HEAD_BYTES) as u64 {
            damages.note(Damage::Cut);
        }
        res
    }

    fn add_site(&mut self, payload: &[u8]) -> bool {
        let Some(record) = SiteRecord::decode(payload) else { return false };
        let site = Site {
            id: record.id,
            name: record.name.to_owned(),
            module: record.module.to_owned(),
            owner: record.owner.to_owned(),
            file: record.file.to_owned(),
            line: record.line,
            is_request: record.is_request,
            is_async: record.is_async,
            asserted: asserted(record.asserted),
            dtype: Dtype::from_number(record.dtype).unwrap_or(Dtype::F32),
        };
        self.sites.insert(record.index, site);
        true
    }

    fn add_key(&mut self, payload: &[u8], text_bytes: u32) -> bool {
        let Some(hash) = u64_at(payload, 0) else { return false };
        // Writers differ in whether the length counts the hash; what is too much of it is padding.
        let behind = payload.get(8..).unwrap_or_default();
        let text = behind.get(..text_bytes as usize).unwrap_or(behind);
        let Ok(text) = std::str::from_utf8(text) else { return false };
        self.keys.insert(hash, text.trim_end_matches('\0').into());
        true
    }

    fn add_anchors(&mut self, payload: &[u8], entries: u32) {
        let pairs = payload.chunks_exact(16).take(entries as usize);
        self.anchors.extend(
            pairs.filter_map(|pair| Some(Anchor { ticks: u64_at(pair, 0)?, ns: u64_at(pair, 8)? })),
        );
    }

    fn add_capability(&mut self, payload: &[u8], text_bytes: u32) -> bool {
        let Some(text) = text(payload, text_bytes) else { return false };
        let mut lines = text.splitn(3, '\n').map(str::trim);
        let (Some(name), Some(available)) = (lines.next(), lines.next()) else { return false };
        let is_available = match available {
            "0" => false,
            "1" => true,
            _ => return false,
        };
        let reason = lines.next().unwrap_or_default().to_owned();
        self.capabilities.push(Capability { name: name.to_owned(), is_available, reason });
        true
    }

    fn add_run(&mut self, payload: &[u8], text_bytes: u32, damages: &mut Damages) {
        match text(payload, text_bytes).and_then(|text| serde_json::from_str(text).ok()) {
            Some(run) => self.run = Some(run),
            None => damages.note(Damage::Run),
        }
    }
}

fn text(payload: &[u8], bytes: u32) -> Option<&str> {
    std::str::from_utf8(payload.get(..bytes as usize)?).ok()
}

fn asserted(number: u8) -> Option<Kind> {
    match number {
        1 => Some(Kind::Memory),
        2 => Some(Kind::Compute),
        3 => Some(Kind::Io),
        4 => Some(Kind::Scheduling),
        _ => None,
    }
}

/// The sites by the numbers that nodes name them by.
pub(super) struct Sites {
    pub(super) column: Column<SiteIdx, Site>,
    by_number: HashMap<u32, SiteIdx>,
}

impl Sites {
    fn new(sites: BTreeMap<u32, Site>) -> Self {
        let by_number = sites
            .keys()
            .enumerate()
            .map(|(at, &number)| (number, SiteIdx::from_position(at)))
            .collect();
        Self { column: sites.into_values().collect(), by_number }
    }

    /// The site with this number; one that cannot be read gets its number for a name.
    pub(super) fn find(&mut self, number: u32, damages: &mut Damages) -> SiteIdx {
        if let Some(&site) = self.by_number.get(&number) {
            return site;
        }
        damages.note(Damage::Site);
        let site = self.column.push(Site {
            id: u64::from(number),
            name: format!("[site {number}: unreadable]"),
            module: String::new(),
            owner: String::new(),
            file: String::new(),
            line: 0,
            is_request: false,
            is_async: false,
            asserted: None,
            dtype: Dtype::F32,
        });
        self.by_number.insert(number, site);
        site
    }
}

/// The `N`th little piece of a slot as `u32`s; a slot that is cut ends early.
pub(super) fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    (0..bytes.len() / 4).filter_map(|at| u32_at(bytes, at * 4))
}

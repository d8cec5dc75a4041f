//! How far away the data of a piece of code are just before it needs them, and how much of its time it waits for them.
//!
//! The share of samples that an access holds up, times the share of timed loads that came from DRAM, is the share of the time
//! that goes to waiting for DRAM; the same for a cache beyond the core's own. What a stream draws bounds it: data that the
//! hardware fetches in time holds nobody up, however far away it was. Good to about 15 points (`docs/TRUTH.md`): say *about
//! half*, never 52.3 %.

use std::collections::HashMap;

use crate::profile::sampling::Access;
use crate::profile::{Sampling, SpanIdx};

use super::band::Band;
use super::ceilings::{Ceilings, LoadTimes};
use super::hot_code::{HotCode, Piece, PieceIdx, What};
use super::stream::Stream;
use super::thresholds::{LEAST_PROBES, LEAST_SAMPLES, STALL_PER_BANDWIDTH};

/// What the timed loads of a piece say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Residency {
    /// Samples of its instructions.
    pub(super) samples: u64,
    /// Share of them that an access to data holds up.
    pub(super) accesses: Band,
    /// Timed loads of data that it needed next.
    pub(super) probes: u64,
    /// Share of them that came from DRAM.
    pub(super) from_dram: Band,
    /// Share of them that came from a cache beyond the core's own.
    pub(super) from_cache: Band,
    /// Share of its time that waits for DRAM.
    pub(super) dram_stall: Band,
    /// Share of its time that waits for such a cache.
    pub(super) cache_stall: Band,
    /// How its accesses advance.
    pub(super) stream: Option<Stream>,
}

/// Timed loads of one piece by where the data were.
#[derive(Clone, Copy, Debug, Default)]
struct Loads {
    near: u64,
    between: u64,
    far: u64,
}

impl Loads {
    fn n(self) -> u64 {
        self.near + self.between + self.far
    }

    fn add(&mut self, ticks: u32, times: &LoadTimes) {
        if ticks >= times.far {
            self.far += 1;
        } else if ticks >= times.near {
            self.between += 1;
        } else {
            self.near += 1;
        }
    }
}

/// Everything that the pieces of a run are judged by.
#[derive(Debug)]
pub(super) struct Measured<'a> {
    /// By piece.
    loads: Vec<Loads>,
    /// By piece, by rising time.
    accesses: Vec<Vec<&'a Access>>,
    /// Of one thread, in bytes per second.
    pub(super) bandwidth: Option<f64>,
}

impl<'a> Measured<'a> {
    pub(super) fn of(
        sampling: &'a Sampling,
        code: &HotCode,
        times: &LoadTimes,
        ceilings: &Ceilings,
    ) -> Self {
        let mut accesses: Vec<Vec<&Access>> = vec![Vec::new(); code.pieces.len()];
        for access in &sampling.accesses {
            if let Some(PieceIdx(at)) = code.piece(access.span, access.is_adopted, access.sampled) {
                accesses[at].push(access);
            }
        }
        let bandwidth = ceilings.dram().map(|range| range.median);
        Self { loads: loads(sampling, code, times), accesses, bandwidth }
    }

    /// What there is to say of a piece; `None` where that is nothing.
    pub(super) fn piece(&self, code: &HotCode, at: PieceIdx) -> Option<Residency> {
        let stream = Stream::of(&self.accesses[at.0], self.bandwidth);
        of_piece(&code.pieces[at.0], self.loads[at.0], stream, self.bandwidth)
    }

    /// The same of several pieces together.
    pub(super) fn together(&self, code: &HotCode, pieces: &[PieceIdx]) -> Option<Residency> {
        let (&first, rest) = pieces.split_first()?;
        let mut sum = code.pieces[first.0].clone();
        let mut loads = self.loads[first.0];
        let mut accesses = self.accesses[first.0].clone();
        for at in rest {
            sum.add(&code.pieces[at.0]);
            loads.near += self.loads[at.0].near;
            loads.between += self.loads[at.0].between;
            loads.far += self.loads[at.0].far;
            accesses.extend(&self.accesses[at.0]);
        }
        accesses.sort_by_key(|access| access.at_ns);
        let stream = Stream::of(&accesses, self.bandwidth);
        of_piece(&sum, loads, stream, self.bandwidth)
    }

    /// Page faults while these pieces ran, and the part of their CPU time inside the kernel, where it tells.
    pub(super) fn usage(&self, pieces: &[PieceIdx]) -> (u64, Option<f64>) {
        let all = || pieces.iter().flat_map(|at| &self.accesses[at.0]);
        let sum = |of: fn(&Access) -> u64| all().fold(0_u64, |sum, it| sum.saturating_add(of(it)));
        let cpu_us = sum(|it| it.cpu_us);
        let in_kernel = (cpu_us > 0).then(|| sum(|it| it.kernel_us) as f64 / cpu_us as f64);
        (sum(|it| u64::from(it.faults)), in_kernel)
    }
}

fn of_piece(
    piece: &Piece,
    loads: Loads,
    stream: Option<Stream>,
    bandwidth: Option<f64>,
) -> Option<Residency> {
    // The kernel's part is not the code's own.
    let samples = piece.n_own();
    if samples < LEAST_SAMPLES {
        return None;
    }
    let accesses = Band::of(piece.n_of(&[What::Load, What::Store]), samples);
    let probes = loads.n();
    let (from_dram, from_cache) = (Band::of(loads.far, probes), Band::of(loads.between, probes));
    let limit = stream
        .filter(Stream::is_one)
        .zip(bandwidth)
        .map_or(1.0, |(stream, most)| STALL_PER_BANDWIDTH * stream.bytes_per_s / most);
    let dram_stall = accesses.times(from_dram).limited(limit);
    let cache_stall = accesses.times(from_cache);
    Some(Residency {
        samples,
        accesses,
        probes,
        from_dram,
        from_cache,
        dram_stall,
        cache_stall,
        stream,
    })
}

impl Residency {
    /// Whether there were loads enough to say where the data are.
    pub(super) fn is_probed(&self) -> bool {
        self.probes >= LEAST_PROBES
    }
}

/// Timed loads by the piece that used the address before.
fn loads(sampling: &Sampling, code: &HotCode, times: &LoadTimes) -> Vec<Loads> {
    let mut res = vec![Loads::default(); code.pieces.len()];
    // Who used an address last; a thread probes what it used itself under the same path.
    let mut users: HashMap<(u32, SpanIdx, u64), PieceIdx> = HashMap::new();
    for access in &sampling.accesses {
        let own = code.piece(access.span, access.is_adopted, access.sampled);
        for probe in access.probes.iter().flatten() {
            let user = users.get(&(access.thread, access.span, probe.address)).copied();
            if let Some(PieceIdx(at)) = user.or(own) {
                res[at].add(probe.ticks, times);
            }
        }
        if let (Some(address), Some(own)) = (access.address, own) {
            users.insert((access.thread, access.span, address), own);
        }
    }
    res
}

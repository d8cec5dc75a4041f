//! Samples gathered by the piece of code that they are in: the loops of a path, over all threads that have it.
//!
//! Evidence needs numbers: equal paths of several threads are one *group*, and within it neighboring instructions are one
//! *piece*, a loop or what lies close together. Two kernels that one function calls are two pieces, each with a kind of its own.

use std::collections::{BTreeMap, HashMap};

use crate::instructions::{Advance, Class, Decoded, decode};
use crate::profile::sampling::Code;
use crate::profile::{Profile, Sampling, SiteIdx, SpanIdx};

use super::Column;
use super::device::unseen;
use super::kernel_work::KernelWork;

/// Instructions that lie closer together are one piece, unless each is in a loop of its own.
const NEAR_BYTES: u64 = 128;

/// From this step on, accesses use a new page almost each time: for the memory they are scattered.
const FAR_STRIDE: u64 = 2048;

/// Index of a group: a path of sites and keys, whatever its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Group(usize);

/// Whose samples: those of the threads with the path, or of threads without spans that work for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Who {
    pub(super) group: Group,
    pub(super) is_adopted: bool,
}

/// Index of a piece of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PieceIdx(pub(super) usize);

/// A piece of code of one group.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) who: Who,
    /// Its samples by what they were held up by.
    pub(super) samples: BTreeMap<What, u64>,
    /// How the addresses of its accesses change, in samples.
    pub(super) advances: Advances,
    /// Samples of instructions on vectors, accesses among them.
    pub(super) on_vectors: u64,
}

/// What an instruction holds a thread up with, as far as kinds are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Load,
    Store,
    /// The stack or a constant: never far away.
    Near,
    Arithmetic,
    Divide,
    Branch,
    /// The kernel works for the program.
    Kernel(KernelWork),
    Spin,
    /// The driver of a device: it submits, or waits for the device, whatever its instructions look like.
    Driver,
    /// Its code was not kept, or cannot be decoded.
    Unknown,
}

/// Samples of accesses by how their addresses change from one turn of the loop to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Advances {
    pub(super) strides: u64,
    pub(super) scattered: u64,
    pub(super) fixed: u64,
    pub(super) unknown: u64,
}

/// All sampled code of a run.
#[derive(Clone, Debug)]
pub(super) struct HotCode {
    pub(super) pieces: Vec<Piece>,
    groups: Column<SpanIdx, Group>,
    piece_of: HashMap<(Who, u64), PieceIdx>,
    decoded: HashMap<u64, Option<Decoded>>,
}

impl HotCode {
    /// Decodes each sampled instruction once, and gathers the samples.
    pub(super) fn of(profile: &Profile, sampling: &Sampling) -> Self {
        let groups = groups(profile);
        let mut decoded: HashMap<u64, Option<Decoded>> = HashMap::new();
        let mut by_who: BTreeMap<Who, BTreeMap<u64, u64>> = BTreeMap::new();
        for counted in &sampling.counted {
            decoded
                .entry(counted.sampled)
                .or_insert_with(|| decode(&sampling.code, counted.sampled));
            let who = Who { group: groups[counted.span], is_adopted: counted.is_adopted };
            *by_who.entry(who).or_default().entry(counted.sampled).or_default() += counted.n;
        }
        let mut res =
            Self { pieces: Vec::new(), groups, piece_of: HashMap::new(), decoded: HashMap::new() };
        for (who, addresses) in by_who {
            res.cut(who, &addresses, &decoded, &sampling.code);
        }
        res.decoded = decoded;
        res
    }

    /// Cuts the samples of a group, in the order of their addresses, into pieces.
    fn cut(
        &mut self,
        who: Who,
        addresses: &BTreeMap<u64, u64>,
        decoded: &HashMap<u64, Option<Decoded>>,
        code: &Code,
    ) {
        let mut last: Option<(u64, Option<std::ops::Range<u64>>)> = None;
        for (&sampled, &n) in addresses {
            let facts = decoded.get(&sampled).and_then(Option::as_ref);
            let own_loop = facts.and_then(|it| it.loop_range.clone());
            let is_next =
                last.as_ref().is_some_and(|(before, its_loop)| match (its_loop, &own_loop) {
                    (Some(a), Some(b)) => a.start < b.end && b.start < a.end,
                    _ => sampled - before <= NEAR_BYTES,
                });
            if !is_next || self.pieces.is_empty() {
                self.pieces.push(Piece {
                    who,
                    samples: BTreeMap::new(),
                    advances: Advances::default(),
                    on_vectors: 0,
                });
            }
            let index = PieceIdx(self.pieces.len() - 1);
            self.piece_of.insert((who, sampled), index);
            if let Some(piece) = self.pieces.last_mut() {
                piece.count(facts, what(facts, code, sampled), n);
            }
            last = Some((sampled, own_loop));
        }
    }

    /// The group of a path.
    pub(super) fn group(&self, span: SpanIdx) -> Group {
        self.groups[span]
    }

    /// The piece that an instruction sampled under a path is in.
    pub(super) fn piece(&self, span: SpanIdx, is_adopted: bool, sampled: u64) -> Option<PieceIdx> {
        self.piece_of.get(&(Who { group: self.groups[span], is_adopted }, sampled)).copied()
    }
}

impl Piece {
    fn count(&mut self, decoded: Option<&Decoded>, what: What, n: u64) {
        *self.samples.entry(what).or_default() += n;
        self.on_vectors += if decoded.is_some_and(|it| it.is_vector) { n } else { 0 };
        if matches!(what, What::Load | What::Store) {
            let sum = match decoded.map(|it| &it.advance) {
                Some(Advance::Stride(bytes)) if bytes.unsigned_abs() < FAR_STRIDE => {
                    &mut self.advances.strides
                }
                Some(Advance::Stride(_) | Advance::Loaded | Advance::Computed) => {
                    &mut self.advances.scattered
                }
                Some(Advance::Fixed) => &mut self.advances.fixed,
                Some(Advance::Unknown) | None => &mut self.advances.unknown,
            };
            *sum += n;
        }
    }

    /// Takes in the samples of another one.
    pub(super) fn add(&mut self, other: &Self) {
        for (&what, &n) in &other.samples {
            *self.samples.entry(what).or_default() += n;
        }
        self.on_vectors += other.on_vectors;
        let (own, more) = (&mut self.advances, other.advances);
        own.strides += more.strides;
        own.scattered += more.scattered;
        own.fixed += more.fixed;
        own.unknown += more.unknown;
    }

    /// Samples of these sorts.
    pub(super) fn n_of(&self, sorts: &[What]) -> u64 {
        sorts.iter().filter_map(|what| self.samples.get(what)).sum()
    }

    /// Samples in the kernel, by what it did.
    pub(super) fn kernel(&self) -> impl Iterator<Item = (KernelWork, u64)> + '_ {
        self.samples.iter().filter_map(|(what, &n)| match what {
            What::Kernel(work) => Some((*work, n)),
            _ => None,
        })
    }

    /// Samples of its own instructions, as far as they are known.
    pub(super) fn n_own(&self) -> u64 {
        let kernel: u64 = self.kernel().map(|(_, n)| n).sum();
        self.n() - kernel - self.n_of(&[What::Unknown, What::Driver])
    }

    /// All its samples.
    pub(super) fn n(&self) -> u64 {
        self.samples.values().sum()
    }
}

fn what(decoded: Option<&Decoded>, code: &Code, sampled: u64) -> What {
    // Calls that wait for a device spin in there.
    if code.mapping(sampled).is_some_and(|map| unseen::is_driver(&map.path)) {
        return What::Driver;
    }
    let Some(decoded) = decoded else { return What::Unknown };
    match decoded.class {
        Class::Load => What::Load,
        // Its line may be another core's, wherever it lies.
        Class::Stack if decoded.is_atomic => What::Store,
        Class::Store => What::Store,
        Class::Stack => What::Near,
        Class::Arithmetic if decoded.is_divide => What::Divide,
        Class::Divide => What::Divide,
        Class::Arithmetic => What::Arithmetic,
        Class::Branch => What::Branch,
        Class::Kernel => match KernelWork::of(code, sampled) {
            KernelWork::Yield => What::Spin,
            work => What::Kernel(work),
        },
        Class::Spin => What::Spin,
    }
}

/// Paths of the same sites and keys, on whichever thread, are one group.
fn groups(profile: &Profile) -> Column<SpanIdx, Group> {
    type Step<'a> = (Option<Group>, SiteIdx, Option<&'a str>);
    let mut known: HashMap<Step<'_>, Group> = HashMap::new();
    let mut res: Column<SpanIdx, Group> = Column::new();
    for (_, path) in profile.spans.iter() {
        let parent = path.parent.map(|parent| res[parent]);
        let step = (parent, path.site, path.key.as_deref());
        let next = Group(known.len());
        res.push(*known.entry(step).or_insert(next));
    }
    res
}

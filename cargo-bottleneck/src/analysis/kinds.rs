//! Sums of time by kind.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use crate::kind::Kind;
use crate::report::model::Share;

/// Time of each kind, in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByKind([u64; Kind::ALL.len()]);

impl ByKind {
    /// Adds time; saturates.
    pub fn add(&mut self, kind: Kind, ns: u64) {
        let sum = &mut self.0[kind.index()];
        *sum = sum.saturating_add(ns);
    }

    /// Takes time away; at most what there is.
    pub fn remove(&mut self, kind: Kind, ns: u64) {
        let sum = &mut self.0[kind.index()];
        *sum = sum.saturating_sub(ns);
    }

    /// The time of one kind.
    pub fn ns(&self, kind: Kind) -> u64 {
        self.0[kind.index()]
    }

    /// The time of all kinds; saturates.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, &ns| sum.saturating_add(ns))
    }

    /// The part of one kind in the whole, 0 to 1.
    pub fn share(&self, kind: Kind) -> f64 {
        ratio(self.ns(kind), self.total())
    }

    /// The kinds that say something, the largest first.
    pub fn ranked(&self) -> Vec<(Kind, u64)> {
        let mut res: Vec<(Kind, u64)> = Kind::ALL
            .into_iter()
            .filter(|&kind| kind != Kind::Other)
            .map(|kind| (kind, self.ns(kind)))
            .collect();
        res.sort_by_key(|&(_, ns)| std::cmp::Reverse(ns));
        res
    }

    /// The same proportions in a whole of `total` ns; the parts sum to it exactly.
    #[must_use]
    pub fn scaled_to(&self, total: u64) -> Self {
        let whole = u128::from(self.total());
        if whole == 0 {
            return Self::default();
        }
        let mut res = Self::default();
        let (mut seen, mut given) = (0_u128, 0_u64);
        for kind in Kind::ALL {
            // Each boundary is rounded once, so no nanosecond is lost between neighbors.
            seen += u128::from(self.ns(kind));
            let until = u64::try_from(seen * u128::from(total) / whole).unwrap_or(total);
            res.0[kind.index()] = until - given;
            given = until;
        }
        res
    }

    /// As reports hold it.
    pub fn shares(&self) -> BTreeMap<&'static str, Share> {
        let share = |kind| (name(kind), Share { ns: self.ns(kind), share: self.share(kind) });
        Kind::ALL.into_iter().map(share).collect()
    }

    /// As the entry of a span holds it.
    pub fn nanoseconds(&self) -> BTreeMap<&'static str, u64> {
        Kind::ALL.into_iter().map(|kind| (name_ns(kind), self.ns(kind))).collect()
    }
}

impl AddAssign for ByKind {
    fn add_assign(&mut self, other: Self) {
        for kind in Kind::ALL {
            self.add(kind, other.ns(kind));
        }
    }
}

/// A part of a whole, 0 to 1; 0 of nothing.
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Memory => "memory",
        Kind::Compute => "compute",
        Kind::Io => "io",
        Kind::Scheduling => "scheduling",
        Kind::Other => "other",
    }
}

fn name_ns(kind: Kind) -> &'static str {
    match kind {
        Kind::Memory => "memory_ns",
        Kind::Compute => "compute_ns",
        Kind::Io => "io_ns",
        Kind::Scheduling => "scheduling_ns",
        Kind::Other => "other_ns",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_keeps_proportions_and_every_nanosecond() {
        let mut kinds = ByKind::default();
        for (kind, ns) in Kind::ALL.into_iter().zip([7, 11, 13, 0, 2]) {
            kinds.add(kind, ns);
        }
        for total in [0, 1, 10, 33, 1_000_003] {
            assert_eq!(kinds.scaled_to(total).total(), total);
        }
        assert_eq!(kinds.scaled_to(330).ns(Kind::Compute), 110);
    }
}

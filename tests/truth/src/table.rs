//! The table of all programs: what is true of each, by its construction.

use crate::programs;
use crate::trial::{Denied, Trial};

/// What a program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// One dominant cause.
    Known,
    /// One dominant cause; never to be looked at when a threshold is chosen.
    HoldOut,
    /// Two causes in chosen parts.
    Mix,
    /// Nothing to blame, or something outside of the program.
    Control,
    /// A series in which only the arithmetic per byte changes.
    Sweep,
}

/// What a report should say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// `memory`, `compute`, `io`, `scheduling`, or `none`.
    pub kind: &'static str,
    /// Further kinds that are right too: `mixed`, or `inconclusive` for a control.
    pub also: &'static [&'static str],
    /// What is right below the kind; empty where the program is not made for one.
    pub subkinds: &'static [&'static str],
}

/// One program.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its number in the list of programs, or a letter of its set.
    pub number: &'static str,
    /// What it is for.
    pub set: Set,
    /// What a report should say.
    pub expected: Expected,
    /// Why, in a few words.
    pub truth: &'static str,
    /// For a mix: the shares of kinds that it is made of, from 0 to 1.
    pub shares: &'static [(&'static str, f64)],
    /// Whether it has a version without its bottleneck.
    pub has_after: bool,
    /// Runs it.
    pub run: fn(&Trial) -> Result<(), Denied>,
}

impl Program {
    /// A program with one dominant cause.
    pub const fn known(
        number: &'static str,
        name: &'static str,
        kind: &'static str,
        subkinds: &'static [&'static str],
        truth: &'static str,
        run: fn(&Trial) -> Result<(), Denied>,
    ) -> Self {
        let expected = Expected { kind, also: &[], subkinds };
        let set = Set::Known;
        Self { name, number, set, expected, truth, shares: &[], has_after: false, run }
    }

    /// Also right.
    #[must_use]
    pub const fn or(mut self, also: &'static [&'static str]) -> Self {
        self.expected.also = also;
        self
    }

    /// In another set.
    #[must_use]
    pub const fn of(mut self, set: Set) -> Self {
        self.set = set;
        self
    }

    /// With a version without its bottleneck.
    #[must_use]
    pub const fn with_after(mut self) -> Self {
        self.has_after = true;
        self
    }

    /// Made of these shares of kinds.
    #[must_use]
    pub const fn made_of(mut self, shares: &'static [(&'static str, f64)]) -> Self {
        self.shares = shares;
        self
    }
}

/// All programs: each family lists its own.
pub fn programs() -> impl Iterator<Item = &'static Program> {
    programs::FAMILIES.iter().copied().flatten()
}

/// The program of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Program> {
    programs().find(|program| program.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_program_has_a_name_of_its_own_and_a_kind() {
        let mut names = BTreeSet::new();
        for program in programs() {
            assert!(names.insert(program.name), "two are called {}", program.name);
            let kinds = ["memory", "compute", "io", "scheduling", "mixed", "none", "inconclusive"];
            assert!(kinds.contains(&program.expected.kind), "{program:?}");
            let total: f64 = program.shares.iter().map(|(_, share)| share).sum();
            assert!(program.shares.is_empty() || (total - 1.0).abs() < 1e-9, "{program:?}");
        }
    }
}

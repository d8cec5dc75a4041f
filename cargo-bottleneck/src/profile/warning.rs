//! What was wrong with a file, counted by kind: a damaged profile gives a report with warnings, never a panic.

use std::fmt;

use bottleneck_runtime::format::header::NotReadable;
use bottleneck_runtime::format::{MAJOR, MINOR};

/// One kind of damage and how often it was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What was wrong.
    pub damage: Damage,
    /// How often.
    pub count: u64,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.damage.text())?;
        if self.count > 1 {
            write!(f, " ({} times)", self.count)?;
        }
        Ok(())
    }
}

macro_rules! damages {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// What can be wrong with a profile. The text of each says what was done about it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Damage {
            $($(#[$doc])* $name,)*
        }

        impl Damage {
            const ALL: &[Self] = &[$(Self::$name),*];

            /// The sentence for a report.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

damages! {
    /// The walk over the chunks ended before the writer's mark.
    Cut => "the profile is cut or damaged: what lies behind the damage is missing",
    /// A site, key, tree, capability or head of a table cannot be decoded.
    Record => "a record of the profile cannot be read: it was dropped",
    /// A node names a site that is not there.
    Site => "a path names a site that cannot be read: it is shown by its number",
    /// A link leads outside the nodes, in a circle, or to the child of another node.
    Link => "a link between paths leads nowhere: what hung on it counts as self time of the path around it",
    /// A path is deeper than a program can record.
    Depth => "a path is deeper than can be recorded: its end counts as self time of the path around it",
    /// More paths than a file may have.
    Budget => "the profile has more paths than can be recorded: the rest was dropped",
    /// A time is longer than the run, or than the span around it.
    Time => "a time is longer than the run or the span around it: it was dropped",
    /// A count that would need more time than there was.
    Count => "a count cannot be: it was dropped",
    /// The start of an open span lies outside the run.
    Open => "the start of an open span lies outside the run: it counts as closed",
    /// Waits are longer than the time that they are a part of.
    Wait => "a wait is longer than its span: it was cut to it",
    /// Declared work is negative or not a number.
    Work => "declared work is not a finite amount: it was dropped",
    /// An anchor of the clock contradicts the others.
    Anchor => "an anchor of the clock contradicts the others: it was ignored",
    /// The start of the clock contradicts the anchors.
    Start => "the start of the run contradicts its clock: the first anchor stands in for it",
    /// There is no anchor to convert ticks with.
    NoAnchor => "the run ended before its clock was calibrated: times are only in proportion to each other",
    /// The end of the run contradicts the clock.
    End => "the end of the run contradicts its clock: the last anchor stands in for it",
    /// A snapshot is cut, or its time does not rise or lies outside the run.
    Snapshot => "a snapshot cannot be: it was dropped, or those behind it with it",
    /// An entry of a snapshot names no task, no state, a task twice, or the span of another thread.
    Doing => "what a task did at a moment cannot be read: it counts as absent",
    /// A sample names a path that is not there.
    Sample => "a sample names a path that cannot be read: it was dropped",
    /// Code or where it was mapped from cannot be.
    Code => "a piece of the program's code, or where it comes from, cannot be read: it was dropped",
    /// Steal time, throttling or affinity cannot be.
    Conditions => "what the machine took from the process cannot be: it is not known",
    /// The note of the command about the run is not JSON.
    Run => "the description of the run cannot be read: command and exit status are not known",
}

/// Counts damage while a file is read.
#[derive(Debug, Default)]
pub(super) struct Damages {
    counts: [u64; Damage::ALL.len()],
}

impl Damages {
    pub(super) fn note(&mut self, damage: Damage) {
        let count = &mut self.counts[damage as usize];
        *count = count.saturating_add(1);
    }

    pub(super) fn into_warnings(self) -> Vec<Warning> {
        let counted = Damage::ALL.iter().zip(self.counts);
        counted
            .filter(|&(_, count)| count > 0)
            .map(|(&damage, count)| Warning { damage, count })
            .collect()
    }
}

/// Why bytes are not a profile that this version reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAProfile(pub NotReadable);

impl NotAProfile {
    /// How to go on.
    pub fn hint(&self) -> &'static str {
        match self.0 {
            NotReadable::NotAProfile => {
                "give the `run.bneck` of a run; `cargo bottleneck run` names its folder"
            }
            NotReadable::ForeignEndian => {
                "make the report on a machine with the byte order of the one that ran the program"
            }
            NotReadable::Version { .. } => {
                "install the cargo-bottleneck of the version of the program's bottleneck-runtime, which\n\
                 `cargo tree -i bottleneck-runtime` names in its workspace; or record the program again"
            }
        }
    }
}

impl fmt::Display for NotAProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            NotReadable::NotAProfile => {
                f.write_str("the file is not a profile of cargo-bottleneck")
            }
            NotReadable::ForeignEndian => {
                f.write_str("the profile was written on a machine of the other byte order")
            }
            NotReadable::Version { major } => {
                write!(
                    f,
                    "the profile has format {major}, and this cargo-bottleneck reads {MAJOR}.0 to {MAJOR}.{MINOR}"
                )
            }
        }
    }
}

impl std::error::Error for NotAProfile {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_counted_by_kind_in_a_fixed_order() {
        let mut damages = Damages::default();
        damages.note(Damage::Wait);
        damages.note(Damage::Record);
        damages.note(Damage::Wait);
        let texts: Vec<String> = damages.into_warnings().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "a record of the profile cannot be read: it was dropped",
                "a wait is longer than its span: it was cut to it (2 times)"
            ]
        );
    }

    #[test]
    fn an_unreadable_version_says_what_to_install() {
        let newer = NotAProfile(NotReadable::Version { major: MAJOR + 1 });
        assert_eq!(
            newer.to_string(),
            format!("the profile has format 2, and this cargo-bottleneck reads 1.0 to 1.{MINOR}")
        );
        assert!(newer.hint().contains("install the cargo-bottleneck of the version"));
    }
}

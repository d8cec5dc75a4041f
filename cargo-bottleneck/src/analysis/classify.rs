//! The kind of every part of every path's self time.
//!
//! A path that declares work or asserts a kind says something about itself and about everything inside it that says nothing:
//! that is its *region*. On-CPU time has the kind of its region, by the assertion or by the roofline; where neither says one, it
//! has those that a [`Witness`] has seen; else it is `other`. What spins is scheduling. Waits are a matter of [`super::blame`],
//! unless the region asserts a kind.
//!
//! Sources are never averaged. The order of authority is the author, declared work near a ceiling, samples; a second
//! one that agrees makes the judgement strong, one that says another kind makes it weak, and is shown.

use crate::kind::Kind;
use crate::profile::{Profile, SpanIdx, Work};
use crate::report::model::Confidence;

use super::ceilings::Ceilings;
use super::mixture::Mixture;
use super::roles::Roles;
use super::roofline::{Abstained, Point, Says, judge};
use super::subkind::Subkind;
use super::testimony::{Whose, Witness};
use super::thresholds::{ONLY_SPINS, SPINNING};
use super::{Column, SelfTime, pool};

/// Why a path's on-CPU time has the kind that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Declared work, measured against the ceilings.
    Roofline,
    /// The author says so.
    Asserted,
    /// It was sampled beside spin-wait hints.
    Spins,
    /// Sampled instructions, and timed loads of their data.
    Sampled,
    /// Declared work does not tell.
    Abstained(Abstained),
    /// Nothing is declared.
    Undeclared,
}

/// What is known of one path's self time.
#[derive(Clone, Copy, Debug)]
pub struct Classified {
    /// What the on-CPU part is made of.
    pub mixture: Mixture,
    /// What the time of threads without spans that work for it is made of.
    pub helped: Mixture,
    /// Largest kind of the on-CPU part.
    pub on_cpu: Kind,
    /// Kind of the blocked part. The preempted part is always scheduling.
    pub waits: Kind,
    /// What of `on_cpu` it is.
    pub subkind: Option<Subkind>,
    /// How sure `on_cpu` is.
    pub confidence: Confidence,
    /// Why.
    pub reason: Reason,
    /// Another source names another kind.
    pub contradicted: Option<Kind>,
    /// The path that says it: this one, or one around it.
    pub owner: SpanIdx,
}

/// The region of a path that declares work.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// What it declares.
    pub work: Work,
    /// Its on-CPU time, with that of the threads without spans that worked for it, in ns.
    pub on_cpu_ns: u64,
    /// Its waits in which others may have worked for it, in ns.
    pub blocked_ns: u64,
    /// Where it lies under the roofline; `None` without ceilings or time.
    pub point: Option<Point>,
    /// What the roofline says of it.
    pub says: Says,
    /// How sure that is.
    pub confidence: Confidence,
}

/// Kinds and regions of all paths.
#[derive(Clone, Debug)]
pub struct Classification {
    /// By path.
    pub spans: Column<SpanIdx, Classified>,
    /// By path: `None` for one that declares no work.
    pub regions: Column<SpanIdx, Option<Region>>,
}

/// Classifies every path. Without `ceilings` declared work says nothing.
pub(super) fn classify(
    profile: &Profile,
    times: &Column<SpanIdx, SelfTime>,
    roles: &Roles<'_>,
    ceilings: Option<&Ceilings>,
    witness: Option<&dyn Witness>,
) -> Classification {
    let helped = pool::helped(profile, roles, times);
    let asserted = |span: SpanIdx| profile.sites[profile.spans[span].site].asserted;
    let mut owners: Column<SpanIdx, Option<SpanIdx>> = Column::filled(profile.spans.len(), None);
    let mut in_region: Column<SpanIdx, Inside> =
        Column::filled(profile.spans.len(), Inside::default());
    for (span, path) in profile.spans.iter() {
        let says_something = path.work.is_some() || asserted(span).is_some();
        owners[span] =
            if says_something { Some(span) } else { path.parent.and_then(|parent| owners[parent]) };
        if let Some(owner) = owners[span] {
            let inside = &mut in_region[owner];
            // Who spins does none of the work.
            if roles.spinning(span) < SPINNING {
                inside.on_cpu += times[span].on_cpu_ns;
            }
            inside.helped += helped[span].by_helpers_ns;
            inside.unclear += helped[span].unclear_ns;
        }
    }
    let regions: Column<SpanIdx, Option<Region>> = profile
        .spans
        .iter()
        .map(|(span, path)| Some(region(path.work?, in_region[span], ceilings)))
        .collect();
    let classified = profile.spans.indices().map(|span| {
        let owner = owners[span].unwrap_or(span);
        let mut of_owner = of_owner(owner, asserted(owner), regions[owner].as_ref());
        if let Some(witness) = witness {
            of_owner.hear(span, witness);
        }
        let only_spins = roles.spinning(span) >= ONLY_SPINS;
        if !only_spins || of_owner.reason == Reason::Asserted {
            return of_owner;
        }
        Classified {
            mixture: Mixture::pure(Kind::Scheduling, Some(Subkind::Spin)),
            on_cpu: Kind::Scheduling,
            subkind: Some(Subkind::Spin),
            confidence: Confidence::Moderate,
            reason: Reason::Spins,
            owner: span,
            ..of_owner
        }
    });
    Classification { spans: classified.collect(), regions }
}

/// Time of a region, in ns.
#[derive(Clone, Copy, Debug, Default)]
struct Inside {
    on_cpu: u64,
    helped: u64,
    unclear: u64,
}

fn region(work: Work, inside: Inside, ceilings: Option<&Ceilings>) -> Region {
    let on_cpu_ns = inside.on_cpu.saturating_add(inside.helped);
    let blocked_ns = inside.unclear;
    let most_ns = on_cpu_ns.saturating_add(blocked_ns);
    let point = ceilings.and_then(|ceilings| Point::new(work, on_cpu_ns, most_ns, ceilings));
    let (says, confidence) = match &point {
        Some(point) => {
            let (_, says, confidence) = judge(point);
            (says, confidence)
        }
        None => (Says::Nothing(Abstained::NoCeiling), Confidence::Weak),
    };
    Region { work, on_cpu_ns, blocked_ns, point, says, confidence }
}

fn of_owner(owner: SpanIdx, asserted: Option<Kind>, region: Option<&Region>) -> Classified {
    let says = region.map(|region| region.says);
    if let Some(kind) = asserted {
        let confidence = match says {
            Some(Says::Bound(measured, _)) if measured == kind => Confidence::Strong,
            Some(Says::Bound(..)) => Confidence::Weak,
            Some(Says::Nothing(_)) | None => Confidence::Moderate,
        };
        let subkind = match says {
            Some(Says::Bound(measured, subkind)) if measured == kind => subkind,
            _ => Subkind::Asserted,
        };
        let mixture = Mixture::pure(kind, Some(subkind));
        return Classified {
            mixture,
            helped: mixture,
            on_cpu: kind,
            waits: kind,
            subkind: Some(subkind),
            confidence,
            reason: Reason::Asserted,
            contradicted: None,
            owner,
        };
    }
    let nothing = |reason| Classified {
        mixture: Mixture::pure(Kind::Other, None),
        helped: Mixture::pure(Kind::Other, None),
        on_cpu: Kind::Other,
        waits: Kind::Other,
        subkind: None,
        confidence: Confidence::Weak,
        reason,
        contradicted: None,
        owner,
    };
    match says {
        Some(Says::Bound(kind, subkind)) => Classified {
            mixture: Mixture::pure(kind, Some(subkind)),
            helped: Mixture::pure(kind, Some(subkind)),
            on_cpu: kind,
            subkind: Some(subkind),
            confidence: region.map_or(Confidence::Weak, |region| region.confidence),
            ..nothing(Reason::Roofline)
        },
        Some(Says::Nothing(why)) => nothing(Reason::Abstained(why)),
        None => nothing(Reason::Undeclared),
    }
}

impl Classified {
    /// Takes in what a witness has seen of `span`, which may lie in the region of another path.
    fn hear(&mut self, span: SpanIdx, witness: &dyn Witness) {
        let own = witness.testify(span, Whose::Own);
        // Which of them had the samples is a matter of how the work is handed over.
        let helpers = witness.testify(span, Whose::Helpers).or(own);
        if self.on_cpu == Kind::Other {
            if let Some(helpers) = helpers {
                self.helped = helpers.mixture;
            }
            let Some(own) = own.or(helpers) else { return };
            self.mixture = own.mixture;
            (self.on_cpu, self.subkind) = own.mixture.main();
            self.confidence = own.confidence;
            self.reason = Reason::Sampled;
            self.owner = span;
            return;
        }
        let Some(heard) = own.or(helpers) else { return };
        let (kind, _) = heard.mixture.main();
        if kind == self.on_cpu {
            if heard.confidence >= Confidence::Moderate {
                self.confidence = Confidence::Strong;
            }
        } else if heard.mixture.part(kind) > 0.6 && kind != Kind::Other {
            self.confidence = Confidence::Weak;
            self.contradicted = Some(kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::attribution::attribute;
    use crate::analysis::ceilings::Range;
    use crate::profile::Dtype;
    use crate::profile::builder::ProfileBuilder;

    const MS: u64 = 1_000_000;

    fn ceilings() -> Ceilings {
        Ceilings { dram_read: Some(Range::exactly(20e9)), threads: Some(1), ..Ceilings::default() }
    }

    #[track_caller]
    fn check(builder: &ProfileBuilder, expected: &[(Kind, Kind, Reason)]) {
        let profile = builder.build();
        let found = classify(
            &profile,
            &attribute(&profile),
            &Roles::of(&profile, None),
            Some(&ceilings()),
            None,
        );
        let found: Vec<_> =
            found.spans.values().iter().map(|it| (it.on_cpu, it.waits, it.reason)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_region_is_a_declaring_path_with_what_says_nothing_inside_it() {
        // main  |--main---------------------------|   says nothing
        //         |--gemv-------------------|         1.8 GB in a region of 100: 18 of 20 GB/s
        //            |-dot-|  |-sub-|                 dot is of the region; sub declares 0.1 GB in 40: far
        let builder = ProfileBuilder::new(200 * MS).span("main", 0..200 * MS, |main| {
            main.span("gemv", 0..140 * MS, |gemv| {
                gemv.work(0.0, 1.8e9, Dtype::F32);
                gemv.span("dot", 0..50 * MS, |_| ());
                gemv.span("sub", 50 * MS..90 * MS, |sub| {
                    sub.work(0.0, 0.1e9, Dtype::F32);
                });
            });
        });
        check(
            &builder,
            &[
                (Kind::Other, Kind::Other, Reason::Undeclared),
                (Kind::Memory, Kind::Other, Reason::Roofline),
                (Kind::Memory, Kind::Other, Reason::Roofline),
                (Kind::Other, Kind::Other, Reason::Abstained(Abstained::BothFar)),
            ],
        );
    }

    #[test]
    fn an_assertion_colors_its_waits_too_and_outranks_the_roofline() {
        let builder = ProfileBuilder::new(200 * MS).span("load", 0..100 * MS, |load| {
            load.asserted(Kind::Io).blocked(50 * MS).work(0.0, 0.9e9, Dtype::F32);
            load.span("read", 0..10 * MS, |_| ());
        });
        check(
            &builder,
            &[(Kind::Io, Kind::Io, Reason::Asserted), (Kind::Io, Kind::Io, Reason::Asserted)],
        );
    }
}

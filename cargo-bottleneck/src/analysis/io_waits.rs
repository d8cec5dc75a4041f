//! Paths that wait for something outside of the program, and for what.
//!
//! A short wait for a fast disk shows mostly as its ends: the kernel's work to begin it, and the turn after waking up. Both go
//! away with the wait, so they are of its kind.

use std::collections::BTreeMap;

use crate::kind::Kind;
use crate::profile::snapshots::State;
use crate::profile::{Profile, SpanIdx};

use super::Column;
use super::cause::Cause;

/// Fewer moments may be anything.
const LEAST_MOMENTS: u64 = 3;

/// The cause that most waits of a path have which end by something outside of the program; `None` where most do not.
pub(super) fn of(profile: &Profile) -> Column<SpanIdx, Option<Cause>> {
    let mut counts: BTreeMap<SpanIdx, BTreeMap<Cause, u64>> = BTreeMap::new();
    for doing in profile.snapshots.doings.iter().filter(|it| it.state == State::Blocked) {
        if let Some(span) = doing.span {
            *counts.entry(span).or_default().entry(Cause::of(doing)).or_default() += 1;
        }
    }
    let mut res = Column::filled(profile.spans.len(), None);
    for (span, causes) in counts {
        let is_outside = |cause: Cause| cause.kind().is_some_and(|(kind, _)| kind == Kind::Io);
        let outside = || causes.iter().filter(|&(&cause, _)| is_outside(cause));
        let (n, all): (u64, u64) = (outside().map(|(_, n)| n).sum(), causes.values().sum());
        if n >= LEAST_MOMENTS && 2 * n >= all {
            res[span] = outside().max_by_key(|&(_, n)| n).map(|(&cause, _)| cause);
        }
    }
    res
}

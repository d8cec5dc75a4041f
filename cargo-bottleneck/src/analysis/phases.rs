//! A verdict for each `key`: prefill and decode through one function are two phases.
//!
//! The scope of a phase is the time inside paths with its key, and that of threads without keys while such a path was open on
//! another one. Phases may lie inside one another.

use std::sync::Arc;

use crate::profile::Profile;
use crate::report::model::Phase;

use super::facts::Facts;
use super::kinds::ratio;
use super::ledger::{Row, kinds_of};
use super::verdict::judge;

/// The phases in the order in which their keys first appear.
pub(super) fn phases(facts: &Facts<'_>) -> Vec<Phase> {
    let mut keys: Vec<Arc<str>> = Vec::new();
    for (_, thread) in facts.profile.program_threads() {
        for path in &facts.profile.spans.values()[thread.spans.clone()] {
            if let Some(key) = path.key.as_ref().filter(|key| !keys.contains(key)) {
                // Keys are few by contract; a program that makes thousands gets the first ones.
                if keys.len() < MOST {
                    keys.push(Arc::clone(key));
                }
            }
        }
    }
    keys.iter().map(|key| phase(facts, key)).collect()
}

/// Most phases of a report.
const MOST: usize = 32;

fn phase(facts: &Facts<'_>, key: &str) -> Phase {
    let scope: Vec<Row> = facts
        .ledger
        .rows
        .iter()
        .filter(|row| is_inside(facts.profile, row, key))
        .copied()
        .collect();
    let kinds = kinds_of(scope.iter());
    Phase {
        key: key.to_owned(),
        total_ns: kinds.total(),
        share: ratio(kinds.total(), facts.ledger.in_flight_ns),
        verdict: judge(facts, &scope, false, &format!("time in `{key}`")),
        kinds: kinds.shares(),
    }
}

/// Whether a row's path, or the path on another thread that it belongs to, is inside one with this key.
fn is_inside(profile: &Profile, row: &Row, key: &str) -> bool {
    let from = row.blamed.via.unwrap_or(row.blamed.span);
    let mut around = std::iter::successors(Some(from), |&span| profile.spans[span].parent);
    around.any(|span| profile.spans[span].key.as_deref() == Some(key))
}

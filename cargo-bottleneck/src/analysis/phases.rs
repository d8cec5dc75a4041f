//! A verdict for each `key`: prefill and decode through one function are two phases.
//!
//! The scope of a phase is everything inside the outermost paths with its key. Phases may lie inside one another.

use std::sync::Arc;

use crate::profile::{Profile, RowIdx, SpanIdx};
use crate::report::model::Phase;

use super::finding::Facts;
use super::in_flight::InFlight;
use super::kinds::ratio;
use super::verdict::{judge, kinds_of};

/// The phases in the order in which their keys first appear.
pub(super) fn phases(facts: &Facts<'_>, in_flight: &InFlight) -> Vec<Phase> {
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
    keys.iter().map(|key| phase(facts, in_flight, key)).collect()
}

/// Most phases of a report.
const MOST: usize = 32;

fn phase(facts: &Facts<'_>, in_flight: &InFlight, key: &str) -> Phase {
    let scope = scope(facts.profile, in_flight, key);
    let kinds = kinds_of(facts, &scope);
    Phase {
        key: key.to_owned(),
        total_ns: kinds.total(),
        share: ratio(kinds.total(), in_flight.thread_ns),
        verdict: judge(facts, &scope, &format!("time in `{key}`")),
        kinds: kinds.shares(),
    }
}

/// The paths inside the outermost ones with this key, as far as their time counts.
fn scope(profile: &Profile, in_flight: &InFlight, key: &str) -> Vec<SpanIdx> {
    let mut res = Vec::new();
    for (_, thread) in profile.program_threads() {
        let mut at = thread.spans.start;
        while at < thread.spans.end {
            let span = SpanIdx::from_position(at);
            if profile.spans[span].key.as_deref() == Some(key) {
                res.extend(profile.subtree(span).filter(|&span| in_flight.counts[span]));
                at = profile.spans[span].end;
            } else {
                at += 1;
            }
        }
    }
    res
}

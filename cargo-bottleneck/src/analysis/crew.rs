//! Threads of a crew: they do parts of one thing for which another thread waits, like the threads of a pool that work on the
//! pieces of a loop. Who of them has finished waits outside of any span, so that only the whole run tells that it belongs there.
//!
//! Two threads are a crew if they have been seen to work at one site at the same time while a call waited for them, and each
//! has made about as many calls of it as there were calls that waited: a part of nearly every one. Threads that take whole
//! jobs in turn make fewer.

use std::collections::{HashMap, HashSet};

use crate::profile::snapshots::State;
use crate::profile::{SpanIdx, ThreadIdx};

use super::roles::{Roles, cause_of};

/// Seen together at least so often,
const TOGETHER: u32 = 3;
/// and this part of the calls that wait has a part for each.
const PARTS: f64 = 0.8;

/// What is known of two threads.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    together: u32,
    /// The calls of the one that made fewer of them, at the site that both were seen at.
    parts: u64,
    /// The most calls of all paths that waited at one moment.
    calls: u64,
}

/// The threads that are a crew, two by two, the smaller number first.
pub(super) fn pairs(roles: &Roles<'_>) -> HashSet<(ThreadIdx, ThreadIdx)> {
    let profile = roles.profile;
    let mut seen: HashMap<(ThreadIdx, ThreadIdx), Pair> = HashMap::new();
    for moment in &profile.snapshots.moments {
        let doings = profile.snapshots.doings(moment);
        let waiting = doings.iter().filter_map(|doing| {
            let span = doing.span.filter(|&span| !roles.is_body(span))?;
            let cause = cause_of(doing)?;
            cause.is_for_a_thread().then(|| calls_of(roles, span))
        });
        let calls: u64 = waiting.sum();
        if calls == 0 {
            continue;
        }
        let working: Vec<(ThreadIdx, SpanIdx)> = doings
            .iter()
            .filter(|doing| matches!(doing.state, State::Running | State::Runnable))
            .filter_map(|doing| Some((roles.thread_of(doing.task)?, doing.span?)))
            .collect();
        for (at, &(a, of_a)) in working.iter().enumerate() {
            for &(b, of_b) in &working[at + 1..] {
                if a == b || !roles.are_peers(of_a, of_b) {
                    continue;
                }
                let pair = seen.entry((a.min(b), a.max(b))).or_default();
                pair.together += 1;
                pair.calls = pair.calls.max(calls);
                pair.parts = pair.parts.max(shared_calls(roles, of_a, of_b));
            }
        }
    }
    let is_crew =
        |pair: &Pair| pair.together >= TOGETHER && pair.parts as f64 >= PARTS * pair.calls as f64;
    seen.into_iter().filter(|(_, pair)| is_crew(pair)).map(|(threads, _)| threads).collect()
}

/// Calls of the site that both paths are in, on the thread with fewer.
fn shared_calls(roles: &Roles<'_>, a: SpanIdx, b: SpanIdx) -> u64 {
    let site = |span: SpanIdx| roles.profile.spans[span].site;
    let shared = roles.paths_around(a).flat_map(|x| {
        let same = roles.paths_around(b).filter(move |&y| site(x) == site(y));
        same.map(move |y| calls_of(roles, x).min(calls_of(roles, y)))
    });
    shared.max().unwrap_or(0)
}

fn calls_of(roles: &Roles<'_>, span: SpanIdx) -> u64 {
    let path = &roles.profile.spans[span];
    path.calls + u64::from(path.open_ns.is_some())
}

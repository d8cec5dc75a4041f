//! Threads that starve: they do the work of a model, and wait for the input that another thread makes at full speed.
//!
//! The kernel does not say who wakes whom, so this is inferred from the whole run. A consumer waits again and again, inside
//! spans but not inside a request (there it waits for an answer, not for input), for a large part of the time, and does the
//! work of a model otherwise, as it declares or as samples of its instructions say (a logger does not starve); and nearly
//! all of that time one thread in another role is on a CPU, which itself nearly never waits.

use crate::profile::{Profile, RowIdx as _, SiteIdx, SpanIdx, ThreadIdx};

use super::cause::Cause;
use super::roles::{Roles, cause_of};
use crate::profile::snapshots::State;

/// A producer is on a CPU for this part of the time in which its consumer has spans,
const SATURATED: f64 = 0.85;
/// and in this part of the moments at which that waits.
const COVERED: f64 = 0.9;
/// A consumer has spans for this part of the time in flight at least,
const PRESENT: f64 = 0.05;
/// works for this part of that,
const WORKS: f64 = 0.08;
/// waits for this part of it at least,
const WAITS: f64 = 0.3;
/// has been seen to go from one to the other so often,
const TURNS: u32 = 2;
/// and has waited so often, seen or not.
const CALLS: u64 = 10;
/// More threads with spans than this are not looked at.
const MOST_THREADS: usize = 64;

/// What one thread did over the run, in weights of moments.
#[derive(Clone, Debug, Default)]
struct Career {
    /// Had a span, or ran between two.
    present: f64,
    /// By thread: of `present`, the part in which that one ran.
    with: Vec<f64>,
    ran: f64,
    /// Waited for a thread, in a span outside of requests.
    waited: f64,
    turns: u32,
    /// Calls that it waited in, or waits: the most of one path.
    calls: u64,
    is_waiting: bool,
    /// By thread: of `waited`, the part in which that one ran.
    beside: Vec<f64>,
}

/// The threads that starve, each with the thread that makes its input.
pub(super) fn pairs(roles: &Roles<'_>) -> Vec<(ThreadIdx, ThreadIdx)> {
    let profile = roles.profile;
    let n = profile.threads.len();
    if n > MOST_THREADS || profile.snapshots.moments.is_empty() {
        return Vec::new();
    }
    let (careers, whole) = careers(roles);
    let mut res = Vec::new();
    for (consumer, career) in careers.iter().enumerate() {
        let is_starved = career.present >= PRESENT * whole
            && career.ran >= WORKS * career.present
            && career.waited >= WAITS * career.present
            && career.turns >= TURNS
            && career.calls >= CALLS
            && works_for_the_model(roles, ThreadIdx::from_position(consumer));
        if !is_starved {
            continue;
        }
        for producer in 0..n {
            let pair = (ThreadIdx::from_position(consumer), ThreadIdx::from_position(producer));
            if consumer != producer
                && career.with[producer] >= SATURATED * career.present
                && career.beside[producer] >= COVERED * career.waited
                && !have_one_role(profile, pair.0, pair.1)
            {
                res.push(pair);
            }
        }
    }
    res
}

fn careers(roles: &Roles<'_>) -> (Vec<Career>, f64) {
    let profile = roles.profile;
    let n = profile.threads.len();
    let nobody = Career { beside: vec![0.0; n], with: vec![0.0; n], ..Career::default() };
    let mut careers = vec![nobody; n];
    let mut whole = 0.0;
    for moment in &profile.snapshots.moments {
        let doings = profile.snapshots.doings(moment);
        if !roles.is_in_flight(moment, doings) {
            continue;
        }
        let weight = moment.weight_ns as f64;
        whole += weight;
        let of_threads = || {
            doings.iter().filter_map(|doing| Some((roles.thread_of(doing.task)?.position(), doing)))
        };
        // Who could run does not wait, whoever has its CPU.
        let runs = |state: State| state != State::Blocked;
        // Between two spans too: a producer hands over outside of what it makes.
        let running: Vec<usize> =
            of_threads().filter(|(_, doing)| runs(doing.state)).map(|(thread, _)| thread).collect();
        for &thread in &running {
            careers[thread].ran += weight;
            careers[thread].turns += u32::from(careers[thread].is_waiting);
            careers[thread].is_waiting = false;
        }
        for (thread, doing) in of_threads() {
            // The phases of a program in which it is not there are not its own.
            if doing.span.is_some() || runs(doing.state) {
                careers[thread].present += weight;
                for &other in &running {
                    careers[thread].with[other] += weight;
                }
            }
            let waits = cause_of(doing) == Some(Cause::Thread);
            if let Some(span) = doing.span.filter(|&span| waits && !roles.is_in_request(span)) {
                let path = &profile.spans[span];
                careers[thread].calls = careers[thread].calls.max(path.calls).max(path.waits);
                careers[thread].waited += weight;
                careers[thread].is_waiting = true;
                for &other in &running {
                    careers[thread].beside[other] += weight;
                }
            }
        }
    }
    (careers, whole)
}

fn works_for_the_model(roles: &Roles<'_>, thread: ThreadIdx) -> bool {
    let profile = roles.profile;
    let spans = profile.threads[thread].spans.clone();
    spans
        .map(SpanIdx::from_position)
        .any(|span| profile.spans[span].work.is_some() || roles.is_numeric[span])
}

/// Threads with a site in common do the same thing.
fn have_one_role(profile: &Profile, a: ThreadIdx, b: ThreadIdx) -> bool {
    let sites = |thread: ThreadIdx| {
        profile.spans.values()[profile.threads[thread].spans.clone()].iter().map(|path| path.site)
    };
    let of_a: std::collections::HashSet<SiteIdx> = sites(a).collect();
    sites(b).any(|site| of_a.contains(&site))
}

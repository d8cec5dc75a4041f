//! What the parts of a program are to each other, found once from the whole run: which spans serve a request, which are the
//! body of a thread, which spin, who shares a lock, and which thread starves which.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use crate::profile::snapshots::{Call, State};
use crate::profile::{Doing, Moment, Profile, SiteIdx, SpanIdx, TaskIdx, ThreadIdx};

use super::Column;
use super::cause::Cause;
use super::testimony::Witness;
use super::thresholds::SPINNING;

/// A span spins if it has at least so many samples, and enough of them beside a spin-wait hint.
const LEAST_SAMPLES: u64 = 5;

/// A poll loop sleeps so often,
const LEAST_NAPS: u64 = 50;
/// and not longer than this on average.
const LONGEST_NAP_NS: u64 = 2_500_000;

/// Threads are in step if they make so many calls each.
const LEAST_STEPS: u64 = 2;

/// Facts about the paths and threads of a run.
#[derive(Debug)]
pub(super) struct Roles<'a> {
    pub(super) profile: &'a Profile,
    /// Sites are marked as requests.
    pub(super) has_requests: bool,
    /// Paths at or inside a request.
    in_request: Column<SpanIdx, bool>,
    /// Threads on which requests are made.
    asks: Column<ThreadIdx, bool>,
    /// Paths that are the one call of a thread's life: what waits there, and not in a call inside, waits for work.
    is_body: Column<SpanIdx, bool>,
    /// The part of each path's time on the CPU in which it only waits.
    spinning: Column<SpanIdx, f64>,
    /// Paths that do the work of a model, as samples say.
    pub(super) is_numeric: Column<SpanIdx, bool>,
    /// The path that asynchronous calls spend most time waiting in.
    pub(super) waiting_future: Option<SpanIdx>,
    /// CPUs that the process may use at one time.
    pub(super) cpus: f64,
    /// Futexes that more than one task was seen to wait at.
    shared: HashSet<u64>,
    /// Threads that wait for the input that another one makes: `(consumer, producer)`.
    starved: Vec<(ThreadIdx, ThreadIdx)>,
    /// Threads that do parts of one thing, the smaller number first.
    crews: HashSet<(ThreadIdx, ThreadIdx)>,
    /// What a path that waits for something outside of the program waits for.
    io_waits: Column<SpanIdx, Option<Cause>>,
    /// The innermost path with a key at or around each.
    keyed: Column<SpanIdx, Option<SpanIdx>>,
    pub(super) has_keys: bool,
    /// Whether two paths are in calls of one site, as far as it was asked.
    peers: RefCell<HashMap<(SpanIdx, SpanIdx), bool>>,
}

impl<'a> Roles<'a> {
    pub(super) fn of(profile: &'a Profile, witness: Option<&dyn Witness>) -> Self {
        let mut in_request = Column::filled(profile.spans.len(), false);
        let mut asks = Column::filled(profile.threads.len(), false);
        let mut is_body = Column::filled(profile.spans.len(), false);
        let mut spinning = Column::filled(profile.spans.len(), 0.0);
        let mut is_numeric = Column::filled(profile.spans.len(), false);
        let mut keyed: Column<SpanIdx, Option<SpanIdx>> = Column::filled(profile.spans.len(), None);
        for (span, path) in profile.spans.iter() {
            let inside = path.parent.is_some_and(|parent| in_request[parent]);
            in_request[span] = inside || profile.sites[path.site].is_request;
            keyed[span] = match path.key {
                Some(_) => Some(span),
                None => path.parent.and_then(|parent| keyed[parent]),
            };
            asks[path.thread] |= in_request[span];
            let calls = path.calls + u64::from(path.open_ns.is_some());
            is_body[span] =
                path.parent.is_none() && calls <= 1 && profile.threads[path.thread].lives <= 1;
            if let Some(witness) = witness {
                spinning[span] = witness.spinning(span);
                is_numeric[span] = witness.is_numeric(span);
            }
            // Hints tell less than instructions, but of every sample. Those of a device's driver tell nothing of the program.
            let is_in_driver = witness.is_some_and(|it| it.in_driver(span) >= SPINNING);
            let hinted = profile.samples.as_ref().map(|samples| samples[span]);
            if hinted.filter(|_| !is_in_driver).is_some_and(|it| {
                it.n >= LEAST_SAMPLES && it.spinning as f64 >= SPINNING * it.n as f64
            }) {
                spinning[span] = 1.0;
            }
        }
        let waits_most = |&span: &SpanIdx| {
            let path = &profile.spans[span];
            (in_request[span], path.polling.map_or(0, |polling| polling.waiting_ns))
        };
        let futures = profile.spans.indices().filter(|&span| profile.spans[span].polling.is_some());
        let mut res = Self {
            profile,
            has_requests: profile
                .spans
                .values()
                .iter()
                .any(|path| profile.sites[path.site].is_request),
            waiting_future: futures.max_by_key(waits_most),
            in_request,
            asks,
            is_body,
            spinning,
            is_numeric,
            has_keys: keyed.values().iter().any(Option::is_some),
            keyed,
            cpus: cpus(profile),
            shared: shared_futexes(profile),
            starved: Vec::new(),
            crews: HashSet::new(),
            io_waits: super::io_waits::of(profile),
            peers: RefCell::default(),
        };
        res.starved = super::starved::pairs(&res);
        res.crews = super::crew::pairs(&res);
        res
    }

    /// What a thread that has just been woken waited for, where the wait is to blame for the wake-up.
    pub(super) fn woken_from(&self, span: SpanIdx) -> Option<Cause> {
        self.io_waits[span]
    }

    /// At or inside a request.
    pub(super) fn is_in_request(&self, span: SpanIdx) -> bool {
        self.in_request[span]
    }

    /// Requests are made on this thread.
    pub(super) fn thread_has_requests(&self, thread: ThreadIdx) -> bool {
        self.asks[thread]
    }

    /// The body of a thread: see [`Roles::is_body`].
    pub(super) fn is_body(&self, span: SpanIdx) -> bool {
        self.is_body[span]
    }

    /// The part of its time on the CPU in which it only waits, from 0 to 1.
    pub(super) fn spinning(&self, span: SpanIdx) -> f64 {
        self.spinning[span]
    }

    /// The innermost path with a key at or around this one.
    pub(super) fn keyed(&self, span: SpanIdx) -> Option<SpanIdx> {
        self.keyed[span]
    }

    /// Whether a path that sleeps does so again and again, shortly: it looks for something in between.
    pub(super) fn polls(&self, span: SpanIdx) -> bool {
        let path = &self.profile.spans[span];
        path.waits >= LEAST_NAPS && path.blocked_ns / path.waits <= LONGEST_NAP_NS
    }

    /// More than one task waits here now and then.
    pub(super) fn is_shared_futex(&self, doing: &Doing) -> bool {
        doing.call == Call::Futex && self.shared.contains(&doing.argument)
    }

    /// Something was asked of the program at this moment.
    pub(super) fn is_in_flight(&self, moment: &Moment, doings: &[Doing]) -> bool {
        if !self.has_requests {
            return self.is_waiting_future_in_flight() || doings.iter().any(|it| it.span.is_some());
        }
        let is_inside = |doing: &Doing| doing.span.is_some_and(|span| self.in_request[span]);
        moment.async_requests > 0 || doings.iter().any(is_inside)
    }

    /// Without marks, a program with asynchronous calls is taken to be always in one.
    pub(super) fn is_waiting_future_in_flight(&self) -> bool {
        !self.has_requests && self.waiting_future.is_some()
    }

    /// Whether two threads are in calls of one site, the bodies of threads aside: parts of one thing.
    pub(super) fn are_peers(&self, a: SpanIdx, b: SpanIdx) -> bool {
        let key = if a < b { (a, b) } else { (b, a) };
        *self.peers.borrow_mut().entry(key).or_insert_with(|| {
            let of_a: Vec<SiteIdx> = self.calls_around(a).collect();
            self.calls_around(b).any(|site| of_a.contains(&site))
        })
    }

    /// Whether two threads make the calls that they have in common in step with each other: equally often, and again and again.
    pub(super) fn are_in_step(&self, a: SpanIdx, b: SpanIdx) -> bool {
        let calls = |span: SpanIdx| {
            let path = &self.profile.spans[span];
            path.calls + u64::from(path.open_ns.is_some())
        };
        let is_in_step = |x: SpanIdx, y: SpanIdx| {
            self.profile.spans[x].site == self.profile.spans[y].site
                && calls(x).abs_diff(calls(y)) <= 1
                && calls(x) >= LEAST_STEPS
        };
        self.paths_around(a).any(|x| self.paths_around(b).any(|y| is_in_step(x, y)))
    }

    /// The sites of the calls that a path is in, innermost first.
    fn calls_around(&self, span: SpanIdx) -> impl Iterator<Item = SiteIdx> + '_ {
        self.paths_around(span).map(|at| self.profile.spans[at].site)
    }

    /// A path and those around it, without the body of its thread.
    pub(super) fn paths_around(&self, span: SpanIdx) -> impl Iterator<Item = SpanIdx> + '_ {
        let around = std::iter::successors(Some(span), |&at| self.profile.spans[at].parent);
        around.filter(|&at| !self.is_body[at])
    }

    /// The thread of a task's spans.
    pub(super) fn thread_of(&self, task: TaskIdx) -> Option<ThreadIdx> {
        self.profile.snapshots.tasks[task].thread
    }

    /// Whether two threads do parts of one thing.
    pub(super) fn are_a_crew(&self, a: ThreadIdx, b: ThreadIdx) -> bool {
        self.crews.contains(&(a.min(b), a.max(b)))
    }

    /// The threads that make the input of this one, where it starves for it.
    pub(super) fn producers_of(&self, consumer: ThreadIdx) -> impl Iterator<Item = ThreadIdx> {
        self.starved
            .iter()
            .filter(move |&&(starved, _)| starved == consumer)
            .map(|&(_, producer)| producer)
    }
}

/// What a doing waits for; `None` if it does not wait.
pub(super) fn cause_of(doing: &Doing) -> Option<Cause> {
    (doing.state == State::Blocked).then(|| Cause::of(doing))
}

/// The CPUs of the affinity mask, or what a limit of CPU time leaves of them.
fn cpus(profile: &Profile) -> f64 {
    let mask = profile.conditions.affinity.or(profile.cpus).unwrap_or(1).max(1);
    let limit = profile.conditions.throttling.filter(|it| it.quota_ns > 0 && it.period_ns > 0);
    let limit = limit.map_or(f64::INFINITY, |it| it.quota_ns as f64 / it.period_ns as f64);
    f64::from(mask).min(limit.ceil().max(1.0))
}

fn shared_futexes(profile: &Profile) -> HashSet<u64> {
    let mut first: HashMap<u64, TaskIdx> = HashMap::new();
    let mut res = HashSet::new();
    for doing in &profile.snapshots.doings {
        if doing.call == Call::Futex
            && doing.state == State::Blocked
            && *first.entry(doing.argument).or_insert(doing.task) != doing.task
        {
            res.insert(doing.argument);
        }
    }
    res
}

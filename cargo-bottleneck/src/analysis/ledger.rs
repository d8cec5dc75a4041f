//! The time in flight, divided among what is to blame: rows that sum to it to the nanosecond.
//!
//! While one thread has spans, or requests, its times are exact: what it did on the CPU and how long it waited are known, and moments only
//! say what the waits were for. With several, moments are all there is: each stands for the time since the one before. Where
//! there are no snapshots at all, thread time stands in for wall time. What devices did since the moment before is known
//! exactly, and comes first: moments, or without them thread time, say what limits the host in the rest.

use std::collections::BTreeMap;

use crate::kind::Kind;
use crate::profile::{Profile, SpanIdx};

use super::attribution::SelfTime;
use super::blame::{Blamed, Part};
use super::cause::Cause;
use super::classify::Classification;
use super::device::{DeviceView, unseen};
use super::in_flight::InFlight;
use super::kinds::{ByKind, ratio};
use super::moments::{Moments, Outcomes};
use super::roles::Roles;
use super::scene::Setting;
use super::subkind::Subkind;
use super::{Column, interference};

/// Fewer moments in flight than this say nothing.
pub(super) const LEAST_MOMENTS: u64 = 10;

/// Time that one thing is to blame for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What, and where.
    pub blamed: Blamed,
    /// How long, in ns.
    pub ns: u64,
    /// The part of it that would be saved if nothing idled, in ns.
    pub lost_ns: u64,
}

/// What a path's waits were for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WaitShare {
    /// Kind of the wait.
    pub kind: Kind,
    /// What of the kind.
    pub subkind: Option<Subkind>,
    /// What was waited for.
    pub cause: Option<Cause>,
    /// The part of the path's waits, 0 to 1.
    pub part: f64,
}

/// How the rows came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Exact amounts on one thread.
    Exact,
    /// Sampled moments.
    Sampled,
    /// Thread time: there were several threads and no moments.
    ThreadTime,
}

/// The time in flight, divided.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The rows, by path.
    pub rows: Vec<Row>,
    /// Their sum.
    pub in_flight_ns: u64,
    /// The rest of the run.
    pub idle_ns: u64,
    /// The part of the run in which nothing was in flight and no thread could run, 0 to 1; 0 where it was not seen.
    pub quiet: f64,
    /// How they came about.
    pub basis: Basis,
    /// Moments in flight that sampled shares rest on; 0 where everything is exact.
    pub n: u64,
    /// Half width of the 95 % interval of the largest share that was sampled.
    pub interval: f64,
    /// What the waits of each path were for; empty where it was not seen.
    pub waits: Column<SpanIdx, Vec<WaitShare>>,
    /// Moments by the rule that decided, for tests and for who wants to know.
    pub decided_by: BTreeMap<&'static str, u64>,
}

impl Ledger {
    /// Divides the time in flight of a run.
    pub(super) fn of(
        profile: &Profile,
        times: &Column<SpanIdx, SelfTime>,
        classes: &Classification,
        roles: &Roles<'_>,
        in_flight: &InFlight,
        devices: Option<&DeviceView>,
    ) -> Self {
        let taken_by = interference::who_else(profile, times);
        let at = Setting { profile, roles, classes, devices, taken_by };
        let moments = Moments::look(&at);
        // Times of the host do not say what a device does meanwhile.
        let is_exact = in_flight.is_exact() && roles.waiting_future.is_none() && devices.is_none();
        let mut res = Self {
            rows: Vec::new(),
            in_flight_ns: 0,
            idle_ns: 0,
            quiet: moments.weight_quiet
                / (moments.weight_in_flight + moments.weight_idle).max(f64::MIN_POSITIVE),
            basis: Basis::Exact,
            n: 0,
            interval: 0.0,
            waits: moments.wait_shares(profile, classes),
            decided_by: moments.decided_by.clone(),
        };
        if is_exact {
            res.fill_exactly(&at, times, in_flight, &moments);
        } else if moments.n_in_flight >= LEAST_MOMENTS {
            res.fill_from(profile, &moments);
        } else {
            res.fill_from_threads(&at, times, in_flight);
        }
        if unseen::is_used(profile) {
            res.doubt_waits(profile);
        }
        res
    }

    /// A device was used of which nothing is known: waits that may be for it are nobody's fault.
    fn doubt_waits(&mut self, profile: &Profile) {
        for row in &mut self.rows {
            let blamed = &mut row.blamed;
            if blamed.part == Part::Waits && unseen::may_be(blamed.subkind, blamed.cause) {
                (blamed.kind, blamed.subkind) = (Kind::Other, Some(Subkind::UnseenDevice));
                row.lost_ns = 0;
            }
        }
        for span in profile.spans.indices() {
            for wait in &mut self.waits[span] {
                if unseen::may_be(wait.subkind, wait.cause) {
                    (wait.kind, wait.subkind) = (Kind::Other, Some(Subkind::UnseenDevice));
                }
            }
        }
    }

    /// Time by kind.
    pub fn kinds(&self) -> ByKind {
        kinds_of(self.rows.iter())
    }

    fn fill_exactly(
        &mut self,
        at: &Setting<'_>,
        times: &Column<SpanIdx, SelfTime>,
        in_flight: &InFlight,
        moments: &Moments,
    ) {
        let mut idle_ns = 0;
        let counts = |span: &SpanIdx| in_flight.is_wall_time(at.profile, *span);
        for span in at.profile.spans.indices().filter(counts) {
            let (time, class) = (times[span], at.classes.spans[span]);
            let blamed = |part, kind, subkind| Blamed {
                span,
                part,
                kind,
                subkind,
                cause: None,
                helper: None,
                via: None,
            };
            for (it, ns) in class.mixture.divide(time.on_cpu_ns) {
                let lost_ns = if it.subkind == Some(Subkind::Spin) { ns } else { 0 };
                self.add(blamed(Part::OnCpu, it.kind, it.subkind), ns, lost_ns);
            }
            let by = Some(at.taken_by);
            self.add(
                blamed(Part::Preempted, Kind::Scheduling, by),
                time.preempted_ns,
                time.preempted_ns,
            );
            let outcomes = moments.off_cpu.get(&span);
            let sum = outcomes.map_or(0.0, Outcomes::sum);
            if sum <= 0.0 {
                let subkind = (class.waits != Kind::Other).then_some(Subkind::Asserted);
                self.add(blamed(Part::Waits, class.waits, subkind), time.blocked_ns, 0);
                continue;
            }
            let outcomes = outcomes.into_iter().flat_map(|it| &it.shares);
            idle_ns +=
                self.divide(time.blocked_ns, sum, outcomes.map(|(&blamed, &it)| (blamed, it)));
        }
        self.in_flight_ns = self.rows.iter().map(|row| row.ns).sum();
        self.idle_ns = at.profile.life_ns.saturating_sub(self.in_flight_ns);
        let sampled: u64 = self
            .rows
            .iter()
            .filter(|row| matches!(row.blamed.part, Part::Waits | Part::Helpers))
            .map(|row| row.ns)
            .sum();
        let share = ratio(sampled, self.in_flight_ns);
        if share >= 0.01 {
            self.n = moments.n_off_cpu;
            self.interval = moments.interval(self.largest()) * share.min(1.0);
        }
        debug_assert!(idle_ns <= at.profile.life_ns);
    }

    fn fill_from(&mut self, profile: &Profile, moments: &Moments) {
        let whole = moments.weight_in_flight + moments.weight_idle;
        // A part of at most 1 of the run's length.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, and at most the run"
        )]
        let in_flight_ns =
            (profile.life_ns as f64 * (moments.weight_in_flight / whole).min(1.0)) as u64;
        let rows = moments.in_flight.shares.iter().map(|(&blamed, &it)| (blamed, it));
        self.basis = Basis::Sampled;
        self.divide(in_flight_ns, moments.in_flight.sum(), rows);
        self.in_flight_ns = self.rows.iter().map(|row| row.ns).sum();
        self.idle_ns = profile.life_ns.saturating_sub(self.in_flight_ns);
        self.n = moments.n_in_flight;
        self.interval = moments.interval(self.largest());
    }

    /// Thread time in the proportions that it has, as long as the busiest thread was busy, less what devices account for.
    fn fill_from_threads(
        &mut self,
        at: &Setting<'_>,
        times: &Column<SpanIdx, SelfTime>,
        in_flight: &InFlight,
    ) {
        let wall = in_flight.wall_ns as f64;
        let life = at.profile.life_ns as f64;
        let of_devices = at.devices.map(|it| it.alone(at.profile.life_ns)).unwrap_or_default();
        let by_devices = life * of_devices.iter().map(|share| share.part).sum::<f64>();
        let spans = || at.profile.spans.indices().filter(|&span| in_flight.counts[span]);
        let waits = spans().map(|span| times[span].blocked_ns as f64).sum::<f64>();
        // Hosts wait for devices.
        let other_waits = (1.0 - by_devices / waits.max(1.0)).max(0.0);
        let mut parts = BTreeMap::new();
        for span in spans() {
            let (time, class) = (times[span], at.classes.spans[span]);
            let asserted = (class.waits != Kind::Other).then_some(Subkind::Asserted);
            let on_cpu = class.mixture.divide(time.on_cpu_ns);
            let on_cpu = on_cpu.map(|(it, ns)| (Part::OnCpu, it.kind, it.subkind, ns));
            for (part, kind, subkind, ns) in on_cpu.chain([
                (Part::Waits, class.waits, asserted, scaled(time.blocked_ns, other_waits)),
                (Part::Preempted, Kind::Scheduling, Some(at.taken_by), time.preempted_ns),
            ]) {
                let blamed =
                    Blamed { span, part, kind, subkind, cause: None, helper: None, via: None };
                parts.insert(blamed, (ns as f64, 0.0));
            }
        }
        let of_hosts: f64 = parts.values().map(|it: &(f64, f64)| it.0).sum();
        let in_flight_part = (wall / by_devices.max(1.0)).min(1.0);
        let left = (wall - by_devices * in_flight_part) / of_hosts.max(1.0);
        if !of_devices.is_empty() {
            for weight in parts.values_mut() {
                weight.0 *= left;
            }
        }
        for share in of_devices {
            let weight = |part: f64| part * life * in_flight_part;
            parts.insert(share.blamed, (weight(share.part), weight(share.lost)));
        }
        let sum = parts.values().map(|it| it.0).sum();
        self.basis = Basis::ThreadTime;
        self.divide(in_flight.wall_ns, sum, parts.into_iter());
        self.in_flight_ns = in_flight.wall_ns;
        self.idle_ns = in_flight.idle_ns;
    }

    /// Divides `ns` in proportion to the weights, which may sum to less than `whole`; returns what is left.
    fn divide(
        &mut self,
        ns: u64,
        whole: f64,
        weights: impl Iterator<Item = (Blamed, (f64, f64))>,
    ) -> u64 {
        if whole <= 0.0 {
            return ns;
        }
        // Each boundary is rounded once, so no nanosecond is lost between neighbors.
        let (mut seen, mut given) = (0.0, 0);
        for (blamed, (weight, lost)) in weights {
            seen += weight;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "positive, and at most `ns`"
            )]
            let until = ((ns as f64 * (seen / whole)).round() as u64).clamp(given, ns);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "positive, and at most `ns`"
            )]
            let lost_ns = (ns as f64 * (lost / whole)) as u64;
            self.add(blamed, until - given, lost_ns.min(until - given));
            given = until;
        }
        ns - given
    }

    fn add(&mut self, blamed: Blamed, ns: u64, lost_ns: u64) {
        if ns > 0 {
            self.rows.push(Row { blamed, ns, lost_ns });
        }
    }

    fn largest(&self) -> Kind {
        self.kinds().ranked().first().map_or(Kind::Other, |&(kind, _)| kind)
    }
}

/// A part of a time, 0 to 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and at most the time"
)]
fn scaled(ns: u64, part: f64) -> u64 {
    (ns as f64 * part) as u64
}

/// Time of some rows by kind.
pub(super) fn kinds_of<'r>(rows: impl Iterator<Item = &'r Row>) -> ByKind {
    let mut res = ByKind::default();
    for row in rows {
        res.add(row.blamed.kind, row.ns);
    }
    res
}

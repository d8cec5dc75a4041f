//! What all moments of a run say together: weights of what was to blame, and what waits were for.

use std::collections::BTreeMap;

use crate::kind::Kind;
use crate::profile::snapshots::State;
use crate::profile::{Doing, OffCpuSource, Profile, SpanIdx};

use super::Column;
use super::blame::{Blamed, Part, Share, blame, stalled};
use super::cause::Cause;
use super::classify::Classification;
use super::device::Host;
use super::kinds::ByKind;
use super::ledger::WaitShare;
use super::roles::cause_of;
use super::scene::{Scene, Setting};
use super::subkind::Subkind;

/// Batches of moments for the interval of a share.
const BATCHES: usize = 24;

/// Weights of what was to blame, and of what would be saved.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes {
    pub(super) shares: BTreeMap<Blamed, (f64, f64)>,
    idle: f64,
}

impl Outcomes {
    fn add(&mut self, share: &Share, weight: f64) {
        let sum = self.shares.entry(share.blamed).or_default();
        sum.0 += share.part * weight;
        sum.1 += share.lost * weight;
    }

    pub(super) fn sum(&self) -> f64 {
        self.shares.values().map(|it| it.0).sum::<f64>() + self.idle
    }
}

/// Kind, sub-kind and cause of a wait.
type Wait = (Kind, Option<Subkind>, Option<Cause>);

/// What all moments say together.
#[derive(Debug, Default)]
pub(super) struct Moments {
    pub(super) in_flight: Outcomes,
    /// By path: what limited the program while a thread was off the CPU there.
    pub(super) off_cpu: BTreeMap<SpanIdx, Outcomes>,
    /// By path: what its own waits were for.
    waits: BTreeMap<SpanIdx, BTreeMap<Wait, f64>>,
    batches: Vec<ByKind>,
    pub(super) weight_in_flight: f64,
    pub(super) weight_idle: f64,
    /// The part of `weight_idle` in which no thread could run.
    pub(super) weight_quiet: f64,
    pub(super) n_in_flight: u64,
    pub(super) n_off_cpu: u64,
    pub(super) decided_by: BTreeMap<&'static str, u64>,
}

impl Moments {
    pub(super) fn look(at: &Setting<'_>) -> Self {
        let snapshots = &at.profile.snapshots;
        let mut res = Self { batches: vec![ByKind::default(); BATCHES], ..Self::default() };
        let count = snapshots.moments.len();
        let (mut scenes, mut hosts) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for moment in &snapshots.moments {
            let scene = Scene::of(at.roles, moment, snapshots.doings(moment));
            let (rule, shares) = blame(&scene, at);
            *res.decided_by.entry(rule).or_default() += 1;
            let busiest = scene.actors.iter().max_by(|a, b| a.on_cpu.total_cmp(&b.on_cpu));
            hosts.push(Host { span: busiest.map(|actor| actor.span), shares });
            scenes.push(scene);
        }
        let limits = match at.devices {
            Some(devices) => devices.before_hosts(&snapshots.moments, &hosts),
            None => hosts.into_iter().map(|host| host.shares).collect(),
        };
        let seen = snapshots.moments.iter().zip(scenes).zip(limits);
        for (position, ((moment, scene), shares)) in seen.enumerate() {
            let doings = snapshots.doings(moment);
            let own = moment.weight_ns.saturating_sub(moment.stalled_ns) as f64;
            let batch = &mut res.batches[position * BATCHES / count.max(1)];
            if shares.is_empty() {
                res.weight_idle += moment.weight_ns as f64;
                if doings.iter().all(|it| it.state == State::Blocked) {
                    res.weight_quiet += moment.weight_ns as f64;
                }
            } else {
                res.n_in_flight += 1;
                res.weight_in_flight += own;
                let stalled = if moment.stalled_ns > 0 { stalled(&scene, at) } else { Vec::new() };
                let while_stalled = stalled.iter().map(|share| (share, moment.stalled_ns as f64));
                if stalled.is_empty() {
                    res.weight_idle += moment.stalled_ns as f64;
                } else {
                    res.weight_in_flight += moment.stalled_ns as f64;
                }
                for (share, weight) in shares.iter().map(|share| (share, own)).chain(while_stalled)
                {
                    res.in_flight.add(share, weight);
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "a positive time"
                    )]
                    batch.add(share.blamed.kind, (share.part * weight) as u64);
                }
            }
            for doing in doings {
                res.look_at(at, doing, &shares, moment.weight_ns as f64);
            }
        }
        res
    }

    /// What one thread waited for.
    fn look_at(&mut self, at: &Setting<'_>, doing: &Doing, shares: &[Share], weight: f64) {
        let Some(span) = doing.span else { return };
        let thread = &at.profile.threads[at.profile.spans[span].thread];
        let is_off = match doing.state {
            State::Blocked | State::Woken => true,
            // Without switch records waits and preemption are one amount, unless the kernel told the latter.
            State::Runnable => {
                thread.source != OffCpuSource::Switches && at.profile.spans[span].preempted_ns == 0
            }
            State::Running | State::Preempted => false,
        };
        if !is_off {
            return;
        }
        let is_waiting = doing.state != State::Runnable;
        let own: Vec<&Share> = shares
            .iter()
            .filter(|it| {
                is_waiting || (it.blamed.part == Part::Preempted && it.blamed.span == span)
            })
            .collect();
        if is_waiting || !own.is_empty() {
            self.n_off_cpu += 1;
        }
        let outcomes = self.off_cpu.entry(span).or_default();
        for share in &own {
            outcomes.add(share, weight);
        }
        if is_waiting && own.is_empty() {
            outcomes.idle += weight;
        }
        let Some(cause) = cause_of(doing) else {
            for share in own {
                let wait = (share.blamed.kind, share.blamed.subkind, None);
                *self.waits.entry(span).or_default().entry(wait).or_default() +=
                    share.part * weight;
            }
            return;
        };
        let waits = self.waits.entry(span).or_default();
        if let Some((kind, subkind)) = cause.kind() {
            *waits.entry((kind, Some(subkind), Some(cause))).or_default() += weight;
        } else if own.is_empty() {
            *waits.entry((Kind::Other, None, Some(cause))).or_default() += weight;
        } else {
            // It inherits what those do that it may wait for.
            for share in own {
                let wait = (share.blamed.kind, share.blamed.subkind, Some(cause));
                *waits.entry(wait).or_default() += share.part * weight;
            }
        }
    }

    pub(super) fn wait_shares(
        &self,
        profile: &Profile,
        classes: &Classification,
    ) -> Column<SpanIdx, Vec<WaitShare>> {
        let of = |span: SpanIdx| {
            let Some(waits) = self.waits.get(&span) else { return Vec::new() };
            let whole: f64 = waits.values().sum();
            let asserted = classes.spans[span].waits;
            waits
                .iter()
                .map(|(&(kind, subkind, cause), &weight)| {
                    let part = weight / whole.max(f64::MIN_POSITIVE);
                    if asserted == Kind::Other {
                        WaitShare { kind, subkind, cause, part }
                    } else {
                        WaitShare { kind: asserted, subkind: Some(Subkind::Asserted), cause, part }
                    }
                })
                .collect()
        };
        profile.spans.indices().map(of).collect()
    }

    /// Half width of the 95 % interval of a kind's share: batches of neighboring moments are nearly independent, moments
    /// are not. From the differences of neighbors (von Neumann), so that a program which first does one thing and then
    /// another is not taken for a noisy one.
    pub(super) fn interval(&self, kind: Kind) -> f64 {
        let batches: Vec<&ByKind> = self.batches.iter().filter(|it| it.total() > 0).collect();
        let whole: u64 = batches.iter().map(|it| it.total()).sum();
        if batches.len() < 3 || whole == 0 {
            return if whole == 0 { 0.0 } else { 1.0 };
        }
        let share = batches.iter().map(|it| it.ns(kind)).sum::<u64>() as f64 / whole as f64;
        let n = batches.len() as f64;
        let mean = whole as f64 / n;
        let residuals: Vec<f64> =
            batches.iter().map(|it| it.ns(kind) as f64 - share * it.total() as f64).collect();
        let squares: f64 = residuals.windows(2).map(|pair| (pair[1] - pair[0]).powi(2) / 2.0).sum();
        (1.96 * (squares / (n * (n - 1.0))).sqrt() / mean).min(1.0)
    }
}

//! Work that one thread declares and others do: threads without spans run for the span that waits for them.

use crate::profile::snapshots::State;
use crate::profile::{Profile, SpanIdx};

use super::attribution::SelfTime;
use super::roles::{Roles, cause_of};
use super::scene::Scene;
use super::{Column, held_up};

/// What others did while a path waited for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Helped {
    /// Thread time of threads without spans, in ns.
    pub(super) by_helpers_ns: u64,
    /// Waits in which threads with spans of their own ran, for it or not, in ns.
    pub(super) unclear_ns: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Weights {
    waited: f64,
    helped: f64,
    unclear: f64,
}

/// By path: what others did while it waited. Without snapshots everything is unclear.
pub(super) fn helped(
    profile: &Profile,
    roles: &Roles<'_>,
    times: &Column<SpanIdx, SelfTime>,
) -> Column<SpanIdx, Helped> {
    let mut weights: Column<SpanIdx, Weights> =
        Column::filled(profile.spans.len(), Weights::default());
    for moment in &profile.snapshots.moments {
        let doings = profile.snapshots.doings(moment);
        let weight = moment.weight_ns as f64;
        let scene = Scene::of(roles, moment, doings);
        let running: f64 = scene.helpers.iter().map(|it| it.on_cpu).sum();
        let n_served = held_up::served(&scene).count().max(1) as f64;
        for waiter in held_up::served(&scene) {
            let weights = &mut weights[waiter.span];
            if scene.actors.is_empty() {
                weights.helped += weight * running / n_served;
            } else {
                weights.unclear += weight;
            }
        }
        for doing in doings {
            if let Some(span) = doing.span
                && (cause_of(doing).is_some() || doing.state == State::Woken)
            {
                weights[span].waited += weight;
            }
        }
    }
    let part = |ns: u64, weight: f64, whole: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates"
        )]
        let res = (ns as f64 * weight / whole) as u64;
        res
    };
    let of = |(span, it): (SpanIdx, &Weights)| {
        let blocked_ns = times[span].blocked_ns;
        if it.waited <= 0.0 {
            return Helped { by_helpers_ns: 0, unclear_ns: blocked_ns };
        }
        Helped {
            by_helpers_ns: part(blocked_ns, it.helped, it.waited),
            unclear_ns: part(blocked_ns, it.unclear, it.waited),
        }
    };
    weights.iter().map(of).collect()
}

/// How many threads do declared work at once, on average over the moments at which any does, at least 1: measure ceilings
/// with so many. Without snapshots: as many as declare work. Where nothing is declared, all work counts.
pub fn working_threads(profile: &Profile) -> u32 {
    let roles = Roles::of(profile, None);
    let mut declared: Column<SpanIdx, bool> = Column::filled(profile.spans.len(), false);
    for (span, path) in profile.spans.iter() {
        declared[span] = path.work.is_some() || path.parent.is_some_and(|parent| declared[parent]);
    }
    if !declared.values().contains(&true) {
        declared = Column::filled(profile.spans.len(), true);
    }
    let (mut sum, mut whole) = (0.0, 0.0);
    for moment in &profile.snapshots.moments {
        let scene = Scene::of(&roles, moment, profile.snapshots.doings(moment));
        let own: f64 = scene.actors.iter().filter(|it| declared[it.span]).map(|it| it.on_cpu).sum();
        let has_served =
            scene.actors.is_empty() && held_up::served(&scene).any(|waiter| declared[waiter.span]);
        let helping: f64 =
            if has_served { scene.helpers.iter().map(|it| it.on_cpu).sum() } else { 0.0 };
        if own + helping > 0.0 {
            sum += (own + helping) * moment.weight_ns as f64;
            whole += moment.weight_ns as f64;
        }
    }
    if whole > 0.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, and at most the number of threads"
        )]
        return ((sum / whole).round() as u32).max(1);
    }
    let works = |range: std::ops::Range<usize>| {
        profile.spans.values()[range].iter().any(|path| path.work.is_some())
    };
    let n = profile.program_threads().filter(|(_, thread)| works(thread.spans.clone())).count();
    u32::try_from(n).unwrap_or(u32::MAX).max(1)
}

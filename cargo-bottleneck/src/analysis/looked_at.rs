//! What a report says beside its verdict: what was no problem, what was not looked at, what the reader should know.

use std::collections::HashSet;

use crate::number::{count, percent};
use crate::profile::{OffCpuSource, Profile, SpanIdx};

use super::attribution::SelfTime;
use super::in_flight::InFlight;
use super::kinds::ratio;
use super::ledger::{Basis, Ledger};
use super::subkind::Subkind;
use super::{Column, Context, LEAST_SHARE, identity, working_threads};

/// The machine's hypervisor gave away more than this.
const MUCH_STEAL_PPM: u32 = 20_000;
/// A control group that was throttled in this part of its periods.
const MUCH_THROTTLING: f64 = 0.01;

/// Sub-kinds that are checked where waits are known, each by its name in the list.
const CHECKED: [(Subkind, &str); 7] = [
    (Subkind::Disk, "disk"),
    (Subkind::Network, "network"),
    (Subkind::Lock, "lock waits"),
    (Subkind::Imbalance, "imbalance"),
    (Subkind::Timer, "timers"),
    (Subkind::Spin, "spinning"),
    (Subkind::Oversubscribed, "preemption"),
];

/// What was found to be no problem, and what was not looked at.
pub(super) fn looked_at(
    profile: &Profile,
    times: &Column<SpanIdx, SelfTime>,
    in_flight: &InFlight,
    ledger: &Ledger,
) -> (Vec<String>, Vec<String>) {
    let is_small = |ns: u64| ratio(ns, ledger.in_flight_ns) < LEAST_SHARE;
    let mut checked = Vec::new();
    let mut skipped = Vec::new();
    let scope = || profile.spans.indices().filter(|&span| in_flight.counts[span]);
    let blocked_ns: u64 = scope().map(|span| times[span].blocked_ns).sum();
    let knows_waits =
        profile.program_threads().any(|(_, thread)| thread.source != OffCpuSource::Unknown);
    let knows_preemption =
        profile.program_threads().all(|(_, thread)| thread.source == OffCpuSource::Switches);
    let has_moments = !profile.snapshots.moments.is_empty();
    if knows_waits && ledger.in_flight_ns > 0 {
        for (subkind, name) in CHECKED {
            let is_it = |of: Option<Subkind>| match of {
                Some(Subkind::Sync) => subkind == Subkind::Disk,
                of => of == Some(subkind),
            };
            let rows = ledger.rows.iter().filter(|row| is_it(row.blamed.subkind));
            // A thread's CPU clock does not tell preemption from waits; spinning is seen in samples only.
            let is_known = match subkind {
                Subkind::Oversubscribed => knows_preemption,
                Subkind::Spin => profile.samples.is_some(),
                _ => has_moments,
            };
            if is_known && is_small(rows.map(|row| row.ns).sum()) {
                checked.push(name.to_owned());
            }
        }
        if !has_moments && is_small(blocked_ns) {
            checked.push("waits".to_owned());
        } else if !has_moments {
            skipped.push("causes of waits (recorded in amount only)".to_owned());
        }
    }
    if profile.samples.is_none() {
        skipped.push("spinning (instructions could not be sampled)".to_owned());
    }
    if profile.sampling.as_ref().is_none_or(|sampling| sampling.counted.is_empty()) {
        skipped.push("functions without spans".to_owned());
    }
    (checked, skipped)
}

/// What the reader should know, each with the way out.
pub(super) fn warnings(profile: &Profile, context: &Context, ledger: &Ledger) -> Vec<String> {
    let mut res = context.warnings.clone();
    if ledger.basis == Basis::ThreadTime && profile.devices.is_some() {
        res.push(
            "there are too few snapshots to tell what limits the host while devices have nothing to do: that part is in \
             proportion to thread time, and no confidence is above moderate; a longer run has more"
                .to_owned(),
        );
    } else if ledger.basis == Basis::ThreadTime {
        res.push(
            "several threads have spans, and there are too few snapshots to tell which held up which: shares are of thread \
             time, `in_flight_ns` is the time of the busiest thread, and no confidence is above moderate; a longer run has \
             more"
                .to_owned(),
        );
    }
    res.extend(conditions(profile));
    if profile.snapshots.left_out > 0 {
        res.push(format!(
            "{} entries did not fit into the snapshots: shares rest on the threads that did",
            count(profile.snapshots.left_out)
        ));
    }
    if let Ok(ceilings) = &context.ceilings {
        let (measured, working) = (ceilings.threads.unwrap_or(1), working_threads(profile));
        if measured != working && profile.spans.values().iter().any(|path| path.work.is_some()) {
            res.push(format!(
                "the ceilings were measured with {measured} threads, and {working} do declared work at once: shares of a ceiling \
                 are those of one thread's equal part"
            ));
        }
    }
    for (_, thread) in profile.program_threads() {
        let name = identity::thread_name(thread);
        let why = thread
            .refusal
            .map(|refusal| format!(" ({} gave errno {})", refusal.call, refusal.errno));
        let why = why.unwrap_or_default();
        match thread.source {
            OffCpuSource::Switches => {}
            OffCpuSource::ThreadClock => res.push(format!(
                "thread `{name}`: no context-switch records{why}: waits come from the thread's CPU clock around longer \
                 spans, and count preemption with them; `cargo bottleneck doctor` says what would help"
            )),
            OffCpuSource::Unknown => res.push(format!(
                "thread `{name}`: off-CPU time is not known{why}: all of its time counts as on the CPU; \
                 `cargo bottleneck doctor` says what would help"
            )),
        }
    }
    dedup(&mut res);
    res
}

/// What the machine and the control group took.
fn conditions(profile: &Profile) -> Vec<String> {
    let mut res = Vec::new();
    if let Some(ppm) = profile.conditions.steal_ppm.filter(|&ppm| ppm >= MUCH_STEAL_PPM) {
        res.push(format!(
            "the hypervisor gave {} of this machine's CPU time to others during the run: rates are lower than the machine's; run \
             again when it is quieter",
            percent(f64::from(ppm) / 1e6)
        ));
    }
    if let Some(limit) = profile.conditions.throttling {
        let part = ratio(limit.throttled_periods, limit.periods);
        if limit.throttled_periods > 0 && part >= MUCH_THROTTLING {
            res.push(format!(
                "the control group had used up its CPU time ({:.1} CPUs) in {} of its periods",
                ratio(limit.quota_ns, limit.period_ns),
                percent(part)
            ));
        }
    }
    res
}

/// Keeps the first of equal warnings: the members of a pool have one name.
fn dedup(warnings: &mut Vec<String>) {
    let mut seen = HashSet::new();
    warnings.retain(|warning| seen.insert(warning.clone()));
}

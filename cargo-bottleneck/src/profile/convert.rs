//! What one node counted, in nanoseconds and plain numbers; a value that cannot be is dropped.

use bottleneck_runtime::format::node::{FLAG_ASYNC, FLAG_THREAD_CLOCK};
use bottleneck_runtime::format::{NodeData, histogram};

use super::clock::Clock;
use super::tree::{Slots, with_slack};
use super::warning::{Damage, Damages};
use super::{CpuClock, Dtype, Polling, Work};

/// Declared amounts per second beyond this are damage.
const MOST_PER_SECOND: f64 = 1e18;

/// Converts the fields of one node.
pub(super) struct Converter<'a> {
    pub(super) data: &'a NodeData,
    pub(super) clock: &'a Clock,
    pub(super) damages: &'a mut Damages,
}

impl Converter<'_> {
    /// A count of things that take at least a nanosecond each.
    pub(super) fn count(&mut self, count: u64) -> u64 {
        if count <= with_slack(self.clock.life_ns()) {
            return count;
        }
        self.damages.note(Damage::Count);
        0
    }

    pub(super) fn wait(&mut self, ns: u64) -> u64 {
        if ns <= with_slack(self.clock.life_ns()) {
            return ns;
        }
        self.damages.note(Damage::Wait);
        0
    }

    pub(super) fn extremes(&mut self) -> (Option<u64>, Option<u64>) {
        if self.data.count == 0 {
            return (None, None);
        }
        let (min, max) =
            (self.clock.duration_ns(self.data.min), self.clock.duration_ns(self.data.max));
        if min <= max && max <= with_slack(self.clock.life_ns()) {
            return (Some(min), Some(max));
        }
        self.damages.note(Damage::Time);
        (None, None)
    }

    pub(super) fn quantiles(
        &mut self,
        slots: &Slots<'_>,
        min: Option<u64>,
        max: Option<u64>,
    ) -> (Option<u64>, Option<u64>) {
        let (Some(min), Some(max)) = (min, max) else { return (None, None) };
        if self.data.histogram == 0 {
            // It is made at the second call: both extremes are the only call.
            return if self.data.count == 1 { (Some(max), Some(max)) } else { (None, None) };
        }
        let Some(buckets) = slots.histogram(self.data.histogram) else {
            self.damages.note(Damage::Link);
            return (None, None);
        };
        let quantile = |share: f64| {
            let ticks = histogram::quantile(&buckets, share)?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "saturates, and is positive"
            )]
            let ns = self.clock.duration_ns(ticks as u64);
            Some(ns.clamp(min, max))
        };
        (quantile(0.5), quantile(0.99))
    }

    pub(super) fn cpu_clock(&mut self) -> Option<CpuClock> {
        if self.data.flags & FLAG_THREAD_CLOCK == 0 || self.data.cpu_ticks == 0 {
            return None;
        }
        let wall_ns = self.clock.duration_ns(self.data.cpu_ticks);
        if wall_ns > with_slack(self.clock.life_ns()) || self.data.cpu_ns > with_slack(wall_ns) {
            self.damages.note(Damage::Time);
            return None;
        }
        Some(CpuClock { wall_ns, cpu_ns: self.data.cpu_ns.min(wall_ns) })
    }

    /// Declared work, of `dtype` where the program did not say otherwise when it declared it.
    pub(super) fn work(&mut self, dtype: Dtype) -> Option<Work> {
        let said = self
            .data
            .work_dtype
            .checked_sub(1)
            .map(|number| u8::try_from(number).ok().and_then(Dtype::from_number));
        let Some(dtype) = said.unwrap_or(Some(dtype)) else {
            self.damages.note(Damage::Work);
            return None;
        };
        let (flops, bytes) =
            (self.amount(self.data.declared_flops()), self.amount(self.data.declared_bytes()));
        (flops > 0.0 || bytes > 0.0).then_some(Work { flops, bytes, dtype })
    }

    fn amount(&mut self, amount: f64) -> f64 {
        let most = MOST_PER_SECOND * (self.clock.life_ns() as f64 / 1e9 + 1.0);
        if (0.0..=most).contains(&amount) {
            return amount;
        }
        self.damages.note(Damage::Work);
        0.0
    }

    pub(super) fn polling(&mut self) -> Option<Polling> {
        if self.data.flags & FLAG_ASYNC == 0 {
            return None;
        }
        // Futures wait side by side: each of them at most for the whole run.
        let most = self.clock.life_ns().saturating_mul(self.data.started.max(1));
        let waiting_ns = self.clock.duration_ns(self.data.waiting);
        let is_possible = waiting_ns <= with_slack(most);
        if !is_possible {
            self.damages.note(Damage::Time);
        }
        Some(Polling {
            polls: self.count(self.data.polls),
            waiting_ns: if is_possible { waiting_ns } else { 0 },
            cancelled: self.count(self.data.cancelled),
        })
    }
}

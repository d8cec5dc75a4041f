//! How often snapshots may be taken: as often as the table holds, and as rarely as their budget of CPU time asks.

/// Share of one core that the whole background thread may take.
const BUDGET: f64 = 0.004;
/// The part of it that snapshots may take at most.
const MOST_SHARE: f64 = 0.0035;
/// What is left to them however much the rest takes.
const LEAST_SHARE: f64 = 0.002;
/// However dear they are, they come at least so often.
const MOST_NS: u64 = 2_000_000_000;
/// The rest is averaged over about so long.
const WINDOW_NS: u64 = 8_000_000_000;
/// A shorter life than this is taken for so long, or the cost of the start would leave a short program without snapshots.
const LEAST_WINDOW_NS: u64 = 1_000_000_000;

/// What a snapshot is taken to cost before one was taken.
const FIRST_COST_NS: f64 = 20_000.0;
/// What is above so many times the average, once, is no cost of the next one.
const OUTLIER: f64 = 3.0;

/// Keeps account of what the background thread costs.
#[derive(Debug)]
pub(super) struct Governor {
    /// What a snapshot costs on average, wake-up included, in ns.
    cost_ns: f64,
    /// What the last one cost.
    last_ns: f64,
    /// CPU time of everything else in the window, in ns, and when the window began.
    rest_ns: f64,
    since_ns: u64,
    random: u64,
}

impl Governor {
    pub(super) fn new(now_ns: u64) -> Self {
        Self {
            cost_ns: FIRST_COST_NS,
            last_ns: 0.0,
            rest_ns: 0.0,
            since_ns: now_ns,
            random: now_ns | 1,
        }
    }

    /// A snapshot took so much CPU time. One that met tasks for the first time says little about the next one.
    pub(super) fn note_snapshot(&mut self, cpu_ns: u64, is_typical: bool) {
        let all_ns = cpu_ns as f64;
        if is_typical {
            let twice_ns = all_ns.min(core::mem::replace(&mut self.last_ns, all_ns));
            if 2.0 * self.cost_ns < twice_ns {
                // Two in a row are no outliers: there are more tasks now.
                self.cost_ns = twice_ns;
            }
        }
        let most_ns = if is_typical { OUTLIER * self.cost_ns } else { self.cost_ns };
        let cpu_ns = all_ns.min(most_ns);
        self.cost_ns += (cpu_ns - self.cost_ns) / 8.0;
        self.rest_ns += all_ns - cpu_ns;
    }

    /// Something else took so much.
    pub(super) fn note_rest(&mut self, cpu_ns: u64) {
        self.rest_ns += cpu_ns as f64;
    }

    /// Time from one snapshot to the next, in ns, not below `least_ns`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number of nanoseconds; the cast saturates"
    )]
    pub(super) fn period_ns(&mut self, now_ns: u64, least_ns: u64) -> u64 {
        let lived_ns = now_ns.saturating_sub(self.since_ns);
        if WINDOW_NS < lived_ns {
            // Half of the window stays in memory.
            self.rest_ns /= 2.0;
            self.since_ns = now_ns - lived_ns / 2;
        }
        let rest = self.rest_ns / lived_ns.max(LEAST_WINDOW_NS) as f64;
        let share = (BUDGET - rest).clamp(LEAST_SHARE, MOST_SHARE);
        ((self.cost_ns / share) as u64).min(MOST_NS).max(least_ns)
    }

    /// The period, up to a quarter longer or shorter: a program that does something at even times must not be met at the
    /// same point of it every time.
    pub(super) fn scattered(&mut self, period_ns: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let half = (period_ns / 2).max(1);
        period_ns - period_ns / 4 + self.random % half
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn cheap_snapshots_come_as_often_as_wanted() {
        let mut governor = Governor::new(0);
        for _ in 0..20 {
            governor.note_snapshot(4_000, true);
        }
        assert_eq!(governor.period_ns(MS, 2 * MS), 2 * MS);
    }

    #[test]
    fn dear_snapshots_come_rarely_and_the_rest_counts_too() {
        let mut governor = Governor::new(0);
        for _ in 0..100 {
            governor.note_snapshot(40_000, true);
        }
        let alone = governor.period_ns(1000 * MS, 2 * MS);
        assert!((11_300_000..=11_600_000).contains(&alone), "{alone}");
        governor.note_rest(MS);
        let beside = governor.period_ns(1000 * MS, 2 * MS);
        assert!((13_200_000..=13_500_000).contains(&beside), "{beside}");
        governor.note_rest(1000 * MS);
        let least = governor.period_ns(1000 * MS, 2 * MS);
        assert!((19_900_000..=20_100_000).contains(&least), "{least}: a part is left to them");
    }

    #[test]
    fn an_outlier_costs_once() {
        let mut governor = Governor::new(0);
        for _ in 0..100 {
            governor.note_snapshot(8_000, true);
        }
        governor.note_snapshot(1_008_000, true);
        // Three times the average counts to it; the rest of the outlier is spread over the window.
        let period = governor.period_ns(1000 * MS, MS);
        assert!((3 * MS..7 * MS / 2).contains(&period), "{period}");
    }

    #[test]
    fn a_program_that_has_many_threads_now_is_met_at_once() {
        let mut governor = Governor::new(0);
        let mut with = |is_typical| {
            governor.note_snapshot(1_000_000, is_typical);
            governor.note_snapshot(1_000_000, is_typical);
            governor.period_ns(1000 * MS, MS)
        };
        let meeting = with(false);
        assert!(meeting < 20 * MS, "{meeting}");
        let known = with(true);
        assert!((200 * MS..1000 * MS).contains(&known), "{known}");
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut governor = Governor::new(0);
        for _ in 0..100 {
            governor.note_snapshot(4_000, true);
        }
        governor.note_rest(100 * MS);
        let mut now = 0;
        for _ in 0..100 {
            now += 1000 * MS;
            governor.period_ns(now, 1);
        }
        assert!(governor.period_ns(now, 1) < 1_160_000);
    }

    #[test]
    fn scattered_periods_are_even_on_average() {
        let mut governor = Governor::new(7);
        let periods: Vec<u64> = (0..10_000).map(|_| governor.scattered(1000)).collect();
        assert!(periods.iter().all(|period| (750..1250).contains(period)));
        let mean = periods.iter().sum::<u64>() / 10_000;
        assert!((990..1010).contains(&mean), "{mean}");
    }
}

//! How much of the machine other programs took while something ran: a time that was measured beside them tells little.
//!
//! By the kernel's counts of ticks, so a share over less than a second is coarse.

use std::fs;
use std::time::Instant;

/// Counts from [`start`](Self::start) on.
#[derive(Clone, Copy, Debug)]
pub struct Neighbors {
    started: Instant,
    of_others: u64,
}

impl Neighbors {
    /// Starts.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now(), of_others: ticks_of_others() }
    }

    /// The share of all CPUs, from 0 to 1, that neither this process nor the children it has waited for had since.
    #[must_use]
    pub fn share(&self) -> f64 {
        let taken = ticks_of_others().saturating_sub(self.of_others) as f64 / ticks_per_second();
        let cpus = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        (taken / (self.started.elapsed().as_secs_f64() * cpus)).clamp(0.0, 1.0)
    }
}

fn ticks_of_others() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let own = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    busy(&stat).saturating_sub(own_and_children(&own))
}

fn numbers(text: &str) -> impl Iterator<Item = u64> {
    text.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0))
}

/// Of the line `cpu user nice system idle iowait irq softirq steal`, all that is not idle; what the hypervisor took too.
fn busy(stat: &str) -> u64 {
    let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    numbers(line).take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4)).map(|(_, it)| it).sum()
}

/// User and system time of a process and of its children; its name may hold blanks, but no parenthesis follows it.
fn own_and_children(stat: &str) -> u64 {
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    // Fields 14 to 17; behind the name comes field 3.
    numbers(rest).skip(11).take(4).sum()
}

fn ticks_per_second() -> f64 {
    // SAFETY: the call takes a number and touches no memory.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { ticks as f64 } else { 100.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_time_is_what_is_not_idle() {
        assert_eq!(busy("cpu  10 20 30 400 500 1 2 3 9 9\ncpu0 1 1 1 1\n"), 66);
        assert_eq!(busy(""), 0);
    }

    #[test]
    fn the_time_of_a_process_is_its_own_and_that_of_its_children() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194304 100 200 0 0 11 12 13 14 20 0";
        assert_eq!(own_and_children(stat), 50);
        assert_eq!(own_and_children("cut"), 0);
    }

    #[test]
    fn a_share_is_a_share() {
        let share = Neighbors::start().share();
        assert!((0.0..=1.0).contains(&share), "{share}");
    }
}

//! Whether other programs took the CPUs: time that no change of this program would win back.
//!
//! A thread that could run and did not was kept from it by another thread of the program, or by another program. The first
//! needs threads that were on the CPUs meanwhile: where no more threads have spans than there are CPUs, and the rest of
//! the process used hardly any CPU time, it was the others.

use crate::profile::{OffCpuSource, Profile, RowIdx};

use super::subkind::Subkind;
use super::{Column, SelfTime};
use crate::profile::SpanIdx;

/// The rest of the process may use this part of the time that threads were kept from running.
const HARDLY: f64 = 0.1;
/// Below this part of the time in spans a run was not disturbed.
const WORTH_A_WORD: f64 = 0.02;

/// A control group is throttled if that took this part of the run.
const THROTTLED: f64 = 0.02;

/// What keeps threads from running that could, where no snapshot says it.
pub(super) fn who_else(profile: &Profile, times: &Column<SpanIdx, SelfTime>) -> Subkind {
    let throttled_ns = profile.conditions.throttling.map_or(0, |it| it.throttled_ns);
    if throttled_ns as f64 >= THROTTLED * profile.life_ns as f64 && throttled_ns > 0 {
        Subkind::Throttled
    } else if is_by_other_programs(profile, times) {
        Subkind::Interference
    } else {
        Subkind::Oversubscribed
    }
}

/// Whether preemption is the doing of other programs. What was not recorded counts against it.
pub(super) fn is_by_other_programs(profile: &Profile, times: &Column<SpanIdx, SelfTime>) -> bool {
    let (Some(process_ns), Some(cpus)) = (profile.process_cpu_ns, profile.cpus) else {
        return false;
    };
    let mut with_spans_ns = 0;
    let mut preempted_ns = 0;
    let mut threads = 0;
    for (_, thread) in profile.program_threads() {
        let Some(clock) = thread.clock.filter(|_| thread.source != OffCpuSource::Unknown) else {
            return false;
        };
        let spans = || thread.spans.clone().map(SpanIdx::from_position);
        threads += u32::from(!thread.spans.is_empty());
        with_spans_ns += clock.cpu_ns;
        preempted_ns += spans().map(|span| times[span].preempted_ns).sum::<u64>();
    }
    let rest_ns = process_ns.saturating_sub(with_spans_ns + profile.recorder_cpu_ns);
    let in_spans: u64 = times.values().iter().map(|time| time.wall_ns).sum();
    threads <= cpus
        && preempted_ns as f64 >= WORTH_A_WORD * in_spans as f64
        && rest_ns as f64 <= HARDLY * preempted_ns as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::attribution::attribute;
    use crate::profile::builder::ProfileBuilder;

    const MS: u64 = 1_000_000;

    #[track_caller]
    fn check(cpus: u32, process_ms: u64, threads: usize, expected: bool) {
        // Each thread:  |--work--------|   0..100: 40 on the CPU, 60 able to run
        let mut builder = ProfileBuilder::new(100 * MS).cpus(cpus, process_ms * MS);
        for n in 0..threads {
            builder = builder.thread(&format!("t{n}"), |thread| {
                thread.thread_clock(100 * MS, 40 * MS);
                thread.switches();
                thread.span("work", 0..100 * MS, |work| {
                    work.preempted(60 * MS);
                });
            });
        }
        let profile = builder.build();
        assert_eq!(is_by_other_programs(&profile, &attribute(&profile)), expected);
    }

    #[test]
    fn one_thread_on_two_cpus_that_waits_for_a_cpu_waits_for_another_program() {
        check(2, 41, 1, true);
    }

    #[test]
    fn a_pool_without_spans_may_have_been_on_the_cpus() {
        check(2, 160, 1, false);
    }

    #[test]
    fn more_threads_than_cpus_keep_each_other_waiting() {
        check(2, 120, 3, false);
    }

    #[test]
    fn what_was_not_recorded_proves_nothing() {
        check(2, 0, 1, false);
    }
}

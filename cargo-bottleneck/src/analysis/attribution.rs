//! Self time of every path, divided into on the CPU, preempted and blocked; the parts sum to the whole to the nanosecond.
//!
//! Wall time is what counts; on-CPU time is what the waits leave of it. With context-switch records the waits of each path
//! are known. With the thread's CPU clock only they are known with the children included, around longer spans: self waits
//! are the difference, and paths too short to be measured share in proportion to their self time.

use crate::profile::{OffCpuSource, Profile, RowIdx, SpanIdx, Thread};

use super::Column;

/// Self time of a path. Invariant: `on_cpu_ns + preempted_ns + blocked_ns == wall_ns`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SelfTime {
    /// Time inside, without children.
    pub wall_ns: u64,
    /// On the CPU.
    pub on_cpu_ns: u64,
    /// Able to run, but not running.
    pub preempted_ns: u64,
    /// Waiting.
    pub blocked_ns: u64,
}

impl SelfTime {
    /// Cuts waits that do not fit into `wall_ns`, alike.
    fn new(wall_ns: u64, blocked_ns: u64, preempted_ns: u64) -> Self {
        let off = u128::from(blocked_ns) + u128::from(preempted_ns);
        let (blocked_ns, preempted_ns) = if off <= u128::from(wall_ns) {
            (blocked_ns, preempted_ns)
        } else {
            let blocked = u64::try_from(u128::from(blocked_ns) * u128::from(wall_ns) / off)
                .unwrap_or(wall_ns);
            (blocked, wall_ns - blocked)
        };
        Self { wall_ns, on_cpu_ns: wall_ns - blocked_ns - preempted_ns, preempted_ns, blocked_ns }
    }
}

/// Divides the self time of every path.
pub fn attribute(profile: &Profile) -> Column<SpanIdx, SelfTime> {
    let mut wall: Column<SpanIdx, u64> =
        profile.spans.values().iter().map(|path| path.total_ns).collect();
    for (span, path) in profile.spans.iter() {
        if let Some(parent) = path.parent {
            wall[parent] = wall[parent].saturating_sub(profile.spans[span].total_ns);
        }
    }
    let mut res = Column::filled(profile.spans.len(), SelfTime::default());
    for (_, thread) in profile.threads.iter() {
        match thread.source {
            OffCpuSource::Switches | OffCpuSource::Unknown => {
                by_switches(profile, thread, &wall, &mut res);
            }
            OffCpuSource::ThreadClock => by_thread_clock(profile, thread, &wall, &mut res),
        }
    }
    res
}

fn by_switches(
    profile: &Profile,
    thread: &Thread,
    wall: &Column<SpanIdx, u64>,
    res: &mut Column<SpanIdx, SelfTime>,
) {
    let pending = pending_wait(profile, thread);
    for span in thread.spans.clone().map(SpanIdx::from_position) {
        let path = &profile.spans[span];
        let (mut blocked, mut preempted) = (path.blocked_ns, path.preempted_ns);
        if let Some((_, lasted_ns, is_preempted)) =
            pending.filter(|&(innermost, ..)| innermost == span)
        {
            let sum = if is_preempted { &mut preempted } else { &mut blocked };
            *sum = sum.saturating_add(lasted_ns);
        }
        res[span] = SelfTime::new(wall[span], blocked, preempted);
    }
}

/// The wait that a thread was in at the end belongs to its innermost open span: the thread cannot have opened one since.
fn pending_wait(profile: &Profile, thread: &Thread) -> Option<(SpanIdx, u64, bool)> {
    let pending = thread.pending?;
    let open =
        thread.spans.clone().map(SpanIdx::from_position).filter(|&span| profile.is_open(span));
    let innermost = open.max_by_key(|&span| profile.spans[span].depth)?;
    let lasted_ns = pending.lasted_ns.min(profile.spans[innermost].open_ns.unwrap_or(0));
    Some((innermost, lasted_ns, pending.is_preempted))
}

/// Off-CPU time of a measured path, children included, less that of the measured paths next inside it, is that of its
/// *region*: itself and what lies between them. The region's paths share it in proportion to their self time. The thread's
/// whole life is the outermost region, and the time outside spans has its share in it.
fn by_thread_clock(
    profile: &Profile,
    thread: &Thread,
    wall: &Column<SpanIdx, u64>,
    res: &mut Column<SpanIdx, SelfTime>,
) {
    let first = thread.spans.start;
    let outside = thread.spans.len();
    // By position within the thread, the thread itself behind its paths: the region that a path belongs to.
    let mut region = vec![outside; outside + 1];
    let mut region_wall = vec![0_u64; outside + 1];
    let mut region_off = vec![0_u64; outside + 1];
    if let Some(clock) = thread.clock {
        let in_spans = profile
            .spans
            .iter()
            .skip(first)
            .take(outside)
            .filter(|(_, path)| path.parent.is_none());
        let inside: u64 = in_spans.map(|(_, path)| path.total_ns).sum();
        region_wall[outside] = clock.wall_ns.saturating_sub(inside);
        region_off[outside] = clock.wall_ns - clock.cpu_ns;
    }
    for at in 0..outside {
        let path = &profile.spans[SpanIdx::from_position(first + at)];
        let around = path.parent.map_or(outside, |parent| region[parent.position() - first]);
        region[at] = around;
        if let Some(off) = path
            .clock
            .and_then(|clock| share(path.total_ns, clock.wall_ns - clock.cpu_ns, clock.wall_ns))
        {
            region[at] = at;
            region_off[at] = region_off[at].saturating_add(off);
        }
        let own = wall[SpanIdx::from_position(first + at)];
        region_wall[region[at]] = region_wall[region[at]].saturating_add(own);
    }
    let measured: Vec<(usize, u64)> =
        (0..outside).filter(|&at| region[at] == at).map(|at| (at, region_off[at])).collect();
    for (at, off) in measured {
        let path = &profile.spans[SpanIdx::from_position(first + at)];
        let around = path.parent.map_or(outside, |parent| region[parent.position() - first]);
        region_off[around] = region_off[around].saturating_sub(off);
    }
    for at in 0..outside {
        let span = SpanIdx::from_position(first + at);
        let off = region_off[region[at]].min(region_wall[region[at]]);
        let off = share(wall[span], off, region_wall[region[at]]).unwrap_or(0);
        // Where the kernel told how long the thread waited for a CPU, that part is preemption.
        let preempted = profile.spans[span].preempted_ns.min(off);
        res[span] = SelfTime::new(wall[span], off - preempted, preempted);
    }
}

/// `whole * part / of`; `None` for a part of nothing.
fn share(whole: u64, part: u64, of: u64) -> Option<u64> {
    let product = u128::from(whole) * u128::from(part);
    u64::try_from(product.checked_div(u128::from(of))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::builder::ProfileBuilder;

    const MS: u64 = 1_000_000;

    /// Checks wall, on-CPU, preempted and blocked self time of every path, in ms.
    #[track_caller]
    fn check(profile: &Profile, expected: &[[u64; 4]]) {
        let times = attribute(profile);
        let found: Vec<[u64; 4]> = times
            .values()
            .iter()
            .map(|time| {
                [time.wall_ns, time.on_cpu_ns, time.preempted_ns, time.blocked_ns].map(|ns| ns / MS)
            })
            .collect();
        assert_eq!(found, expected);
        for time in times.values() {
            assert_eq!(time.on_cpu_ns + time.preempted_ns + time.blocked_ns, time.wall_ns);
        }
    }

    #[test]
    fn waits_leave_the_rest_on_the_cpu() {
        // main  |--serve--------------------|   0..100, self 60: waits 20, preempted 5
        //           |--load---|                 10..50, self 40: waits 40
        let profile = ProfileBuilder::new(100 * MS).span("serve", 0..100 * MS, |serve| {
            serve.blocked(20 * MS).preempted(5 * MS);
            serve.span("load", 10 * MS..50 * MS, |load| {
                load.blocked(40 * MS);
            });
        });
        check(&profile.build(), &[[60, 35, 5, 20], [40, 0, 0, 40]]);
    }

    #[test]
    fn waits_longer_than_their_span_are_cut_to_it() {
        // main  |--short--|   0..10, of it "30 blocked and 30 preempted"
        let profile = ProfileBuilder::new(100 * MS).span("short", 0..10 * MS, |short| {
            short.blocked(30 * MS).preempted(30 * MS);
        });
        check(&profile.build(), &[[10, 0, 5, 5]]);
    }

    #[test]
    fn the_wait_at_the_end_belongs_to_the_innermost_open_span() {
        // main  |--outer---------------- ...   since 10
        //           |--inner------------ ...   since 30, waits since 50, killed at 100
        let profile = ProfileBuilder::new(100 * MS).cut().thread("main", |main| {
            main.open("outer", 10 * MS, |outer| {
                outer.open("inner", 30 * MS, |_| ());
            });
            main.waits_since(50 * MS, false);
        });
        check(&profile.build(), &[[20, 20, 0, 0], [70, 20, 0, 50]]);
    }

    #[test]
    fn a_thread_clock_gives_self_waits_by_difference_and_short_paths_inherit() {
        // main  |--outer---------------------|   0..100 measured: 40 off the CPU
        //         |--mid-------|                 measured: 60 long, 30 off
        //           |-short-|                    not measured: 20 of the 60
        //   outer's region: self 40, off 40 - 30 = 10.  mid's region: mid 40 + short 20, off 30: 20 and 10
        let profile = ProfileBuilder::new(100 * MS).thread("main", |main| {
            main.thread_clock(100 * MS, 60 * MS);
            main.span("outer", 0..100 * MS, |outer| {
                outer.cpu(100 * MS, 60 * MS);
                outer.span("mid", 10 * MS..70 * MS, |mid| {
                    mid.cpu(60 * MS, 30 * MS);
                    mid.span("short", 20 * MS..40 * MS, |_| ());
                });
            });
        });
        check(&profile.build(), &[[40, 30, 0, 10], [40, 20, 0, 20], [20, 10, 0, 10]]);
    }

    #[test]
    fn a_thread_clock_stretches_over_the_calls_that_it_did_not_measure() {
        // main  |-a-|-a-|    two calls of 40, the second measured: 20 off
        let profile = ProfileBuilder::new(100 * MS).thread("main", |main| {
            main.thread_clock(80 * MS, 40 * MS);
            main.span("a", 0..40 * MS, |a| {
                a.cpu(40 * MS, 20 * MS);
            });
            main.span("a", 40 * MS..80 * MS, |_| ());
        });
        check(&profile.build(), &[[80, 40, 0, 40]]);
    }

    #[test]
    fn a_span_that_no_clock_measured_shares_with_the_time_outside() {
        // main  |--once-----|.....|   0..50 of a life of 100, of which 40 off the CPU
        let profile = ProfileBuilder::new(100 * MS).thread("main", |main| {
            main.thread_clock(100 * MS, 60 * MS);
            main.span("once", 0..50 * MS, |_| ());
        });
        check(&profile.build(), &[[50, 30, 0, 20]]);
    }
}

//! What is often wrong with programs that use a device: one row each, with what it rests on and what to do.
//!
//! A rule says how much time is at stake; those below `LEAST_SHARE` of the time that the device is in use are not listed.
//! Thresholds are in the rows, each with its reason.

use crate::analysis::subkind::Subkind;
use crate::kind::Kind;
use crate::profile::SpanIdx;
use crate::profile::device::{Deed, Work};
use crate::report::model::{Evidence, Source};

use super::calls;
use super::copy_rules;
use super::facts::{Facts, most, seconds};
use super::idle::Cause;
use super::order::Order;
use super::timeline::State;

/// What a rule found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its name in reports, which stays.
    pub rule: &'static str,
    /// What kind of bottleneck it is.
    pub kind: Kind,
    /// What of the kind.
    pub subkind: Subkind,
    /// What happens, in a few words.
    pub what: &'static str,
    /// The time at stake, in ns of the device or, where the device waits for nothing, of the host.
    pub ns: u64,
    /// The span that it happens in most.
    pub span: Option<SpanIdx>,
    /// The measurements it rests on.
    pub evidence: Vec<Evidence>,
    /// What to do.
    pub next: &'static str,
}

/// Less than this share of the time that devices are in use is not worth a rule.
const LEAST_SHARE: f64 = 0.02;
/// So many events or waits for each kernel are more than a program asks for by itself.
const TRACKING: f64 = 2.0;
/// Kernels that are shorter than this are bound by their launches whatever the host does.
const SHORT_KERNEL_NS: u64 = 10_000;

type Rule = fn(&Facts<'_>) -> Option<Found>;

static RULES: &[Rule] = &[
    host_starved,
    copy_rules::pageable_copies,
    copy_rules::small_copies,
    copy_rules::hidden_uploads,
    copy_rules::synchronous_copies,
    copy_rules::one_stream,
    sync_drain,
    redundant_waits,
    event_wait_chains,
    default_stream,
    launch_bound,
    module_loading,
    event_tracking,
];

/// What the rules find, the most time at stake first.
pub(super) fn find(facts: &Facts<'_>) -> Vec<Found> {
    let mut res: Vec<Found> = RULES.iter().filter_map(|rule| rule(facts)).collect();
    // What did not happen is no evidence.
    for found in &mut res {
        found.evidence.retain(|it| it.value > 0.0);
    }
    res.retain(|found| found.ns as f64 >= LEAST_SHARE * facts.in_use_ns as f64);
    res.sort_by_key(|found| std::cmp::Reverse(found.ns));
    res
}

pub(super) fn evidence(what: &str, value: f64, unit: &str, of: Option<f64>) -> Evidence {
    let source = Source::Measured;
    Evidence { what: what.to_owned(), value, unit: unit.to_owned(), of, source }
}

fn host_starved(facts: &Facts<'_>) -> Option<Found> {
    let (ns, span) = facts.idle(Cause::HostStarved, |_| true);
    (ns > 0).then(|| Found {
        rule: "host-starved",
        kind: Kind::Io,
        subkind: Subkind::StarvedByHost,
        what: "the device has nothing to do while the host is busy with something else",
        ns,
        span,
        evidence: vec![evidence("device without work", seconds(ns), "s", Some(facts.in_use()))],
        next: "submit the next step before the host turns to anything else, or let another thread prepare it meanwhile",
    })
}

fn sync_drain(facts: &Facts<'_>) -> Option<Found> {
    let (ns, span) = facts.idle(Cause::SyncDrain, |_| true);
    let waits = calls::waits(facts.devices).len();
    (ns > 0).then(|| Found {
        rule: "sync-drain",
        kind: Kind::Scheduling,
        subkind: Subkind::SyncDrain,
        what: "the host waits for the device, and the device for what comes after",
        ns,
        span,
        evidence: vec![
            evidence("device without work right after such a wait", seconds(ns), "s", Some(facts.in_use())),
            evidence("of the host", waits as f64, "waits", None),
        ],
        next: "submit the next work before waiting for the last one (one step ahead), and wait only for what the host reads",
    })
}

fn redundant_waits(facts: &Facts<'_>) -> Option<Found> {
    let waits = calls::waits(facts.devices);
    let own = waits.iter().filter(|it| it.is_redundant);
    let (redundant, (ns, span)) = (own.clone().count(), most(own.map(|it| (it.span, it.ns))));
    (redundant > 0).then(|| Found {
        rule: "redundant-synchronize",
        kind: Kind::Scheduling,
        subkind: Subkind::SyncDrain,
        what: "the host waits again although nothing was submitted since it waited",
        ns,
        span,
        evidence: vec![evidence(
            "with nothing to wait for",
            redundant as f64,
            "waits",
            Some(waits.len() as f64),
        )],
        next: "wait once, where the result is read",
    })
}

/// Time in which a small kernel runs while another stream waits for it, and the span of most of it.
fn serial(facts: &Facts<'_>, by: Order) -> (u64, Option<SpanIdx>) {
    facts.sum(facts.segments().filter_map(|(state, ns)| match state {
        State::Serial(work, order) if order == by => Some((work, ns)),
        _ => None,
    }))
}

fn event_wait_chains(facts: &Facts<'_>) -> Option<Found> {
    let (serial_ns, span) = serial(facts, Order::Event);
    let (idle_ns, _) = facts.idle(Cause::Dependency, |_| true);
    (serial_ns + idle_ns > 0).then(|| Found {
        rule: "event-wait-chains",
        kind: Kind::Scheduling,
        subkind: Subkind::StreamDependency,
        what: "streams wait for one another: a kernel that fills a part of the device runs alone",
        ns: serial_ns + idle_ns,
        span,
        evidence: vec![
            evidence("a small kernel runs while another stream waits for it", seconds(serial_ns), "s", Some(facts.in_use())),
            evidence("device without work until an event comes", seconds(idle_ns), "s", Some(facts.in_use())),
        ],
        next: "wait for events only where a result of the other stream is used, so that both streams run at once",
    })
}

fn default_stream(facts: &Facts<'_>) -> Option<Found> {
    let (serial_ns, span) = serial(facts, Order::DefaultStream);
    let (idle_ns, of_idle) = facts.idle(Cause::DefaultStream, |_| true);
    let (copies_ns, of_copies) = copy_rules::beside_default_stream(facts);
    let ns = serial_ns + idle_ns + copies_ns;
    let most = [(serial_ns, span), (idle_ns, of_idle), (copies_ns, of_copies)];
    let span = most.into_iter().max_by_key(|(ns, _)| *ns).and_then(|(_, span)| span);
    (ns > 0).then(|| Found {
        rule: "default-stream",
        kind: Kind::Scheduling,
        subkind: Subkind::DefaultStream,
        what: "the default stream and other streams wait for each other without being told to",
        ns,
        span,
        evidence: vec![
            evidence("a small kernel runs while another stream waits for it", seconds(serial_ns), "s", Some(facts.in_use())),
            evidence("copies that could be hidden behind kernels", seconds(copies_ns), "s", Some(facts.in_use())),
            evidence("device without work meanwhile", seconds(idle_ns), "s", Some(facts.in_use())),
        ],
        next: "give the work of the default stream to one of `CudaContext::new_stream`, which waits for none but what it is told to",
    })
}

fn launch_bound(facts: &Facts<'_>) -> Option<Found> {
    let is_kernel = |work: &Work| matches!(work.deed, Deed::Kernel { .. } | Deed::Graph { .. });
    let (ns, span) = facts.idle(Cause::LaunchBound, is_kernel);
    let launches = calls::launches(facts.devices);
    (ns > 0 && launches.kernel_ns <= SHORT_KERNEL_NS.max(2 * launches.call_ns)).then(|| Found {
        rule: "launch-bound",
        kind: Kind::Scheduling,
        subkind: Subkind::LaunchBound,
        what: "kernels are over before the next one is launched",
        ns,
        span,
        evidence: vec![
            evidence("device without work between launches", seconds(ns), "s", Some(facts.in_use())),
            evidence("median kernel", seconds(launches.kernel_ns), "s", None),
            evidence("median launch", seconds(launches.call_ns), "s", None),
            evidence("works in the queue on average", launches.queued, "works", None),
        ],
        next: "capture the step into a CUDA graph and launch it as one, or fuse kernels, or batch requests so that kernels are longer",
    })
}

fn module_loading(facts: &Facts<'_>) -> Option<Found> {
    let (ns, span) = facts.idle(Cause::Loading, |_| true);
    (ns > 0).then(|| Found {
        rule: "module-loading",
        kind: Kind::Scheduling,
        subkind: Subkind::ModuleLoad,
        what: "modules are loaded or compiled while the device waits",
        ns,
        span,
        evidence: vec![evidence("device without work meanwhile", seconds(ns), "s", Some(facts.in_use()))],
        next: "load modules and run each kernel once before the first request (CUDA_MODULE_LOADING=EAGER loads them at the start)",
    })
}

fn event_tracking(facts: &Facts<'_>) -> Option<Found> {
    let (count, ns) = calls::tracking_calls(facts.devices);
    let launches = calls::launches(facts.devices).count;
    (launches > 0 && count as f64 >= TRACKING * launches as f64).then(|| Found {
        rule: "event-tracking",
        kind: Kind::Scheduling,
        subkind: Subkind::LaunchBound,
        what: "events are recorded and waited for around every operation",
        ns,
        span: None,
        evidence: vec![
            evidence("events recorded, and waits of streams for them", count as f64, "calls", None),
            evidence("for each kernel", count as f64 / launches as f64, "calls", None),
            evidence("time of these calls", seconds(ns), "s", Some(facts.in_use())),
        ],
        next: "switch off cudarc's event tracking (`CudaContext::disable_event_tracking`) if one stream is used, or streams are ordered by hand",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::device::fixture::Drawing;
    use crate::analysis::device::idle::Gaps;
    use crate::analysis::device::timeline::Timeline;
    use crate::profile::device::MemoryKind;
    use crate::profile::device::StreamSort;

    const US: u64 = 1_000;

    fn found(drawing: &Drawing) -> Vec<(&'static str, u64)> {
        let devices = drawing.devices();
        let gaps = Gaps::of(&devices);
        let timelines = [Timeline::of(&devices, &gaps, 0, Some(132))];
        let in_use_ns = timelines[0].ns_of(|_| true);
        let (devices, timelines, gaps) = (&devices, &timelines, &gaps);
        let facts = Facts { devices, timelines, gaps, in_use_ns, measured: &[] };
        find(&facts).into_iter().map(|it| (it.rule, it.ns / US)).collect()
    }

    #[test]
    fn a_device_that_is_fed_breaks_no_rule() {
        // host    [a][copy][b]
        // device     |-----a-----|-----b-----|
        // copies       |copy|                   pinned, beside a kernel
        let drawing = Drawing::new()
            .launch(1, 0..2 * US, "a", 7, 3 * US..100 * US)
            .upload(1, 2 * US..4 * US, (1 << 20, MemoryKind::Pinned), 8, 5 * US..45 * US)
            .launch(1, 4 * US..6 * US, "b", 7, 101 * US..200 * US);
        assert_eq!(found(&drawing), []);
    }

    #[test]
    fn copies_on_the_stream_of_the_kernels_could_be_hidden_behind_them() {
        let pinned = (1 << 20, MemoryKind::Pinned);
        let on = |stream| {
            Drawing::new()
                .launch(1, 0..2 * US, "a", 7, 3 * US..103 * US)
                .upload(1, 2 * US..4 * US, pinned, stream, 103 * US..153 * US)
                .launch(1, 5 * US..6 * US, "b", 7, 153 * US..253 * US)
        };
        assert_eq!(found(&on(7)), [("one-stream", 50)]);
        assert_eq!(found(&on(8)), [], "it is on a stream of its own");
    }

    #[test]
    fn the_default_stream_keeps_others_from_running_beside_it() {
        // stream 0  |-a: 32 blocks-|              |--copy--|
        // stream 8                 |-b: 32 blocks-|
        let drawing = |sort| {
            Drawing::new()
                .stream(0, StreamSort::Default)
                .stream(8, sort)
                .launch_of(32, 1, 0..2 * US, "a", 0, 3 * US..103 * US)
                .launch_of(32, 1, 2 * US..3 * US, "b", 8, 103 * US..203 * US)
                .upload(1, 3 * US..4 * US, (1 << 20, MemoryKind::Pinned), 0, 203 * US..253 * US)
                .launch(1, 4 * US..5 * US, "c", 0, 253 * US..300 * US)
        };
        assert_eq!(
            found(&drawing(StreamSort::Blocking)),
            [("default-stream", 150)],
            "a and the copy"
        );
        assert_eq!(found(&drawing(StreamSort::NonBlocking)), [], "they could have run at once");
    }

    #[test]
    fn pageable_copies_are_at_stake_where_they_are_exposed() {
        let drawing = Drawing::new()
            .launch(1, 0..2 * US, "a", 7, 3 * US..103 * US)
            .upload(1, 2 * US..204 * US, (1 << 20, MemoryKind::Pageable), 8, 53 * US..203 * US)
            .launch(1, 205 * US..206 * US, "b", 7, 207 * US..307 * US);
        assert_eq!(found(&drawing)[0], ("pageable-copies", 100));
    }

    #[test]
    fn small_copies_in_a_row_are_one_thing_with_their_gaps() {
        let small = (4096, MemoryKind::Pinned);
        let mut drawing = Drawing::new().launch(1, 0..2 * US, "a", 7, 3 * US..103 * US);
        for at in [110, 120, 130, 140] {
            drawing = drawing.upload(1, (at - 8) * US..at * US, small, 8, at * US..(at + 2) * US);
        }
        drawing = drawing.launch(1, 141 * US..142 * US, "b", 7, 144 * US..244 * US);
        let rows = found(&drawing);
        assert!(rows.contains(&("small-copies", 32)), "{rows:?}");
        assert!(!rows.iter().any(|it| it.0 == "pageable-copies"), "{rows:?}");
    }

    #[test]
    fn short_kernels_launched_one_by_one_are_bound_by_that() {
        let mut drawing = Drawing::new();
        for n in 0..10 {
            let at = 10 * n * US;
            drawing = drawing.launch(1, at..at + 9 * US, "k", 7, at + 9 * US..at + 11 * US);
        }
        let rows = found(&drawing);
        assert_eq!(rows[0], ("launch-bound", 72), "{rows:?}");
    }

    #[test]
    fn copies_whose_calls_wait_are_named() {
        // host    [a][----copy----][b]
        // device     |-a-|--copy--|   |-b-|
        let drawing = Drawing::new()
            .launch(1, 0..2 * US, "a", 7, 3 * US..53 * US)
            .upload(1, 2 * US..104 * US, (1 << 20, MemoryKind::Pinned), 7, 53 * US..103 * US)
            .that_waits()
            .launch(1, 105 * US..106 * US, "b", 7, 107 * US..157 * US);
        let rows = found(&drawing);
        assert_eq!(rows[0], ("synchronous-copies", 50), "{rows:?}");
        assert!(!rows.iter().any(|it| it.0 == "one-stream"), "it could not overlap: {rows:?}");
    }

    #[test]
    fn shapes_that_a_library_uploads_for_each_operation_are_named() {
        // stream 7  |-a-||s||-b-||s||-c-|   s: 64 bytes from memory as it comes
        let tiny = (64, MemoryKind::Pageable);
        let mut drawing = Drawing::new().launch(1, 0..US, "a", 7, 2 * US..22 * US);
        for n in 0..2 {
            let at = 22 + 25 * n;
            drawing = drawing
                .upload(1, (at - 20) * US..(at - 19) * US, tiny, 7, at * US..(at + 5) * US)
                .launch(1, (at - 18) * US..(at - 17) * US, "b", 7, (at + 5) * US..(at + 25) * US);
        }
        let rows = found(&drawing);
        assert_eq!(rows, [("hidden-uploads", 10)], "two in which no kernel runs");
    }

    #[test]
    fn modules_that_load_between_kernels_are_named() {
        let drawing = Drawing::new()
            .launch(1, 0..2 * US, "a", 7, 5 * US..50 * US)
            .overhead(4 << 16, 60 * US..190 * US)
            .launch(1, 55 * US..202 * US, "b", 7, 205 * US..250 * US);
        assert_eq!(found(&drawing), [("module-loading", 155)], "all of the gap");
    }

    #[test]
    fn a_wait_with_nothing_to_wait_for_is_at_stake_alone() {
        // host    [a][-----wait-----][wait]      [b]
        // device     |------a------|                |-b-|
        let drawing = Drawing::new()
            .launch(1, 0..2 * US, "a", 7, 3 * US..50 * US)
            .synchronize(1, 3 * US..52 * US, 7)
            .synchronize(1, 52 * US..62 * US, 7)
            .launch(1, 62 * US..64 * US, "b", 7, 65 * US..110 * US);
        let rows = found(&drawing);
        assert!(rows.contains(&("redundant-synchronize", 10)), "{rows:?}");
    }

    #[test]
    fn events_around_every_kernel_are_named() {
        let mut drawing = Drawing::new();
        for n in 0..10 {
            let at = 100 * n * US;
            drawing = drawing
                .record(1, at..at + 3 * US, n, 7)
                .stream_wait(1, at + 3 * US..at + 6 * US, n, 7)
                .launch(1, at + 6 * US..at + 9 * US, "k", 7, at + 10 * US..at + 108 * US);
        }
        let rows = found(&drawing);
        assert!(rows.contains(&("event-tracking", 60)), "{rows:?}");
    }
}

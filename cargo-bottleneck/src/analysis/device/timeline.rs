//! One device over time: at every moment it runs one thing, or idles for one reason.
//!
//! Of what runs at once the most valuable counts: a kernel before a copy, a copy before memory that is set; among equals the
//! one that began first. So a copy counts only where it is *exposed*, and no moment counts twice.

use crate::profile::device::{Deed, Devices, Work, WorkIdx};

use super::idle::{Cause, Gap, Gaps};
use super::order::Order;
use super::serial;
use super::stretches::Stretches;

/// What a device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It runs this.
    Runs(WorkIdx),
    /// It runs this kernel, which fills a part of it, while another stream waits for that.
    Serial(WorkIdx, Order),
    /// It has nothing to run until this begins.
    Idles(Cause, WorkIdx),
}

/// A stretch of time in one state, in ns since recording began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its beginning.
    pub start_ns: u64,
    /// Its end.
    pub end_ns: u64,
    /// What the device does.
    pub state: State,
}

impl Segment {
    /// How long it is.
    pub fn ns(&self) -> u64 {
        self.end_ns - self.start_ns
    }
}

/// A device from its first work to its last, without holes.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Number of the device.
    pub device: u32,
    /// By rising beginning.
    pub segments: Vec<Segment>,
}

/// What counts first where several run at once.
fn classes() -> [fn(&Deed) -> bool; 3] {
    [
        |deed| matches!(deed, Deed::Kernel { .. } | Deed::Graph { .. }),
        |deed| matches!(deed, Deed::Copy { .. }),
        |deed| matches!(deed, Deed::Set { .. }),
    ]
}

impl Timeline {
    /// The timeline of one device. Linear in its works, which are in the order of their beginnings.
    pub(super) fn of(
        devices: &Devices,
        gaps: &Gaps<'_>,
        device: u32,
        multiprocessors: Option<u64>,
    ) -> Self {
        let of_device = |(_, work): &(WorkIdx, &Work)| work.stream.device == device;
        let works: Vec<(WorkIdx, &Work)> = devices.indexed_works().filter(of_device).collect();
        let mut segments = Vec::new();
        let mut taken = Stretches::default();
        for is_of_class in classes() {
            let own = works.iter().filter(|(_, work)| is_of_class(&work.deed));
            let claimed = claim(own.map(|&(index, work)| (index, work)));
            let mut stretches = Vec::with_capacity(claimed.len());
            for (index, (start, end)) in claimed {
                stretches.push((start, end));
                let free = Stretches::of([(start, end)]).without(&taken.around(start, end));
                segments.extend(free.iter().map(|(start_ns, end_ns)| Segment {
                    start_ns,
                    end_ns,
                    state: State::Runs(index),
                }));
            }
            taken = Stretches::of(taken.iter().chain(stretches));
        }
        segments.sort_by_key(|segment| segment.start_ns);
        let idle = idle(&segments, &works, gaps);
        segments.extend(idle);
        segments.sort_by_key(|segment| segment.start_ns);
        Self { device, segments: serial::split(segments, devices, gaps, multiprocessors) }
    }

    /// The states from `from_ns` to `to_ns`, each with its time in there. Nothing before the first work and after the last.
    pub fn within(&self, from_ns: u64, to_ns: u64) -> impl Iterator<Item = (State, u64)> + '_ {
        let first = self.segments.partition_point(|segment| segment.end_ns <= from_ns);
        self.segments[first..].iter().take_while(move |segment| segment.start_ns < to_ns).map(
            move |segment| {
                let ns = segment.end_ns.min(to_ns) - segment.start_ns.max(from_ns);
                (segment.state, ns)
            },
        )
    }

    /// Time of the segments that fit, in ns.
    pub fn ns_of(&self, fits: impl Fn(State) -> bool) -> u64 {
        self.segments.iter().filter(|segment| fits(segment.state)).map(Segment::ns).sum()
    }
}

/// What of each work is not covered by one that began before it. Works are in the order of their beginnings.
fn claim<'a>(works: impl Iterator<Item = (WorkIdx, &'a Work)>) -> Vec<(WorkIdx, (u64, u64))> {
    let mut res = Vec::new();
    let mut until = 0;
    for (index, work) in works {
        let from = work.when.start_ns.max(until);
        if from < work.when.end_ns {
            res.push((index, (from, work.when.end_ns)));
            until = work.when.end_ns;
        }
    }
    res
}

/// The holes between segments, each with the work that ends it.
fn idle(segments: &[Segment], works: &[(WorkIdx, &Work)], gaps: &Gaps<'_>) -> Vec<Segment> {
    let mut res = Vec::new();
    let mut until = None;
    let mut next = works.iter().peekable();
    for segment in segments {
        if let Some(start_ns) = until.filter(|&until| until < segment.start_ns) {
            let end_ns = segment.start_ns;
            while next.next_if(|(_, work)| work.when.start_ns < end_ns).is_some() {}
            if let Some(&&(index, work)) = next.peek() {
                let cause = gaps.cause(&Gap { start_ns, end_ns, next: index, work });
                res.push(Segment { start_ns, end_ns, state: State::Idles(cause, index) });
            }
        }
        until = until.max(Some(segment.end_ns));
    }
    res
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::device::fixture::Drawing;

    fn states(drawing: &Drawing) -> Vec<(u64, u64, String)> {
        let devices = drawing.devices();
        let timeline = Timeline::of(&devices, &Gaps::of(&devices), 0, None);
        let name = |state| match state {
            State::Runs(work) => match &devices.works[work.0].deed {
                Deed::Kernel { name, .. } => name.to_string(),
                Deed::Copy { .. } => "copy".to_owned(),
                Deed::Set { .. } => "set".to_owned(),
                Deed::Graph { .. } => "graph".to_owned(),
            },
            State::Serial(..) | State::Idles(..) => "idle".to_owned(),
        };
        let row = |it: &Segment| (it.start_ns, it.end_ns, name(it.state));
        timeline.segments.iter().map(row).collect()
    }

    fn row(start: u64, end: u64, name: &str) -> (u64, u64, String) {
        (start, end, name.to_owned())
    }

    #[test]
    fn of_what_runs_at_once_a_kernel_counts_before_a_copy() {
        // stream 7   |--a--|--b--|        |-c-|
        // stream 8      |-----copy-----|
        // device     |  a  |  b  | copy| idle | c |
        let drawing = Drawing::new()
            .kernel("a", 7, 100..200)
            .kernel("b", 7, 200..300)
            .copy(8, 150..380)
            .kernel("c", 7, 450..500);
        let expected = [
            row(100, 200, "a"),
            row(200, 300, "b"),
            row(300, 380, "copy"),
            row(380, 450, "idle"),
            row(450, 500, "c"),
        ];
        assert_eq!(states(&drawing), expected);
    }

    #[test]
    fn kernels_that_overlap_count_once_and_a_short_one_inside_not_at_all() {
        // |-----a-----|
        //   |b|
        //          |---c---|
        let drawing =
            Drawing::new().kernel("a", 7, 0..100).kernel("b", 8, 10..20).kernel("c", 9, 80..150);
        assert_eq!(states(&drawing), [row(0, 100, "a"), row(100, 150, "c")]);
    }

    #[test]
    fn a_part_of_the_time_has_parts_of_its_segments() {
        let drawing = Drawing::new().kernel("a", 7, 0..100).kernel("b", 7, 150..200);
        let devices = drawing.devices();
        let timeline = Timeline::of(&devices, &Gaps::of(&devices), 0, None);
        let times: Vec<u64> = timeline.within(60, 160).map(|(_, ns)| ns).collect();
        assert_eq!(times, [40, 50, 10]);
        assert_eq!(timeline.within(200, 300).count() + timeline.within(0, 0).count(), 0);
        assert_eq!(timeline.ns_of(|state| matches!(state, State::Runs(_))), 150);
    }
}

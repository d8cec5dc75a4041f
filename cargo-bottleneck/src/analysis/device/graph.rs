//! The graph of device time: a box for each device, inside it its streams, the spans that submitted work, and that work; beside
//! the streams what it waited for. Widths are times of the device: they sum to the time that it is in use, and are never added
//! to times of the host.

use std::collections::BTreeMap;

use crate::analysis::Column;
use crate::analysis::identity::Label;
use crate::kind::Kind;
use crate::number::count;
use crate::profile::SpanIdx;
use crate::profile::device::{Deed, Devices, StreamKey, StreamSort, Work};
use crate::report::model::Frame;
use crate::units::Bytes;

use super::timeline::{State, Timeline};
use super::{DeviceView, copies, kind_of_idling};

/// What a box is of, within its stream and span.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    label: String,
    kind: Kind,
    is_wait: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    ns: u64,
    works: u64,
    bytes: u64,
}

type Spans = BTreeMap<Option<SpanIdx>, BTreeMap<Key, Sum>>;

/// A box for each device that did something.
pub(in crate::analysis) fn frames(
    view: &DeviceView,
    labels: &Column<SpanIdx, Label>,
) -> Vec<Frame> {
    view.timelines.iter().map(|timeline| device(view, timeline, labels)).collect()
}

fn device(view: &DeviceView, timeline: &Timeline, labels: &Column<SpanIdx, Label>) -> Frame {
    let mut streams: BTreeMap<u32, Spans> = BTreeMap::new();
    let mut idle: BTreeMap<Key, Sum> = BTreeMap::new();
    let mut seen = None;
    for segment in &timeline.segments {
        let (work, key) = match segment.state {
            State::Runs(index) => {
                let work = &view.devices.works[index.0];
                let key = Key { label: label(&work.deed), kind: view.kind(work).0, is_wait: false };
                (Some((index, work)), key)
            }
            State::Serial(index, _) => {
                let work = &view.devices.works[index.0];
                let label = format!("{}, while a stream waits for it", label(&work.deed));
                (Some((index, work)), Key { label, kind: Kind::Scheduling, is_wait: false })
            }
            State::Idles(cause, next) => {
                let (kind, _) = kind_of_idling(cause, &view.devices.works[next.0]);
                (None, Key { label: format!("[{}]", cause.words()), kind, is_wait: true })
            }
        };
        let Some((index, work)) = work else {
            let sum = idle.entry(key).or_default();
            sum.ns += segment.ns();
            sum.works += 1;
            continue;
        };
        let spans = streams.entry(work.stream.stream).or_default();
        let sum = spans.entry(work.span).or_default().entry(key).or_default();
        sum.ns += segment.ns();
        // A work has several segments where another one comes between.
        if seen != Some(index) {
            sum.works += 1;
            sum.bytes += copied(work);
        }
        seen = Some(index);
    }
    let mut children: Vec<Frame> = streams
        .into_iter()
        .map(|(number, spans)| {
            let spans = spans.into_iter().map(|(span, works)| of_span(span, works, labels));
            container(stream_name(&view.devices, number), spans.collect())
        })
        .collect();
    children.extend(idle.into_iter().map(|(key, sum)| {
        let note = format!("{} times, the device had nothing to run", count(sum.works));
        leaf(key, sum, note)
    }));
    let known = view.devices.known.iter().find(|it| it.number == timeline.device);
    let name = known.map_or("", |it| it.name.as_str());
    container(format!("[GPU {} {name}]", timeline.device).replace(" ]", "]"), children)
}

fn stream_name(devices: &Devices, number: u32) -> String {
    let is_default = |(key, sort): (&StreamKey, &StreamSort)| {
        key.stream == number && *sort == StreamSort::Default
    };
    if devices.streams.iter().any(is_default) {
        "[default stream]".to_owned()
    } else {
        format!("[stream {number}]")
    }
}

fn of_span(
    span: Option<SpanIdx>,
    works: BTreeMap<Key, Sum>,
    labels: &Column<SpanIdx, Label>,
) -> Frame {
    let boxes = works.into_iter().map(|(key, sum)| {
        let mut note = format!("{} of them", count(sum.works));
        if sum.bytes > 0 {
            note = format!("{note}, {} together", Bytes(sum.bytes as f64));
        }
        leaf(key, sum, note)
    });
    let mut res = container("[outside of spans]".to_owned(), boxes.collect());
    if let Some(span) = span {
        let label = &labels[span];
        label.name.clone_into(&mut res.name);
        res.span = Some(label.id.clone());
        res.site = Some(label.site.clone()).filter(|site| !site.is_empty());
    }
    res
}

fn container(name: String, children: Vec<Frame>) -> Frame {
    Frame {
        name,
        span: None,
        site: None,
        total_ns: children.iter().map(|child| child.total_ns).sum(),
        self_ns: 0,
        kind: Kind::Other,
        is_wait: false,
        calls: 0,
        notes: Vec::new(),
        leaves: Vec::new(),
        children,
    }
}

fn leaf(key: Key, sum: Sum, note: String) -> Frame {
    Frame {
        total_ns: sum.ns,
        self_ns: sum.ns,
        kind: key.kind,
        is_wait: key.is_wait,
        notes: vec![note],
        ..container(key.label, Vec::new())
    }
}

fn copied(work: &Work) -> u64 {
    match work.deed {
        Deed::Copy { bytes, .. } | Deed::Set { bytes } => bytes,
        Deed::Kernel { .. } | Deed::Graph { .. } => 0,
    }
}

/// `sgemm`, `copy H2D pageable, 16 MiB and more`.
fn label(deed: &Deed) -> String {
    match deed {
        Deed::Kernel { name, .. } => super::kernel_name::shown(name),
        Deed::Copy { direction, from, to, bytes, .. } => {
            let sort = copies::Sort::of(*direction, *from, *to, *bytes);
            format!("copy {}, {}", sort.words(), sort.size())
        }
        Deed::Set { .. } => "set memory".to_owned(),
        Deed::Graph { .. } => "CUDA graph, undivided".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::device::fixture::Drawing;
    use crate::analysis::identity;
    use crate::machine::gpu::Gpus;
    use crate::profile::RowIdx as _;
    use crate::profile::builder::ProfileBuilder;
    use std::sync::Arc;

    #[test]
    fn boxes_of_a_device_sum_to_the_time_that_it_is_in_use() {
        // stream 7  |--a--|        |--b--|
        // stream 8     |--copy--|
        // device    |  a  |copy |idle| b |
        let mut profile = ProfileBuilder::new(1_000).span("token", 0..900, |_| ()).build();
        let token = SpanIdx::from_position(0);
        let drawing = Drawing::new()
            .launch(1, 0..10, "a", 7, 100..200)
            .in_span(token)
            .copy(8, 150..280)
            .launch(1, 300..310, "b", 7, 350..400)
            .in_span(token);
        profile.devices = Some(Arc::new(drawing.devices()));
        let view = DeviceView::of(&profile, &Gpus::default()).unwrap();
        let labels = identity::label(&profile);
        let [device] = &frames(&view, &labels)[..] else { panic!("one device") };
        assert_eq!((device.name.as_str(), device.total_ns, device.self_ns), ("[GPU 0]", 300, 0));
        let names: Vec<(&str, u64)> =
            device.children.iter().map(|it| (it.name.as_str(), it.total_ns)).collect();
        assert_eq!(names[..2], [("[stream 7]", 150), ("[stream 8]", 80)]);
        assert_eq!((names[2].1, device.children[2].is_wait), (70, true));
        let span = &device.children[0].children[0];
        assert_eq!((span.name.as_str(), span.children.len()), ("token", 2));
    }
}

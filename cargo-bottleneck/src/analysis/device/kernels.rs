//! What limits kernels: the work that their spans declare, against the ceilings of the device.
//!
//! A kernel is of the *region* of the span that launched it: the nearest span around it that declares work. The time of a region
//! is that in which any of its kernels runs. Without declared work nothing is known: names of kernels are no evidence.

use std::collections::BTreeMap;

use crate::analysis::ceilings::Range;
use crate::analysis::roofline::{Abstained, Point, Says, judge};
use crate::analysis::subkind::Subkind;
use crate::kind::Kind;
use crate::machine::gpu::GpuCeilings;
use crate::profile::device::{Deed, Devices, Work};
use crate::profile::{self, Profile, SpanIdx};
use crate::report::model::{Confidence, Evidence, Source};

use super::counted::Counted;
use super::stretches::Stretches;
use super::{ceilings, replays};

/// What is known of the kernels of one region.
#[derive(Clone, Debug)]
pub struct Region {
    /// Time in which any of them runs, in ns.
    pub ns: u64,
    /// How many there are.
    pub kernels: u64,
    /// Where they lie under the roofline of their device; `None` where it has no ceilings.
    pub point: Option<Point>,
    /// What counters of the device say of them; `None` where declared work decides, or nothing was counted.
    pub counted: Option<Counted>,
    /// What limits them.
    pub says: Says,
    /// How sure that is.
    pub confidence: Confidence,
}

/// Kernels that reach this part of a ceiling of the device are limited by it, however far the other one is.
pub(super) const NEAR: f64 = 0.6;

impl Region {
    /// Whether a ceiling is reached as far as kernels usually reach one.
    pub fn is_near_a_ceiling(&self) -> bool {
        let shares = self.point.iter().flat_map(|point| [point.bandwidth, point.arithmetic]);
        // Units are counted by the clock that they have, memory by what it could do.
        let is_counted = self.counted.as_ref().is_some_and(|it| NEAR <= it.memory)
            && self.kind().0 == Kind::Memory;
        is_counted || shares.flatten().any(|share| NEAR <= share.median)
    }

    /// What was measured of it.
    pub(in crate::analysis) fn evidence(&self) -> Vec<Evidence> {
        let of_work = self.point.iter().flat_map(evidence);
        of_work.chain(self.counted.iter().flat_map(Counted::evidence)).collect()
    }

    /// Kind and sub-kind.
    pub fn kind(&self) -> (Kind, Option<Subkind>) {
        match self.says {
            Says::Bound(Kind::Memory, _) => (Kind::Memory, Some(Subkind::DeviceBandwidth)),
            Says::Bound(Kind::Compute, _) => (Kind::Compute, Some(Subkind::DeviceArithmetic)),
            Says::Bound(kind, subkind) => (kind, Some(subkind)),
            Says::Nothing(_) => (Kind::Other, None),
        }
    }
}

/// The regions that have kernels, by the span that declares.
pub(super) fn regions(
    profile: &Profile,
    devices: &Devices,
    measured: &[GpuCeilings],
    owners: &BTreeMap<SpanIdx, SpanIdx>,
) -> BTreeMap<SpanIdx, Region> {
    let by_owner = by_owner(devices, owners);
    let region = |(owner, works): (SpanIdx, Vec<&Work>)| {
        let judged = judged(profile, devices, measured, owner, &works);
        (owner, judged)
    };
    by_owner.into_iter().map(region).collect()
}

/// The regions whose limits counters tell, by the span that stands for their phase: `owners` has it for each span that launched.
/// Counters tell of everybody who uses a device, so nobody is sure of them but who `is_alone` there.
pub(super) fn counted_regions(
    devices: &Devices,
    owners: &BTreeMap<SpanIdx, (SpanIdx, &Counted)>,
    is_alone: impl Fn(u32) -> bool,
) -> BTreeMap<SpanIdx, Region> {
    let mut by_owner: BTreeMap<SpanIdx, (Vec<&Work>, &Counted)> = BTreeMap::new();
    let computes = |it: &&Work| matches!(it.deed, Deed::Kernel { .. } | Deed::Graph { .. });
    for work in devices.works.iter().filter(computes) {
        if let Some((owner, counted)) = work.span.and_then(|span| owners.get(&span)) {
            by_owner.entry(*owner).or_insert((Vec::new(), counted)).0.push(work);
        }
    }
    let region = |(owner, (works, counted)): (SpanIdx, (Vec<&Work>, &Counted))| {
        let alone = works.iter().all(|work| is_alone(work.stream.device));
        let region = Region {
            ns: time(&works),
            kernels: works.len() as u64,
            point: None,
            counted: Some(counted.clone()),
            says: counted.says,
            confidence: if alone { Confidence::Moderate } else { Confidence::Weak },
        };
        (owner, region)
    };
    by_owner.into_iter().map(region).collect()
}

/// The spans that declare what kernels of others do, by these: the nearest one around it, or, for what a graph runs, around its
/// launch.
pub(super) fn declaring_spans(profile: &Profile, devices: &Devices) -> BTreeMap<SpanIdx, SpanIdx> {
    let mut res = BTreeMap::new();
    for work in &devices.works {
        let Some(span) = work.span.filter(|span| !res.contains_key(span)) else { continue };
        let at_launch = || declaring(profile, devices.launching(work)?);
        if let Some(owner) = declaring(profile, span).or_else(at_launch) {
            res.insert(span, owner);
        }
    }
    res
}

/// Kernels by the span that answers for what launched them.
fn by_owner<'d>(
    devices: &'d Devices,
    owners: &BTreeMap<SpanIdx, SpanIdx>,
) -> BTreeMap<SpanIdx, Vec<&'d Work>> {
    let mut res: BTreeMap<SpanIdx, Vec<&Work>> = BTreeMap::new();
    for work in devices.works.iter().filter(|it| matches!(it.deed, Deed::Kernel { .. })) {
        if let Some(&owner) = work.span.and_then(|span| owners.get(&span)) {
            res.entry(owner).or_default().push(work);
        }
    }
    res
}

/// Time in which any of these runs, in ns.
fn time(works: &[&Work]) -> u64 {
    Stretches::of(works.iter().map(|it| (it.when.start_ns, it.when.end_ns))).ns()
}

/// The nearest span that declares work, `span` or one around it.
fn declaring(profile: &Profile, span: SpanIdx) -> Option<SpanIdx> {
    let mut at = Some(span);
    while let Some(span) = at {
        let path = &profile.spans[span];
        if path.work.is_some() {
            return Some(span);
        }
        at = path.parent;
    }
    None
}

/// What was measured of a region: its rates, against the ceilings of the device.
fn evidence(point: &Point) -> Vec<Evidence> {
    let mut res = Vec::new();
    // The ceiling is found again from the share.
    let mut add = |what: &str, rate: f64, share: Option<Range>, unit: &str| {
        let of = share.filter(|share| share.median > 0.0).map(|share| rate / share.median / 1e9);
        let (what, unit, source) = (what.to_owned(), unit.to_owned(), Source::Declared);
        res.push(Evidence { what, value: rate / 1e9, unit, of, source });
    };
    if point.bytes_per_s > 0.0 {
        let is_sheet =
            point.bandwidth.is_none_or(|share| share.min.to_bits() == share.max.to_bits());
        let of = if is_sheet { "its data sheet" } else { "what copies within it reach" };
        add(&format!("device memory, against {of}"), point.bytes_per_s, point.bandwidth, "GB/s");
    }
    if point.flops_per_s > 0.0 {
        add(
            "arithmetic, against the device's data sheet",
            point.flops_per_s,
            point.arithmetic,
            "GFLOP/s",
        );
    }
    res
}

fn judged(
    profile: &Profile,
    devices: &Devices,
    measured: &[GpuCeilings],
    owner: SpanIdx,
    works: &[&Work],
) -> Region {
    let device = works.first().map_or(0, |it| it.stream.device);
    let (ns, kernels) = (time(works), works.len() as u64);
    let nothing = |why| Region {
        ns,
        kernels,
        point: None,
        counted: None,
        says: Says::Nothing(why),
        confidence: Confidence::Weak,
    };
    let facts = devices.known.iter().find(|it| it.number == device);
    let (Some(work), Some(facts)) = (profile.spans[owner].work, facts) else {
        return nothing(Abstained::NoCeiling);
    };
    let Some(times) = replays::times(profile, devices, owner, works) else {
        return nothing(Abstained::NoCeiling);
    };
    let work = profile::Work { flops: work.flops * times, bytes: work.bytes * times, ..work };
    let per_second = work.flops * 1e9 / ns.max(1) as f64;
    let measured = measured.iter().find(|it| it.number == device);
    let ceilings = ceilings::ceilings(facts, measured, work.dtype, per_second);
    let Some(point) = Point::new(work, ns, ns, &ceilings) else {
        return nothing(Abstained::NoCeiling);
    };
    let (_, says, confidence) = judge(&point);
    // A data sheet is no measurement of this device.
    let confidence = confidence.min(Confidence::Moderate);
    Region { ns, kernels, point: Some(point), counted: None, says, confidence }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::device::fixture::Drawing;
    use crate::profile::Dtype;
    use crate::profile::RowIdx as _;
    use crate::profile::builder::ProfileBuilder;

    const MS: u64 = 1_000_000;

    /// 2 TB/s, and 10 TFLOP/s.
    fn device(drawing: Drawing) -> Devices {
        let attributes = [
            ("multiprocessors", 50),
            ("clock_khz", 1_562_500),
            ("memory_clock_khz", 1_000_000),
            ("memory_bus_bits", 8000),
            ("capability_major", 8),
            ("capability_minor", 0),
        ];
        attributes
            .into_iter()
            .fold(drawing, |it, (name, value)| it.attribute(name, value))
            .devices()
    }

    fn all_regions(profile: &Profile, devices: &Devices) -> BTreeMap<SpanIdx, Region> {
        regions(profile, devices, &[], &declaring_spans(profile, devices))
    }

    #[test]
    fn a_region_is_judged_by_the_time_in_which_its_kernels_run() {
        // layers   declares 1.8 GB
        //   |- a -|- b -|      one millisecond together: 1.8 of 2 TB/s
        let profile = ProfileBuilder::new(9 * MS)
            .span("token", 0..9 * MS, |token| {
                token.span("layers", 0..MS, |layers| {
                    layers.work(1e6, 1.8e9, Dtype::F32);
                    layers.span("launch", 0..MS / 2, |_| ());
                });
            })
            .build();
        let span = |at| SpanIdx::from_position(at);
        let drawing = Drawing::new()
            .launch(1, 0..1000, "a", 7, 2 * MS..2 * MS + MS / 2)
            .in_span(span(2))
            .launch(1, 2000..3000, "b", 7, 2 * MS + MS / 2..3 * MS)
            .in_span(span(2))
            .launch(1, 4000..5000, "other", 7, 4 * MS..5 * MS)
            .in_span(span(0));
        let regions = all_regions(&profile, &device(drawing));
        let (owner, region) = regions.first_key_value().unwrap();
        assert_eq!((*owner, regions.len(), region.kernels, region.ns), (span(1), 1, 2, MS));
        assert_eq!(region.kind(), (Kind::Memory, Some(Subkind::DeviceBandwidth)));
        assert_eq!(region.confidence, Confidence::Moderate);
    }

    #[test]
    fn nothing_is_known_of_a_device_without_attributes() {
        let profile = ProfileBuilder::new(9 * MS)
            .span("layers", 0..MS, |layers| {
                layers.work(1e6, 1.8e9, Dtype::F32);
            })
            .build();
        let own = SpanIdx::from_position(0);
        let drawing = Drawing::new().launch(1, 0..1000, "a", 7, MS..2 * MS).in_span(own);
        let regions = all_regions(&profile, &drawing.devices());
        assert_eq!(regions[&own].kind(), (Kind::Other, None));
    }
}

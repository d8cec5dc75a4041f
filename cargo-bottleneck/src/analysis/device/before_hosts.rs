//! What limits each stretch of time, with devices before hosts.
//!
//! What a device did is known at every instant; what the host did only at the moments that were sampled. So the part of a
//! stretch that is up to the host is known exactly, and who the host then was is told by the nearest moment at which it was up
//! to the host: a moment at which a device worked says only what the host hides behind that.
//!
//! ```text
//! device     ████████░░░░░░░░████████░░░░   █ works, ░ waits for the host
//! moments         1      2      3     4
//! 0 to 1     device
//! 1 to 2     device, then what the host did at 2
//! 2 to 3     what the host did at 2, then device
//! ```

use std::collections::BTreeMap;

use crate::analysis::blame::{Blamed, Part, Share};
use crate::analysis::subkind::Subkind;
use crate::profile::SpanIdx;
use crate::profile::snapshots::Moment;

use super::DeviceView;
use super::idle::Cause;
use super::timeline::State;

/// What hosts did at a moment.
#[derive(Clone, Debug, Default)]
pub(in crate::analysis) struct Host {
    /// The span that was at work; `None` if all of them waited.
    pub(in crate::analysis) span: Option<SpanIdx>,
    /// What limited it, devices aside; empty where nothing was in flight.
    pub(in crate::analysis) shares: Vec<Share>,
}

/// What limits a stretch of time as far as devices go.
#[derive(Clone, Debug, Default)]
struct Shares {
    /// Of the stretch, 0 to 1 together.
    of_devices: Vec<Share>,
    /// The part in which no device was in use, or the host did not even work: what limits the host limits the program.
    of_host: f64,
}

impl DeviceView {
    /// What limits the time before each moment since the one before it: one for each moment. Nothing where nothing was in flight,
    /// and where the log of devices had ended.
    pub(in crate::analysis) fn before_hosts(
        &self,
        moments: &[Moment],
        hosts: &[Host],
    ) -> Vec<Vec<Share>> {
        let tells = |(moment, host): (&Moment, &Host)| {
            !host.shares.is_empty() && self.is_up_to_host(moment.at_ns)
        };
        let telling: Vec<usize> = moments
            .iter()
            .zip(hosts)
            .enumerate()
            .filter(|(_, it)| tells(*it))
            .map(|(at, _)| at)
            .collect();
        let one = |(at, moment): (usize, &Moment)| {
            let own = &hosts[at];
            let is_known = self.devices.until_ns.is_none_or(|until_ns| moment.at_ns <= until_ns);
            if own.shares.is_empty() || !is_known {
                return Vec::new();
            }
            let host = nearest(&telling, moments, at).map_or(own, |at| &hosts[at]);
            let found =
                self.shares(moment.at_ns.saturating_sub(moment.weight_ns), moment.at_ns, host.span);
            let of_host = host.shares.iter().map(|share| Share {
                part: share.part * found.of_host,
                lost: share.lost * found.of_host,
                ..*share
            });
            let mut res = found.of_devices;
            res.extend(of_host.filter(|share| share.part > 0.0));
            res
        };
        moments.iter().enumerate().map(one).collect()
    }

    /// What limits the time from 0 to `until_ns` as far as devices go, where no moment says what hosts did: parts of it.
    pub(in crate::analysis) fn alone(&self, until_ns: u64) -> Vec<Share> {
        self.shares(0, until_ns, None).of_devices
    }

    /// Whether no device has anything to do at an instant because the host gives it nothing.
    fn is_up_to_host(&self, at_ns: u64) -> bool {
        let mut states = self.timelines.iter().flat_map(|it| it.within(at_ns, at_ns + 1));
        states.all(|(state, _)| matches!(state, State::Idles(Cause::HostStarved, _)))
    }

    /// What limits the time from `from_ns` to `to_ns`; `host` is a span that works while devices do not.
    fn shares(&self, from_ns: u64, to_ns: u64, host: Option<SpanIdx>) -> Shares {
        let whole = to_ns.saturating_sub(from_ns);
        let mut parts: BTreeMap<Blamed, f64> = BTreeMap::new();
        let in_use: Vec<Vec<(State, u64)>> = self
            .timelines
            .iter()
            .map(|timeline| timeline.within(from_ns, to_ns).collect())
            .filter(|states: &Vec<_>| !states.is_empty())
            .collect();
        if whole == 0 || in_use.is_empty() {
            return Shares { of_devices: Vec::new(), of_host: 1.0 };
        }
        let each = 1.0 / (in_use.len() as f64 * whole as f64);
        let mut of_devices = 0.0;
        for (state, ns) in in_use.into_iter().flatten() {
            if let Some(blamed) = self.blamed(state, host) {
                *parts.entry(blamed).or_default() += ns as f64 * each;
                of_devices += ns as f64 * each;
            }
        }
        let share = |(blamed, part): (Blamed, f64)| {
            let is_serial =
                matches!(blamed.subkind, Some(Subkind::StreamDependency | Subkind::DefaultStream));
            let lost = match blamed.part {
                Part::DeviceIdle => part,
                // Two that run at once save the shorter one, at most half of the time of both.
                _ if is_serial => part / 2.0,
                _ => 0.0,
            };
            Share { blamed, part, lost }
        };
        Shares {
            of_devices: parts.into_iter().map(share).collect(),
            of_host: (1.0 - of_devices).max(0.0),
        }
    }
}

/// The position in `telling`, which rises, whose moment is nearest to that at `at`.
fn nearest(telling: &[usize], moments: &[Moment], at: usize) -> Option<usize> {
    let behind = telling.partition_point(|&it| it < at);
    let around = [behind.checked_sub(1), Some(behind)].into_iter().flatten();
    let distance = |it: &usize| moments[*it].at_ns.abs_diff(moments[at].at_ns);
    around.filter_map(|it| telling.get(it).copied()).min_by_key(distance)
}

#[cfg(test)]
mod tests {
    use crate::machine::gpu::Gpus;
    use std::sync::Arc;

    use super::*;
    use crate::analysis::device::fixture::Drawing;
    use crate::kind::Kind;
    use crate::profile::builder::ProfileBuilder;
    use crate::profile::device::{Devices, MemoryKind};
    use crate::profile::{Dtype, Profile, RowIdx as _};

    const MS: u64 = 1_000_000;

    fn profile(drawing: &Drawing) -> Profile {
        let mut res = ProfileBuilder::new(90 * MS)
            .span("token", 0..90 * MS, |token| {
                token.span("layers", 0..50 * MS, |layers| {
                    layers.work(1e6, 60e9, Dtype::F32);
                });
            })
            .build();
        res.devices = Some(Arc::new(drawing.devices()));
        res
    }

    /// 2 TB/s.
    fn on_a_device(drawing: Drawing) -> Drawing {
        let attributes = [("memory_clock_khz", 1_000_000), ("memory_bus_bits", 8000)];
        attributes.into_iter().fold(drawing, |it, (name, value)| it.attribute(name, value))
    }

    fn spans() -> (SpanIdx, SpanIdx) {
        (SpanIdx::from_position(0), SpanIdx::from_position(1))
    }

    /// `layers` runs from 10 to 40 ms, a copy from 50 to 60 ms, and the host comes late with it.
    fn view() -> DeviceView {
        let (token, layers) = spans();
        let drawing = on_a_device(Drawing::new())
            .launch(1, 9 * MS..10 * MS, "k", 7, 10 * MS..40 * MS)
            .in_span(layers)
            .upload(1, 48 * MS..49 * MS, (1 << 20, MemoryKind::Pinned), 7, 50 * MS..60 * MS)
            .in_span(token);
        DeviceView::of(&profile(&drawing), &Gpus::default()).unwrap()
    }

    fn moment(at_ms: u64, weight_ms: u64) -> Moment {
        Moment {
            at_ns: at_ms * MS,
            weight_ns: weight_ms * MS,
            stalled_ns: 0,
            async_requests: 0,
            doings: 0..0,
        }
    }

    fn host(span: Option<SpanIdx>, kind: Kind) -> Host {
        let blamed = Blamed {
            span: spans().0,
            part: Part::Waits,
            kind,
            subkind: None,
            cause: None,
            helper: None,
            via: None,
        };
        Host { span, shares: vec![Share { blamed, part: 1.0, lost: 0.0 }] }
    }

    #[test]
    fn the_device_is_to_blame_while_it_is_in_use_and_the_host_before() {
        // host     token ...
        // device          |--layers: 30 ms--| idle 10 ms |--copy 10 ms--|
        let ((token, layers), view) = (spans(), view());
        let shares = view.shares(0, 80 * MS, Some(token));
        let rows: Vec<_> = shares
            .of_devices
            .iter()
            .map(|it| {
                (
                    it.blamed.span,
                    it.blamed.kind,
                    it.blamed.subkind.unwrap(),
                    (it.part * 80.0).round(),
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                (token, Kind::Io, Subkind::DeviceCopy, 10.0),
                (token, Kind::Io, Subkind::StarvedByHost, 10.0),
                (layers, Kind::Memory, Subkind::DeviceBandwidth, 30.0),
            ]
        );
        assert!((shares.of_host * 80.0 - 30.0).abs() < 1e-6, "{}", shares.of_host);
        let without_host = view.shares(40 * MS, 50 * MS, None);
        assert!(without_host.of_devices.is_empty() && without_host.of_host > 0.99);
    }

    #[test]
    fn who_the_host_was_is_told_by_moments_at_which_it_was_up_to_it() {
        // device    |--layers--10..40--|  idle 40..50  |--copy 50..60--|
        // moments              30          45              55
        // host                 waits       token works     waits
        let (token, _) = spans();
        let moments = [moment(30, 20), moment(45, 15), moment(55, 10)];
        let hosts = [
            host(None, Kind::Scheduling),
            host(Some(token), Kind::Compute),
            host(None, Kind::Scheduling),
        ];
        let found = view().before_hosts(&moments, &hosts);
        let kinds = |at: usize| -> Vec<(Kind, f64)> {
            let moment = &moments[at];
            let ms = moment.weight_ns as f64 / MS as f64;
            found[at].iter().map(|it| (it.blamed.kind, (it.part * ms).round())).collect()
        };
        assert_eq!(kinds(0), [(Kind::Memory, 20.0)]);
        assert_eq!(kinds(1), [(Kind::Io, 5.0), (Kind::Memory, 10.0)]);
        assert_eq!(
            kinds(2),
            [(Kind::Io, 5.0), (Kind::Io, 5.0)],
            "starved, and the copy: never the wait that is behind it"
        );
    }

    #[test]
    fn where_nothing_is_in_flight_nothing_limits() {
        let found = view().before_hosts(&[moment(30, 20)], &[Host::default()]);
        assert!(found[0].is_empty());
    }

    #[test]
    fn no_verdict_rests_on_records_that_are_not_complete() {
        let drawing = Drawing::new().kernel("k", 7, 0..MS);
        let mut profile = profile(&drawing);
        profile.devices = Some(Arc::new(Devices { lost: 3, ..drawing.devices() }));
        let view = DeviceView::of(&profile, &Gpus::default()).unwrap();
        assert!(view.problems[0].starts_with("3 records"), "{:?}", view.problems);
        assert!(view.rules.is_empty());
        let (token, _) = spans();
        let shares = view.shares(0, 2 * MS, Some(token)).of_devices;
        let rows: Vec<_> =
            shares.iter().map(|it| (it.blamed.part, it.blamed.kind, it.part)).collect();
        assert_eq!(
            rows,
            [(Part::Device, Kind::Other, 0.5)],
            "while a device is in use nobody knows"
        );
    }
}

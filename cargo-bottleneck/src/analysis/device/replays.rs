//! How often declared work was done where CUDA graphs do it: a span declares when it is captured, and the graph is launched as
//! often as one likes.
//!
//! CUPTI tells how many kernels were captured in a span; each pass over what was declared is as many. That settles it where one
//! graph was captured once, or for every launch, and where all captured graphs are launched about equally. Where it is not
//! known which of several captured graphs were launched (one for each size of a batch, say), nothing is said.

use std::collections::{BTreeMap, BTreeSet};

use crate::profile::device::{CallIdx, Deed, Devices, Work};
use crate::profile::{Profile, SpanIdx};

/// Numbers of kernels, and of launches, that are the same.
const SAME: f64 = 0.02;
const ABOUT_EQUAL: f64 = 0.1;

/// How often `works`, which are kernels, did what `owner` has declared in all of its calls together: 1 where no graph is
/// launched outside of it. `None` where that is not known.
pub(super) fn times(
    profile: &Profile,
    devices: &Devices,
    owner: SpanIdx,
    works: &[&Work],
) -> Option<f64> {
    let mut graphs: BTreeMap<u32, (u64, BTreeSet<Option<CallIdx>>)> = BTreeMap::new();
    let mut direct = 0.0;
    for work in works {
        match work.deed {
            Deed::Kernel { graph, .. }
                if graph != 0 && !is_around(profile, owner, devices.launching(work)) =>
            {
                let (kernels, launches) = graphs.entry(graph).or_default();
                *kernels += 1;
                launches.insert(work.call);
            }
            _ => direct += 1.0,
        }
    }
    if graphs.is_empty() {
        return Some(1.0);
    }
    let spans = devices.captured.iter().filter(|(span, _)| is_around(profile, owner, Some(**span)));
    let captured = spans.map(|(_, kernels)| *kernels as f64).sum::<f64>();
    let launches: Vec<f64> = graphs.values().map(|(_, launches)| launches.len() as f64).collect();
    let all: f64 = graphs.values().map(|(kernels, _)| *kernels as f64).sum();
    let once: Vec<f64> = graphs
        .values()
        .map(|(kernels, launches)| *kernels as f64 / launches.len() as f64)
        .collect();
    let is = |a: f64, b: f64, by: f64| (a - b).abs() <= by * b;
    let is_even = launches.iter().all(|it| is(*it, launches[0], ABOUT_EQUAL));
    let is_known = match once[..] {
        [one] => is(captured, one, SAME) || is(captured, one * launches[0], SAME),
        // Captured once each, or one that was made ready several times.
        _ => {
            is_even && is(captured, once.iter().sum(), SAME)
                || once.iter().all(|it| is(captured, *it, SAME))
        }
    };
    is_known.then(|| (direct + all) / (direct + captured))
}

/// Whether a span is another one, or around it.
fn is_around(profile: &Profile, outer: SpanIdx, inner: Option<SpanIdx>) -> bool {
    std::iter::successors(inner, |&span| profile.spans[span].parent).any(|span| span == outer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::device::fixture::Drawing;
    use crate::profile::RowIdx as _;
    use crate::profile::builder::ProfileBuilder;

    const MS: u64 = 1_000_000;

    fn span(at: usize) -> SpanIdx {
        SpanIdx::from_position(at)
    }

    /// ```text
    /// capture > layers      declares
    /// launch                launches each graph so often, of two kernels each
    /// ```
    fn drawn(launched: &[(u32, u64)], captured: u64, launching: SpanIdx) -> Option<f64> {
        let profile = ProfileBuilder::new(90_000 * MS)
            .span("capture", 0..MS, |capture| {
                capture.span("layers", 0..MS, |_| ());
            })
            .span("launch", MS..90_000 * MS, |_| ())
            .build();
        let (layers, mut at, mut graphs) = (span(1), 0, Vec::new());
        let mut drawing = Drawing::new();
        for &(graph, times) in launched {
            for _ in 0..times {
                at += 2 * MS;
                drawing = drawing.launch(1, at..at + 1000, "k", 7, at + 1000..at + MS);
                graphs.push(graph);
            }
        }
        let mut devices = drawing.devices();
        let mut second = Vec::new();
        for (work, graph) in devices.works.iter_mut().zip(graphs) {
            work.span = Some(layers);
            if let Deed::Kernel { graph: its, .. } = &mut work.deed {
                *its = graph;
            }
            // The same launch.
            second.push(work.clone());
        }
        devices.works.extend(second);
        for call in &mut devices.calls {
            call.span = Some(launching);
        }
        devices.captured.insert(layers, captured);
        let works: Vec<&Work> = devices.works.iter().collect();
        times(&profile, &devices, layers, &works)
    }

    #[test]
    fn a_graph_does_what_was_declared_at_each_launch() {
        let launch = span(2);
        assert_eq!(drawn(&[(5, 30)], 2, launch), Some(30.0), "captured once");
        assert_eq!(drawn(&[(5, 30)], 60, launch), Some(1.0), "captured for each launch");
        assert_eq!(drawn(&[(5, 10), (6, 10)], 4, launch), Some(10.0), "two graphs, in turns");
        assert_eq!(drawn(&[(5, 10), (6, 10)], 2, launch), Some(20.0), "one, made ready twice");
        assert_eq!(drawn(&[(0, 30)], 0, launch), Some(1.0), "no graph");
        // Who declares is around each launch: it declares for all of them.
        assert_eq!(drawn(&[(5, 30)], 2, span(1)), Some(1.0));
    }

    #[test]
    fn a_call_without_a_graph_before_it_counts_once() {
        assert_eq!(drawn(&[(0, 2), (5, 18)], 2, span(2)), Some(40.0 / 6.0));
    }

    #[test]
    fn of_many_captured_graphs_nobody_knows_which_were_launched() {
        let launch = span(2);
        assert_eq!(drawn(&[(5, 30)], 70, launch), None, "one of 35");
        assert_eq!(drawn(&[(5, 30), (6, 3)], 4, launch), None, "one more often than the other");
        assert_eq!(drawn(&[(5, 30)], 0, launch), None, "nobody counted");
    }
}

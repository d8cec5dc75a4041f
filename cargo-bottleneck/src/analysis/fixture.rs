//! Test kit: the report of a small transformer, and a machine to judge it by.

use super::ceilings::LoadTimes;
use super::{Analysis, Ceilings, Context, Peak, Range, analyze, summarize};
use crate::machine::gpu::Gpus;
use crate::profile::builder::{ProfileBuilder, SpanBuilder};
use crate::profile::sampling::{Counted, Sampling};
use crate::profile::{Dtype, Profile, SpanIdx};
use crate::report::model::{Exit, Frame, MachineView, Summary};
use crate::symbols::{Place, Symbols};

pub(crate) const MS: u64 = 1_000_000;

/// DRAM 20 GB/s, cache 100 GB/s, f32 100 GFLOP/s.
pub(crate) fn context() -> Context {
    let ceilings = Ceilings {
        dram_read: Some(Range::exactly(20e9)),
        cache_read: vec![Range::exactly(100e9)],
        peaks: vec![Peak {
            dtype: Dtype::F32,
            unit: "FMA".into(),
            lanes: 8,
            rate: Range::exactly(100e9),
        }],
        threads: Some(1),
        measured: "in a test".into(),
        load_times: Some(LoadTimes {
            tick_rate: 1e9,
            near: 80,
            far: 200,
            hot: 50,
            last_cache: 120,
            memory: 300,
            skid: 1,
        }),
        page_fault_ns: Some(Range::exactly(500.0)),
        ..Ceilings::default()
    };
    Context {
        program: "app".into(),
        command: vec!["target/bottleneck/app".into(), "--tokens".into(), "64".into()],
        exit: Exit { code: Some(0), signal: None },
        machine: MachineView { cores: Some(2), ..MachineView::default() },
        ceilings: Ok(ceilings),
        gpu: Gpus::default(),
        symbols: None,
        warnings: Vec::new(),
    }
}

/// The report of a run with these samples: name of the span, function with its modules, samples, whether they are adopted.
pub(crate) fn sampled_report(
    builder: &ProfileBuilder,
    samples: &[(&str, &str, u64, bool)],
) -> (Summary, Frame) {
    let mut profile: Profile = builder.build();
    let (mut counted, mut places) = (Vec::new(), Vec::new());
    for (&(name, function, n, is_adopted), sampled) in samples.iter().zip(1_u64..) {
        let is_it = |span: &SpanIdx| profile.sites[profile.spans[*span].site].name == name;
        let of_name = profile.spans.indices().filter(is_it);
        counted.extend(of_name.map(|span| Counted { span, sampled, n, is_adopted, spins: false }));
        let place = Place {
            function: function.to_owned(),
            file: Some("src/math.rs".to_owned()),
            line: Some(40),
            inlined: Vec::new(),
            object: "/app".to_owned(),
        };
        places.push((sampled, place));
    }
    profile.sampling = Some(Sampling { period_ns: 4 * MS, counted, ..Sampling::default() });
    let context = Context { symbols: Some(Symbols::of_places(places)), ..context() };
    let analysis: Analysis = analyze(&profile, &context);
    summarize(&profile, &analysis, &context)
}

pub(crate) fn report(builder: &ProfileBuilder, context: &Context) -> (Summary, Frame) {
    report_of(&builder.build(), context)
}

pub(crate) fn report_of(profile: &Profile, context: &Context) -> (Summary, Frame) {
    let analysis: Analysis = analyze(profile, context);
    summarize(profile, &analysis, context)
}

/// Declares `ms` of streaming at 18 of 20 GB/s.
pub(crate) fn streams(span: &mut SpanBuilder, ms: u64) {
    span.work(0.1 * 18e6 * ms as f64, 18e6 * ms as f64, Dtype::F32);
}

/// Declares `ms` of arithmetic at 80 of 100 GFLOP/s.
pub(crate) fn computes(span: &mut SpanBuilder, ms: u64) {
    span.work(80e6 * ms as f64, 1e6 * ms as f64, Dtype::F32);
}

/// A transformer in small: `prefill_ms` of arithmetic, `decode_ms` of streaming, both through one function.
pub(crate) fn two_phases(prefill_ms: u64, decode_ms: u64) -> ProfileBuilder {
    let end = prefill_ms + decode_ms;
    ProfileBuilder::new((end + 10) * MS).span("generate", 0..(end + 2) * MS, |generate| {
        generate.keyed("forward", Some("prefill"), 0..prefill_ms * MS, |forward| {
            forward.span("matmul", 0..prefill_ms * MS, |matmul| computes(matmul, prefill_ms));
        });
        generate.keyed("forward", Some("decode"), prefill_ms * MS..end * MS, |forward| {
            forward.span("matmul", 0..decode_ms * MS, |matmul| streams(matmul, decode_ms));
        });
    })
}

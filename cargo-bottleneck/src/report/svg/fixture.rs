//! Constructed reports for tests: an inference server whose decoding waits for memory.

use std::collections::BTreeMap;

use super::palette;
use crate::kind::Kind;
use crate::report::model::{
    Confidence, Evidence, Exit, Frame, FrameLeaf, Lost, MachineView, Overhead, SCHEMA, Samples,
    Share, Source, Span, Summary, Verdict, VerdictKind,
};

/// A frame whose total is its own time and that of its children.
pub(super) fn frame(name: &str, kind: Kind, self_ns: u64, children: Vec<Frame>) -> Frame {
    let total_ns = self_ns + children.iter().map(|it| it.total_ns).sum::<u64>();
    Frame {
        name: name.to_owned(),
        span: None,
        site: None,
        total_ns,
        self_ns,
        kind,
        is_wait: false,
        calls: 1,
        notes: Vec::new(),
        leaves: Vec::new(),
        children,
    }
}

fn wait(name: &str, kind: Kind, self_ns: u64) -> Frame {
    Frame { is_wait: true, calls: 0, ..frame(name, kind, self_ns, vec![]) }
}

fn noted(mut frame: Frame, site: &str, calls: u64, notes: &[&str]) -> Frame {
    frame.site = Some(site.to_owned());
    frame.calls = calls;
    frame.notes = notes.iter().map(|&note| note.to_owned()).collect();
    frame
}

pub(super) fn leaf(name: &str, ns: u64, site: &str, notes: &[&str]) -> FrameLeaf {
    FrameLeaf {
        name: name.to_owned(),
        site: Some(site.to_owned()),
        ns,
        kind: None,
        is_inlined: false,
        notes: notes.iter().map(|&note| note.to_owned()).collect(),
    }
}

/// The server: two threads, every kind, waits, a function in two places with two kinds.
pub(super) fn server() -> Vec<Frame> {
    const MS: u64 = 1_000_000;
    let copy = noted(
        wait("copy_h2d", Kind::Io, 1_400 * MS),
        "src/stage.rs:52",
        8_412,
        &[
            "I/O-bound, strong: 8 412 copies, median 16 KiB",
            "2.1 GB/s = 8% of the pinned ceiling measured here",
            "→ one pinned staging buffer per request, one copy; est. 1.10x (at most 1.12x)",
        ],
    );
    let prefill_linear = noted(
        frame("Linear<[u8; 8]>::forward", Kind::Compute, 1_500 * MS, vec![]),
        "src/model.rs:141",
        412,
        &["compute-bound, strong: 412 GFLOP/s = 88% of the f32 ceiling measured here"],
    );
    let attention = frame(
        "attention",
        Kind::Compute,
        50 * MS,
        vec![
            frame("matmul 12", Kind::Compute, 2_200 * MS, vec![]),
            frame("softmax", Kind::Memory, 900 * MS, vec![]),
        ],
    );
    let decode_linear = noted(
        frame(
            "Linear<[u8; 8]>::forward",
            Kind::Memory,
            4_300 * MS,
            vec![Frame { calls: 0, ..frame("preempted", Kind::Scheduling, 300 * MS, vec![]) }],
        ),
        "src/model.rs:141",
        52_736,
        &[
            "memory-bound, strong: two signals agree",
            "38.1 GB/s = 92% of the DRAM ceiling measured here (41.2 GB/s)",
            "0.50 FLOP/byte, left of the ridge at 11.4",
            "not seen: IPC, cache misses (no hardware counters in this machine)",
            "→ halve the bytes per weight (f16 → int8), or serve two or more requests per step; est. 1.21x (at most 1.54x)",
        ],
    );
    let decode_linear = Frame {
        leaves: vec![
            leaf(
                "matvec",
                3_483 * MS,
                "src/math.rs:41",
                &["871 samples, 81% of the span's own time on the CPU"],
            ),
            leaf(
                "dequantize::<Q8>",
                645 * MS,
                "src/quant.rs:12",
                &["161 samples, 15% of the span's own time on the CPU"],
            ),
            leaf("a_sliver", MS, "src/math.rs:7", &[]),
        ],
        ..decode_linear
    };
    let decode = frame(
        "decode",
        Kind::Other,
        30 * MS,
        vec![
            decode_linear,
            noted(
                wait("wait_stream(0)", Kind::Scheduling, 1_600 * MS),
                "src/decode.rs:88",
                52_736,
                &[],
            ),
            frame("sample_top_p", Kind::Compute, 210 * MS, vec![]),
        ],
    );
    let prefill = frame("prefill", Kind::Other, 10 * MS, vec![copy, prefill_linear, attention]);
    let tokenize = frame("tokenize", Kind::Compute, 300 * MS, vec![]);
    let serve = frame("serve_request", Kind::Other, 20 * MS, vec![tokenize, prefill, decode]);
    let logger = frame(
        "log",
        Kind::Other,
        90 * MS,
        vec![wait("write to disk", Kind::Io, 110 * MS), wait("waits", Kind::Other, 100 * MS)],
    );
    vec![
        frame("worker", Kind::Other, 0, vec![serve]),
        frame("logger", Kind::Other, 0, vec![logger]),
    ]
}

/// The report that goes with these frames.
pub(super) fn summary(roots: &[Frame]) -> Summary {
    let in_flight_ns = roots.iter().map(|it| it.total_ns).sum();
    let mut kinds: BTreeMap<&'static str, Share> =
        Kind::ALL.iter().map(|&kind| (palette::id(kind), Share::default())).collect();
    for root in roots {
        add(root, &mut kinds);
    }
    for share in kinds.values_mut() {
        share.share = share.ns as f64 / (in_flight_ns as f64).max(1.0);
    }
    Summary {
        schema: SCHEMA,
        program: "llama-serve".to_owned(),
        command: vec!["llama-serve".to_owned()],
        exit: Exit { code: Some(0), signal: None },
        wall_ns: in_flight_ns + in_flight_ns / 20,
        machine: MachineView::default(),
        verdict: verdict(),
        findings: Vec::new(),
        checked: Vec::new(),
        skipped: Vec::new(),
        phases: Vec::new(),
        in_flight_ns,
        idle_ns: in_flight_ns / 20,
        cut: false,
        stopped_after_ns: None,
        pid: 1,
        samples: Samples::default(),
        on_cpu_source: "context switches".to_owned(),
        thread_kinds: kinds.clone(),
        kinds,
        spans: vec![span()],
        open_spans: Vec::new(),
        lost: Lost::default(),
        overhead: Overhead::default(),
        gpu: None,
        warnings: Vec::new(),
    }
}

fn add(frame: &Frame, kinds: &mut BTreeMap<&'static str, Share>) {
    kinds.entry(palette::id(frame.kind)).or_default().ns += frame.self_ns;
    for child in &frame.children {
        add(child, kinds);
    }
}

fn verdict() -> Verdict {
    let evidence = |what: &str, value: f64, unit: &str, of: Option<f64>| Evidence {
        what: what.to_owned(),
        value,
        unit: unit.to_owned(),
        of,
        source: Source::Measured,
    };
    Verdict {
        kind: VerdictKind::Memory,
        subkind: Some("bandwidth".to_owned()),
        share: 0.42,
        of: "time in flight".to_owned(),
        confidence: Confidence::Strong,
        span: Some("9f2c".to_owned()),
        site: Some("src/model.rs:141".to_owned()),
        headline: "MEMORY-bound: 40% of the time in flight waits for DRAM".to_owned(),
        next: "halve the bytes per weight (f16 → int8), or serve two or more requests per step."
            .to_owned(),
        gain: Some(1.21),
        bound: Some(1.54),
        evidence: vec![
            evidence("memory bandwidth", 38.1, "GB/s", Some(41.2)),
            evidence("arithmetic intensity", 0.5, "FLOP/byte", None),
        ],
        not_seen: Vec::new(),
    }
}

fn span() -> Span {
    Span {
        id: "9f2c".to_owned(),
        path: ["serve_request", "decode", "Linear<[u8; 8]>::forward"].map(str::to_owned).to_vec(),
        name: "Linear<[u8; 8]>::forward".to_owned(),
        key: None,
        site: "src/model.rs:141".to_owned(),
        thread: "worker".to_owned(),
        calls: 52_736,
        total_ns: 4_600_000_000,
        self_ns: 4_600_000_000,
        on_cpu_ns: 4_300_000_000,
        blocked_ns: 0,
        preempted_ns: 300_000_000,
        wakeup_ns: 0,
        waits: Vec::new(),
        waiting_ns: None,
        polls: None,
        p50_ns: None,
        p99_ns: None,
        min_ns: None,
        max_ns: None,
        kind: Kind::Memory,
        asserted: None,
        confidence: Confidence::Strong,
        kinds: BTreeMap::new(),
        flops: None,
        bytes: None,
        evidence: Vec::new(),
        leaves: Vec::new(),
        open: false,
    }
}

//! What each form of `#[bottleneck]` records: the program `attribute_behavior` runs once, and its profile is read.

use std::path::Path;
use std::process::Command;

use bottleneck_tests::{AtSite, Recorded};

/// One nap of the program, in ns.
const NAP: f64 = 50e6;
/// The clock of the spans against that of the program.
const DRIFT: f64 = 0.001;

struct Run {
    recorded: Recorded,
    printed: String,
}

impl Run {
    #[track_caller]
    fn keyed(&self, name: &str, key: &str) -> AtSite {
        self.recorded.at_site_with_key(name, key)
    }

    /// What the program printed behind this word.
    #[track_caller]
    fn printed(&self, word: &str) -> &str {
        let mut lines = self.printed.lines().filter_map(|it| it.split_once(' '));
        lines.find(|it| it.0 == word).expect("the program prints it").1
    }

    #[track_caller]
    fn span(&self, name: &str) -> AtSite {
        self.recorded.at_site(name)
    }
}

fn run() -> Run {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let output = Command::new(env!("CARGO_BIN_EXE_attribute_behavior"))
        .env("BOTTLENECK_RUN_DIR", folder.path())
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    let recorded = Recorded::of_run(folder.path());
    Run { recorded, printed: String::from_utf8_lossy(&output.stdout).into_owned() }
}

#[test]
fn every_form_records_what_it_does() {
    let run = run();
    futures_wait(&run);
    futures_end(&run);
    calls_are_described(&run);
    methods_name_their_type(&run);
    every_way_out_is_counted(&run);
    places_are_those_of_the_compiler(&run);
}

fn futures_wait(run: &Run) {
    let calls = [
        ("async_fn_waits", 1),
        ("impl_future_waits", 2),
        ("boxed_future_waits", 2),
        ("async_trait_waits", 1),
    ];
    for (name, n) in calls {
        let span = run.span(name);
        let naps = NAP * n as f64;
        assert_eq!((span.count, span.is_async), (n, true), "{span:?}");
        let took: f64 = run.printed(name).parse().expect("the program prints how long it took");
        assert!(naps * (1.0 - DRIFT) <= span.waiting, "{name} waited too little: {span:?}");
        let life = span.busy + span.waiting;
        assert!(life <= took * (1.0 + DRIFT), "{name} took {took} ns: {span:?}");
        assert!(span.busy < span.waiting, "{name} was busy while it waited: {span:?}");
        assert_eq!(span.polls, 2 * n, "{span:?}");
    }
    let span = run.span("busy_and_waiting");
    assert!(NAP <= span.busy * (1.0 + DRIFT) && NAP <= span.waiting * (1.0 + DRIFT), "{span:?}");
    let difference = (span.busy + span.waiting - span.longest).abs();
    assert!(
        difference < DRIFT * span.longest,
        "busy and waiting are not the life of the future: {span:?}"
    );
}

fn futures_end(run: &Run) {
    let span = run.span("cancelled");
    assert_eq!((span.count, span.cancelled, span.panicked), (1, 1, 0), "{span:?}");
    let span = run.span("panics");
    assert_eq!((span.count, span.cancelled, span.panicked), (1, 0, 1), "{span:?}");
}

fn calls_are_described(run: &Run) {
    let span = run.span("a name of its own");
    assert!(span.is_request && !span.is_async);
    assert_eq!((span.asserted, span.dtype), (3, 3));
    // Both would overflow the types of the parameters.
    assert!((span.flops - 2.0 * f64::from(1_u32 << 31) * 255.0).abs() < 1.0, "{span:?}");
    assert!((span.bytes - f64::from(1_u32 << 29)).abs() < 1.0, "{span:?}");
    assert_eq!(run.keyed("keyed", "prefill").count, 1);
    assert_eq!(run.keyed("keyed", "decode").count, 2);
    let span = run.keyed("keyed_later", "decode");
    assert!(span.count == 1 && (span.flops - 21.0).abs() < 1e-9, "{span:?}");
}

fn methods_name_their_type(run: &Run) {
    for (name, owner) in [
        ("method", "Layer"),
        ("associated", "Layer"),
        ("async_trait_waits", "Layer"),
        ("in_a_block", "Matrix<T>"),
        ("fmt", "<Matrix<u8> as std::fmt::Display>"),
        ("described", ""),
    ] {
        if let Some(span) = run.recorded.at_sites().iter().find(|it| it.name == name) {
            assert_eq!(span.owner, owner, "{name}");
        } else {
            assert_eq!(name, "described", "it is recorded under a name of its own");
        }
    }
}

fn every_way_out_is_counted(run: &Run) {
    assert_eq!(run.span("left_early").count, 3);
    assert_eq!(run.span("unwinds").count, 1);
}

fn places_are_those_of_the_compiler(run: &Run) {
    let span = run.span("located");
    assert_eq!(run.printed("located"), format!("{} {}", span.file, span.line));
    assert!(Path::new(&span.file).is_relative(), "{}", span.file);
}

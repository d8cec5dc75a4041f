//! Drawn windows, and what they say of phases.

use super::*;
use crate::analysis::device::fixture::Drawing;
use crate::profile::RowIdx as _;
use crate::profile::builder::ProfileBuilder;

const MS: u64 = 1_000_000;

/// `token` with `attention` and `mlp` inside, and `prompt` with `attention` inside.
fn profile() -> Profile {
    ProfileBuilder::new(9000 * MS)
        .span("token", 0..900 * MS, |token| {
            token.span("attention", 0..MS, |_| ());
            token.span("mlp", MS..2 * MS, |_| ());
        })
        .span("prompt", 900 * MS..9000 * MS, |prompt| {
            prompt.span("attention", 900 * MS..901 * MS, |_| ());
        })
        .build()
}

fn span(at: usize) -> SpanIdx {
    SpanIdx::from_position(at)
}

/// Windows of 200 ms, one behind the other from the first one that is known whole, with the memory and the f32 units in use in
/// thousandths.
fn windows(profile: &Profile, parts: &[(u16, u16)]) -> Vec<Window> {
    let window = |(at, &(memory, units)): (u64, &(u16, u16))| Window {
        from_ns: profile.start_ns + LAG_NS + 200 * MS * at,
        until_ns: profile.start_ns + LAG_NS + 200 * MS * (at + 1),
        memory,
        busy: Some(900),
        units: [0, 0, units, 0, 0].map(Some),
    };
    (0..).zip(parts).map(window).collect()
}

fn phases(profile: &Profile, drawing: &Drawing, windows: &[Window]) -> Phases {
    Phases::of(profile, &drawing.devices(), [(0, windows)].into_iter())
}

/// What is said of the kernels of each span, by the span that stands for their phase.
fn of(profile: &Profile, drawing: &Drawing, parts: &[(u16, u16)]) -> Vec<(String, String, Says)> {
    let phases = phases(profile, drawing, &windows(profile, parts));
    let name = |span: SpanIdx| {
        let sites = path_of(profile, span).into_iter();
        sites.map(|site| profile.sites[site].name.clone()).collect::<Vec<_>>().join("/")
    };
    let found = profile.spans.indices().filter_map(|span| {
        let (owner, counted) = phases.of_span(profile, 0, span)?;
        Some((name(span), name(owner), counted.says))
    });
    found.collect()
}

fn row(span: &str, phase: &str, says: Says) -> (String, String, Says) {
    (span.to_owned(), phase.to_owned(), says)
}

fn launch(drawing: Drawing, of: SpanIdx, stream: u32, from_ms: u64, until_ms: u64) -> Drawing {
    let at = from_ms * MS;
    drawing.launch(1, at..at + 1000, "k", stream, at + 1000..until_ms * MS).in_span(of)
}

const MEMORY: Says = Says::Bound(Kind::Memory, Subkind::DeviceBandwidth);
const COMPUTE: Says = Says::Bound(Kind::Compute, Subkind::DeviceArithmetic);
const ATTENTION: &str = "token/attention";

#[test]
fn spans_that_fill_windows_are_phases_of_their_own() {
    // device   |---attention---|-----mlp-----|
    // windows   l| A | A | A | l? B | B | B |     A: 85 % of the memory, B: 90 % of the f32 units; l: the lag
    let profile = profile();
    let drawing = launch(Drawing::new(), span(1), 7, 0, 700);
    let drawing = launch(drawing, span(2), 7, 700, 1500);
    let (a, b) = ((850, 50), (100, 900));
    let found = of(&profile, &drawing, &[a, a, a, b, b, b, b]);
    let expected = [row(ATTENTION, ATTENTION, MEMORY), row("token/mlp", "token/mlp", COMPUTE)];
    assert_eq!(found, expected);
}

/// ```text
/// device   |at|mlp|at|mlp| ...      50 ms each
/// ```
fn turns() -> Drawing {
    (0..15).fold(Drawing::new(), |drawing, at: u64| {
        let own = span(if at.is_multiple_of(2) { 1 } else { 2 });
        launch(drawing, own, 7, 50 * at, 50 * at + 50)
    })
}

#[test]
fn spans_that_take_turns_within_windows_are_one_phase() {
    let profile = profile();
    let both =
        |says| ["token/attention", "token/mlp"].map(|span| row(span, "token", says)).to_vec();
    assert_eq!(of(&profile, &turns(), &[(700, 100); 3]), both(MEMORY));
    let far = Says::Nothing(Abstained::BothFar);
    assert_eq!(of(&profile, &turns(), &[(450, 450); 3]), both(far));
    assert_eq!(of(&profile, &turns(), &[(700, 100); 2]), [], "too few");
}

#[test]
fn a_small_part_of_a_phase_may_be_something_else() {
    // device   |attention|m|attention|m| ...      45 and 5 ms
    let profile = profile();
    let drawing = (0..15).fold(Drawing::new(), |drawing, at: u64| {
        let drawing = launch(drawing, span(1), 7, 50 * at, 50 * at + 45);
        launch(drawing, span(2), 7, 50 * at + 45, 50 * at + 50)
    });
    let found = of(&profile, &drawing, &[(700, 100); 3]);
    assert_eq!(found, [row(ATTENTION, ATTENTION, MEMORY)]);
}

#[test]
fn what_others_do_at_the_same_time_is_not_a_matter_of_a_span() {
    // stream 7   |-----attention-----|
    // stream 8   |-------mlp---------|      one device, whose counters tell of both
    let profile = profile();
    let drawing = launch(Drawing::new(), span(1), 7, 0, 700);
    let together = launch(drawing.clone(), span(2), 8, 0, 700);
    let expected = ["token/attention", "token/mlp"].map(|span| row(span, "token", MEMORY));
    assert_eq!(of(&profile, &together, &[(900, 50); 3]), expected);
    // Of another request, which has nothing in common with this one.
    let foreign = launch(drawing, span(3), 8, 0, 700);
    assert_eq!(of(&profile, &foreign, &[(900, 50); 3]), []);
}

#[test]
fn the_same_function_elsewhere_is_another_phase() {
    // device   |--token/attention--|        |p/a|      |p/a|        bursts of 30 ms, which fill no window
    let profile = profile();
    let drawing = launch(Drawing::new(), span(1), 7, 0, 700);
    let drawing =
        (10..20).fold(drawing, |drawing, at| launch(drawing, span(4), 7, 100 * at, 100 * at + 30));
    let found = of(&profile, &drawing, &[(850, 50); 8]);
    assert_eq!(found, [row(ATTENTION, ATTENTION, MEMORY)]);
}

#[test]
fn a_few_windows_do_not_speak_for_all_kernels_of_a_span() {
    // device   |--attention--|at|mlp|at|mlp| ...   the windows of `token` hold most of its kernels
    let profile = profile();
    let alone = launch(Drawing::new(), span(1), 7, 0, 700);
    let drawing = (0..80).fold(alone, |drawing, at: u64| {
        let own = span(if at.is_multiple_of(2) { 1 } else { 2 });
        launch(drawing, own, 7, 700 + 50 * at, 750 + 50 * at)
    });
    let mut parts = vec![(900, 50); 3];
    parts.extend([(100, 800); 20]);
    let found = of(&profile, &drawing, &parts);
    let expected = ["token/attention", "token/mlp"].map(|span| row(span, "token", COMPUTE));
    assert_eq!(found, expected);
}

#[test]
fn windows_in_which_the_device_idles_say_nothing() {
    // device   |--|   |--|   |--|      60 of 100 ms
    let profile = profile();
    let drawing = (0..8)
        .fold(Drawing::new(), |drawing, at| launch(drawing, span(1), 7, 100 * at, 100 * at + 60));
    assert_eq!(of(&profile, &drawing, &[(550, 10); 3]), []);
    // 90 of 100: what is counted is of the time in which kernels run.
    let drawing = (0..8)
        .fold(Drawing::new(), |drawing, at| launch(drawing, span(1), 7, 100 * at, 100 * at + 90));
    let found = of(&profile, &drawing, &[(550, 10); 3]);
    assert_eq!(found, [row(ATTENTION, ATTENTION, MEMORY)]);
}

#[test]
fn windows_count_by_their_time() {
    let profile = profile();
    let drawing = launch(Drawing::new(), span(1), 7, 0, 2000);
    let mut parts = [(800, 10); 8];
    let one = |says| vec![row(ATTENTION, ATTENTION, says)];
    parts[3] = (100, 10);
    assert_eq!(of(&profile, &drawing, &parts), one(MEMORY));
    (parts[4], parts[5]) = ((100, 10), (100, 10));
    assert_eq!(of(&profile, &drawing, &parts), one(Says::Nothing(Abstained::Between)));
    // Merged windows are as long as what they were made of.
    let mut merged = windows(&profile, &[(800, 10), (100, 10), (100, 10), (100, 10)]);
    let first_ns = 1100 * MS;
    merged[0].until_ns += first_ns;
    for later in &mut merged[1..] {
        later.from_ns += first_ns - 100 * MS;
        later.until_ns = later.from_ns + 40 * MS;
    }
    let phases = phases(&profile, &drawing, &merged);
    let (_, counted) = phases.of_span(&profile, 0, span(1)).unwrap();
    assert_eq!((counted.says, counted.windows), (MEMORY, 4));
}

#[test]
fn a_unit_that_is_not_counted_may_be_the_one() {
    let profile = profile();
    let drawing = launch(Drawing::new(), span(1), 7, 0, 700);
    let mut windows = windows(&profile, &[(850, 50); 3]);
    for window in &mut windows {
        window.units[0] = None;
    }
    let phases = phases(&profile, &drawing, &windows);
    let (owner, counted) = phases.of_span(&profile, 0, span(1)).unwrap();
    assert_eq!((owner, counted.says), (span(1), Says::Nothing(Abstained::NoCeiling)));
    assert_eq!(counted.evidence()[0].value.to_bits(), 85.0_f64.to_bits());
}

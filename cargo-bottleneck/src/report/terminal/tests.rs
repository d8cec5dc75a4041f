//! The pages for a few runs, and what holds for every page.

use super::*;
use crate::analysis::fixture::{MS, context, report, sampled_report, streams, two_phases};
use crate::profile::builder::ProfileBuilder;
use crate::report::escape::columns;
use crate::report::model::Exit;

const PLAIN: Look = Look { color: false, bars: false };
const FULL: Look = Look { color: true, bars: true };

/// Checks what holds for every page, and returns the one with bars and without colors.
#[track_caller]
fn page(summary: &Summary) -> String {
    let shown = render(summary, Look { color: false, bars: true });
    for line in shown.lines() {
        assert!(columns(line) <= 80, "{} columns: {line}", columns(line));
        assert!(!line.ends_with(' '), "{line:?}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    let colored = render(summary, FULL);
    assert_eq!(
        anstream::adapter::strip_str(&colored).to_string(),
        shown,
        "colors carry no meaning"
    );
    assert!(!render(summary, PLAIN).contains('█'));
    assert!(columns(&short(summary)) <= 80 && !short(summary).contains('\n'));
    shown
}

#[test]
fn a_transformer() {
    let builder = two_phases(300, 700).lost(3, 0);
    insta::assert_snapshot!(page(&report(&builder, &context()).0));
}

#[test]
fn the_functions_inside_a_finding_are_named() {
    let samples = [
        ("matmul", "app::math::matvec", 81, false),
        ("matmul", "app::math::softmax::<f32>", 15, false),
        ("matmul", "app::rope", 1, false),
        ("matmul", "rayon::in_a_pool", 7, true),
        ("generate", "app::sample_top_p", 9, false),
    ];
    let shown = page(&sampled_report(&two_phases(0, 700), &samples).0);
    assert!(shown.contains("        hot inside: matvec 84%, softmax::<f32> 15%\n"), "{shown}");
    let of_pool = [("matmul", "rayon::in_a_pool", 7, true)];
    let shown = page(&sampled_report(&two_phases(0, 700), &of_pool).0);
    assert!(shown.contains("hot inside: in_a_pool 100%\n"), "{shown}");
    let long = "a_very_long_name_of_a_function_that_goes_on_".repeat(4);
    let samples: Vec<_> = (0..9).map(|_| ("matmul", long.as_str(), 9, false)).collect();
    assert!(page(&sampled_report(&two_phases(0, 700), &samples).0).contains("hot inside: a_very"));
}

#[test]
fn a_run_that_was_killed_with_spans_open() {
    let builder = ProfileBuilder::new(1_000 * MS).cut().thread("main", |main| {
        main.open("serve", 10 * MS, |serve| {
            serve.span("decode", 20 * MS..400 * MS, |decode| streams(decode, 380));
            serve.open("write_reply", 700 * MS, |_| ());
        });
        main.waits_since(710 * MS, false);
    });
    let mut context = context();
    context.exit = Exit { code: None, signal: Some(9) };
    insta::assert_snapshot!(page(&report(&builder, &context).0));
}

#[test]
fn an_inconclusive_run_says_what_would_settle_it() {
    let builder = ProfileBuilder::new(100 * MS).span("tokenize", 0..80 * MS, |_| ());
    insta::assert_snapshot!(page(&report(&builder, &context()).0));
}

#[test]
fn several_threads_and_asserted_io() {
    let builder =
        ["main", "loader"].into_iter().fold(ProfileBuilder::new(200 * MS), |builder, name| {
            builder.thread(name, |thread| {
                thread.span("gemv", 0..80 * MS, |gemv| streams(gemv, 40)).span(
                    "read_weights",
                    80 * MS..190 * MS,
                    |read| {
                        read.owner("app::store::Weights<f16>")
                            .asserted(Kind::Io)
                            .blocked(90 * MS)
                            .preempted(5 * MS);
                    },
                );
            })
        });
    insta::assert_snapshot!(page(&report(&builder, &context()).0));
}

#[test]
fn names_that_a_terminal_would_obey_are_shown_and_long_ones_cut() {
    let evil = "\u{1b}[2J\u{202e}x\r\n";
    let long = "a_very_long_name_of_a_function_that_goes_on_and_on_".repeat(4);
    let wide = "层".repeat(60);
    let builder = ProfileBuilder::new(100 * MS).span(evil, 0..90 * MS, |outer| {
        outer.span(&long, 0..80 * MS, |inner| {
            inner.span(&wide, 0..70 * MS, |widest| streams(widest, 70));
        });
        outer.keyed("k", Some(evil), 80 * MS..85 * MS, |keyed| streams(keyed, 5));
    });
    let mut context = context();
    context.program = evil.into();
    context.warnings = vec![evil.into()];
    let shown = page(&report(&builder, &context).0);
    assert!(shown.contains('…'), "{shown}");
}

#[test]
fn nothing_recorded() {
    insta::assert_snapshot!(page(&report(&ProfileBuilder::new(100 * MS), &context()).0));
}

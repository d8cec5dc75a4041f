//! Damaged profiles, all the way from their bytes to every output: no panic, and what holds for every output holds.

use proptest::prelude::*;
use serde_json::Value;

use super::escape::{LEFT_TO_RIGHT, columns, is_obeyed};
use super::hostile_tests;
use super::terminal::{self, Look};
use super::{folded, json, svg};
use crate::analysis::fixture::{MS, computes, context, streams};
use crate::analysis::{analyze, summarize, working_threads};
use crate::kind::Kind;
use crate::profile::builder::ProfileBuilder;
use crate::profile::load;

/// Some of everything that a profile can hold.
fn rich() -> Vec<u8> {
    ProfileBuilder::new(1_000 * MS)
        .cut()
        .cpus(4, 900 * MS)
        .lost(3, 5)
        .capability("context_switches", Some("perf_event_paranoid is 4"))
        .thread("main", |main| {
            main.span("serve", 0..800 * MS, |serve| {
                serve.request();
                serve.keyed("forward", Some("prefill"), 10 * MS..300 * MS, |forward| {
                    forward.span("matmul", 10 * MS..200 * MS, |matmul| computes(matmul, 190));
                    forward.span("matmul", 200 * MS..210 * MS, |_| ());
                });
                serve.keyed("forward", Some("decode"), 300 * MS..700 * MS, |forward| {
                    forward.span("gemv", 300 * MS..600 * MS, |gemv| streams(gemv, 300));
                    forward.blocked(40 * MS).preempted(5 * MS);
                });
            });
            main.open("open", 900 * MS, |open| {
                open.open("inner", 950 * MS, |_| ());
            });
            main.waits_since(960 * MS, false);
        })
        .thread("loader-1", |loader| {
            loader.span("read", 100 * MS..400 * MS, |read| {
                read.owner("app::Weights<f16>").asserted(Kind::Io).blocked(200 * MS);
            });
            loader.thread_clock(900 * MS, 300 * MS);
        })
        .thread("runtime", |runtime| {
            runtime.span("poll", 5 * MS..50 * MS, |poll| {
                poll.polled(30, 400 * MS).cpu(40 * MS, 30 * MS);
            });
        })
        .image()
}

/// Whether it is a profile; if it is, everything is made of it.
fn survives(bytes: &[u8]) -> bool {
    let Ok((profile, warnings)) = load(bytes, Some(2_500 * MS)) else {
        return false;
    };
    let mut context = context();
    context.warnings = warnings.iter().map(ToString::to_string).collect();
    assert!(working_threads(&profile) > 0);
    let analysis = analyze(&profile, &context);
    let (summary, frame) = summarize(&profile, &analysis, &context);
    for look in [Look { color: true, bars: true }, Look::default()] {
        let page = terminal::render(&summary, look);
        let plain = anstream::adapter::strip_str(&page).to_string();
        for line in plain.lines() {
            assert!(columns(line) <= 80, "{line}");
            assert!(!line.chars().any(|c| is_obeyed(c) && c != LEFT_TO_RIGHT), "{line:?}");
        }
    }
    assert!(columns(&terminal::short(&summary)) <= 80);
    let value: Value = serde_json::from_str(&json::render(&summary)).unwrap();
    assert_eq!(value["schema"], 1);
    assert!(folded::render(&frame.children).lines().all(|line| line.contains(' ')));
    let picture = svg::render(&summary, &frame.children).unwrap();
    hostile_tests::read(&picture);
    true
}

#[test]
fn the_undamaged_profile_is_reported_on() {
    assert!(survives(&rich()));
}

#[test]
fn a_profile_cut_anywhere_is_reported_on() {
    let bytes = rich();
    for cut in (0..bytes.len()).step_by(499) {
        survives(&bytes[..cut]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_survived(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<[u8; 8]>(), 1_usize..=8), 1..60)) {
        let mut bytes = rich();
        for (at, value, len) in damage {
            let at = at.index(bytes.len() - 8);
            bytes[at..at + len].copy_from_slice(&value[..len]);
        }
        survives(&bytes);
    }

    #[test]
    fn random_numbers_behind_the_header_are_survived(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>(), 0_u32..64), 1..30)) {
        let mut bytes = rich();
        for (at, value, shift) in damage {
            // Whole words, often small: references, lengths and counts that almost fit.
            let at = 4096 + at.index((bytes.len() - 4096) / 8 - 1) * 8;
            bytes[at..at + 8].copy_from_slice(&(value >> shift).to_ne_bytes());
        }
        prop_assert!(survives(&bytes));
    }

    #[test]
    fn random_times_in_the_header_are_survived(damage in prop::collection::vec((7_usize..24, any::<u64>(), 0_u32..64), 1..6)) {
        let mut bytes = rich();
        for (word, value, shift) in damage {
            bytes[word * 8..word * 8 + 8].copy_from_slice(&(value >> shift).to_ne_bytes());
        }
        survives(&bytes);
    }
}

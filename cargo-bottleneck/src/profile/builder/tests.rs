//! What lanes make of trees; what they make of snapshots is in the tests of the loader.

use super::*;
use crate::profile::snapshots::Target;
use crate::profile::{CpuClock, Path};

const MS: u64 = 1_000_000;

fn drawn() -> ProfileBuilder {
    ProfileBuilder::new(0).lanes(
        MS,
        vec![
            Lane::new(
                "main",
                "aaWW Waap",
                &[
                    ('a', runs(&["ask"])),
                    ('W', waits(&["ask"], futex(0x10))),
                    ('p', preempted(&["ask", "sort"])),
                ],
            ),
            Lane::new(
                "model",
                "wmdm www.",
                &[
                    ('w', waits(&[], futex(0x20))),
                    ('m', runs(&["serve", "forward[prefill]"])),
                    ('d', waits(&["serve", "forward[decode]"], read(Target::PlainFile))),
                ],
            ),
            Lane::new("rayon", "...rrrrr", &[('r', runs(&[]))]),
        ],
    )
}

#[track_caller]
fn path<'a>(profile: &'a Profile, names: &str) -> &'a Path {
    let label = |path: &Path| match &path.key {
        Some(key) => format!("{}[{key}]", profile.sites[path.site].name),
        None => profile.sites[path.site].name.clone(),
    };
    let whole = |path: &Path| {
        let mut res = label(path);
        let mut around = path.parent;
        while let Some(parent) = around {
            res = format!("{}/{res}", label(&profile.spans[parent]));
            around = profile.spans[parent].parent;
        }
        res
    };
    profile.spans.values().iter().find(|path| whole(path) == names).expect(names)
}

#[test]
fn lanes_become_trees_whose_times_are_those_of_their_moments() {
    let profile = drawn().build();
    assert_eq!(profile.life_ns, 8 * MS);
    let names: Vec<&str> =
        profile.threads.values().iter().map(|thread| thread.name.as_str()).collect();
    assert_eq!(names, ["main", "model"], "a thread without spans has no tree");
    assert_eq!(
        profile.threads.values()[1].clock,
        Some(CpuClock { wall_ns: 8 * MS, cpu_ns: 2 * MS })
    );
    let of = |names| {
        let path = path(&profile, names);
        (path.calls, path.total_ns / MS, path.blocked_ns / MS, path.preempted_ns / MS)
    };
    assert_eq!(of("ask"), (1, 8, 3, 0));
    assert_eq!(of("ask/sort"), (1, 1, 0, 1));
    assert_eq!(of("serve"), (1, 3, 0, 0));
    assert_eq!(of("serve/forward[prefill]"), (2, 2, 0, 0));
    assert_eq!(of("serve/forward[decode]"), (1, 1, 1, 0));
}

#[test]
fn paths_that_are_described_keep_their_times() {
    let profile = drawn().span("ask", 0..5 * MS, |_| ()).build();
    assert_eq!(path(&profile, "ask").total_ns, 5 * MS);
    assert_eq!(path(&profile, "ask").blocked_ns, 0);
    assert_eq!(path(&profile, "ask/sort").total_ns, MS);
}

#[test]
fn work_is_declared_by_time_and_covers_what_declares_none_itself() {
    let profile = drawn()
        .declare("ask", 2.0, 1.0, Dtype::F32)
        .declare_wall("serve", 0.0, 1.0, Dtype::F32)
        .declare("forward[prefill]", 1.0, 0.0, Dtype::I8)
        .build();
    let work = |names| {
        let work = path(&profile, names).work.unwrap();
        (work.flops / MS as f64, work.bytes / MS as f64)
    };
    assert_eq!(work("ask"), (8.0, 4.0));
    assert_eq!(work("serve"), (0.0, 1.0), "decode is covered, prefill speaks for itself");
    assert_eq!(work("serve/forward[prefill]"), (2.0, 0.0));
    assert_eq!(path(&profile, "serve/forward[decode]").work, None);
}

#[test]
fn sites_are_marked_by_name() {
    let profile = drawn()
        .mark("ask", Mark::Request)
        .mark("forward", Mark::Async)
        .assert_kind("serve", Kind::Io)
        .build();
    let site = |names| &profile.sites[path(&profile, names).site];
    assert!(site("ask").is_request);
    assert!(!site("ask/sort").is_request);
    assert_eq!(site("serve").asserted, Some(Kind::Io));
    let polled = path(&profile, "serve/forward[prefill]");
    assert_eq!((polled.calls, polled.polling.unwrap().polls), (1, 2));
}

#[test]
#[should_panic(expected = "lane model has 3 moments, the first 2")]
fn lanes_of_different_lengths_are_a_mistake() {
    let legend = [('a', runs(&[]))];
    let lanes = vec![Lane::new("main", "a a", &legend), Lane::new("model", "aaa", &legend)];
    let _ = ProfileBuilder::new(0).lanes(MS, lanes);
}

#[test]
#[should_panic(expected = "the legend of lane main lacks 'b'")]
fn a_character_without_a_meaning_is_a_mistake() {
    let _ = Lane::new("main", "ab", &[('a', runs(&[]))]);
}

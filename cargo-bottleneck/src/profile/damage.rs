//! Damaged files: cut at every byte, flipped at every byte, and broken at random.

use bottleneck_runtime::format::{
    ChunkKind, HEADER_BYTES, NodeData, SnapshotsData, TaskData, TreeData,
};
use proptest::prelude::*;

use super::builder::{Lane, ProfileBuilder, futex, read, runs, waits, woken};
use super::image::{Entry, Image, Table};
use super::snapshots::{Target, Throttling};
use super::*;

/// Two threads with a tree of some breadth and depth, a key, work, waits, an open span and an asynchronous one.
fn small() -> ProfileBuilder {
    ProfileBuilder::new(1_000_000)
        .cut()
        .capability("context_switches", None)
        .span("serve", 1_000..400_000, |serve| {
            serve.keyed("forward", Some("prefill"), 2_000..102_000, |forward| {
                forward.span("matmul", 2_000..80_000, |matmul| {
                    matmul.work(1e6, 2e5, Dtype::F32).preempted(300);
                });
                forward.span("matmul", 81_000..90_000, |_| ());
            });
            serve.keyed("forward", Some("decode"), 110_000..300_000, |forward| {
                forward.blocked(4_000);
            });
        })
        .thread("main", |main| {
            main.span("late", 0..0, |_| ());
            main.waits_since(950_000, false);
        })
        .thread("worker-1", |worker| {
            worker.span("poll", 5_000..50_000, |poll| {
                poll.polled(3, 70_000).cpu(40_000, 30_000);
            });
            worker.thread_clock(900_000, 300_000);
        })
}

fn with_open_span() -> Vec<u8> {
    let mut builder = small();
    builder = builder.thread("opener", |opener| {
        opener.open("outer", 600_000, |outer| {
            outer.span("inner", 600_000..700_000, |_| ());
        });
    });
    builder.image()
}

/// The same threads and one without spans at ten moments, samples of two paths, and what the machine took.
fn with_snapshots() -> ProfileBuilder {
    let lanes = vec![
        Lane::new(
            "main",
            "saab.dbWW.",
            &[
                ('s', runs(&["serve"])),
                ('a', runs(&["serve", "forward[prefill]"])),
                ('b', runs(&["serve", "forward[prefill]", "matmul"])),
                ('d', woken(&["serve", "forward[decode]"])),
                ('W', waits(&["late"], futex(0x10))),
            ],
        ),
        Lane::new(
            "worker-1",
            ".ppRRpp..p",
            &[('p', runs(&["poll"])), ('R', waits(&["poll"], read(Target::PlainFile)))],
        ),
        Lane::new("pool", "...rrrr..r", &[('r', runs(&[]))]),
    ];
    let throttling = Throttling {
        quota_ns: 5,
        period_ns: 10,
        periods: 7,
        throttled_periods: 2,
        throttled_ns: 3,
    };
    small()
        .lanes(90_000, lanes)
        .async_requests("0011200000")
        .stalled(3, 20_000)
        .samples("forward", 30, 2)
        .samples("poll", 4, 0)
        .sampled_adopted("poll", 0x5555_0000_1003, 6)
        .mapped(0x5555_0000_0000..0x5555_0000_2000, 0x1000, "/bin/small")
        .code(0x5555_0000_10f8, &[0x48, 0x8b, 0x07, 0x90, 0x48, 0x8b, 0x0e, 0x90, 0xc3])
        .access("matmul", |access| {
            access.at(70_000).since(10_000).sampled(0x5555_0000_10fb).address(0x7000_0000);
            access.probe(0x7000_4000, 290).probe(0x7000_8000, 55);
        })
        .access("poll", |access| {
            access.at(20_000).since(6_000).sampled(0x5555_0000_10ff).thread(1).faults(2).adopted();
        })
        .steal_ppm(20_000)
        .throttled(throttling)
        .affinity(2)
}

/// Every sum of a loaded profile stays within the run.
#[track_caller]
fn assert_fits(profile: &Profile) {
    let total = |spans: &mut dyn Iterator<Item = SpanIdx>| -> u64 {
        spans.map(|span| profile.spans[span].total_ns).sum()
    };
    for (thread, record) in profile.threads.iter() {
        assert!(total(&mut profile.outermost(thread)) <= profile.life_ns, "thread {thread:?}");
        assert!(record.spans.end <= profile.spans.len());
        if let Some(clock) = record.clock {
            assert!(clock.cpu_ns <= clock.wall_ns);
        }
        assert!(record.pending.is_none_or(|pending| pending.lasted_ns <= profile.life_ns));
    }
    for (span, path) in profile.spans.iter() {
        assert!(total(&mut profile.children(span)) <= path.total_ns, "{span:?}");
        assert!(path.open_ns.unwrap_or(0) <= path.total_ns);
        assert!(path.parent.is_none_or(|parent| parent < span));
        assert!(path.end > span.position() && path.end <= profile.spans.len());
        assert!(profile.sites.get(path.site).is_some());
        assert!(path.min_ns <= path.p50_ns || path.p50_ns.is_none());
        assert!(path.p99_ns <= path.max_ns);
        assert!(path.work.is_none_or(|work| work.flops.is_finite() && work.bytes >= 0.0));
    }
    assert_moments_fit(profile);
}

/// The moments stand for at most the run, and everything that they name is there.
#[track_caller]
fn assert_moments_fit(profile: &Profile) {
    let Snapshots { tasks, moments, doings, .. } = &profile.snapshots;
    assert!(moments.iter().map(|moment| moment.weight_ns).sum::<u64>() <= profile.life_ns);
    let (mut before_ns, mut first) = (0, 0);
    for moment in moments {
        assert_eq!(moment.at_ns, before_ns + moment.weight_ns);
        assert!(moment.weight_ns > 0 && moment.stalled_ns <= moment.weight_ns);
        assert_eq!(moment.doings.start, first);
        (before_ns, first) = (moment.at_ns, moment.doings.end);
        let mut named: Vec<TaskIdx> =
            profile.snapshots.doings(moment).iter().map(|doing| doing.task).collect();
        assert_eq!(named.len(), moment.doings.len());
        named.sort_unstable();
        assert!(named.is_sorted_by(|a, b| a < b), "a task did two things: {named:?}");
    }
    assert_eq!(first, doings.len());
    for doing in doings {
        let task = &tasks[doing.task];
        assert!(doing.span.is_none_or(|span| Some(profile.spans[span].thread) == task.thread));
    }
    for task in tasks.values() {
        assert!(task.thread.is_none_or(|thread| profile.threads.get(thread).is_some()));
    }
    for sampled in profile.samples.iter().flat_map(Column::values) {
        assert!(sampled.spinning <= sampled.n);
    }
    assert!(profile.samples.as_ref().is_none_or(|samples| samples.len() == profile.spans.len()));
    assert_sampling_fits(profile);
    let Conditions { steal_ppm, throttling, .. } = profile.conditions;
    assert!(steal_ppm.is_none_or(|ppm| ppm <= 1_000_000));
    assert!(throttling.is_none_or(|it| it.throttled_periods <= it.periods));
}

/// Samples are of paths that are there, in the run, and code is in order.
#[track_caller]
fn assert_sampling_fits(profile: &Profile) {
    let Some(Sampling { counted, accesses, code, .. }) = &profile.sampling else { return };
    let spans = counted.iter().map(|it| it.span).chain(accesses.iter().map(|it| it.span));
    assert!(spans.into_iter().all(|span| profile.spans.get(span).is_some()));
    assert!(accesses.is_sorted_by_key(|it| it.at_ns));
    for access in accesses {
        assert!(access.at_ns <= profile.life_ns);
        assert!(access.phase_ns.is_none_or(|ns| ns <= profile.life_ns));
    }
    assert!(code.blocks.iter().all(|it| it.start.checked_add(it.bytes.len() as u64).is_some()));
    assert!(code.blocks.is_sorted_by(|a, b| a.start + a.bytes.len() as u64 <= b.start));
    assert!(code.maps.iter().all(|map| map.start < map.end));
    assert!(code.maps.is_sorted_by(|a, b| a.end <= b.start));
    if let Some(samples) = &profile.samples {
        let own: u64 = counted.iter().filter(|it| !it.is_adopted).map(|it| it.n).sum();
        assert_eq!(own, samples.values().iter().map(|it| it.n).sum::<u64>());
    }
}

fn check(bytes: &[u8]) -> bool {
    for death in [None, Some(1_001_500_000), Some(u64::MAX)] {
        match load(bytes, death) {
            Ok((profile, _)) => assert_fits(&profile),
            Err(_) => return false,
        }
    }
    true
}

#[test]
fn the_undamaged_file_has_no_warning_and_every_path() {
    let (profile, warnings) = load(&with_open_span(), None).unwrap();
    assert_eq!(warnings, []);
    let names: Vec<&str> =
        profile.spans.values().iter().map(|path| profile.sites[path.site].name.as_str()).collect();
    assert_eq!(names, ["serve", "forward", "matmul", "forward", "late", "outer", "inner", "poll"]);
    assert_eq!(profile.spans.values()[2].calls, 2);
    assert_eq!(profile.spans.values()[1].key.as_deref(), Some("prefill"));
    assert_eq!(profile.life_ns, 1_000_000);
    let outer = SpanIdx::from_position(5);
    assert!(profile.is_open(outer));
    assert_eq!((profile.spans[outer].total_ns, profile.spans[outer].calls), (400_000, 0));
    assert_fits(&profile);
}

#[test]
fn the_undamaged_moments_are_all_there() {
    let profile = with_snapshots().build();
    assert_eq!(profile.snapshots.moments.len(), 10);
    assert_eq!((profile.snapshots.tasks.len(), profile.snapshots.doings.len()), (3, 20));
    assert_eq!(profile.snapshots.doings.iter().filter(|doing| doing.span.is_some()).count(), 15);
    assert_eq!(profile.samples.as_ref().unwrap().values().iter().map(|it| it.n).sum::<u64>(), 64);
    let sampling = profile.sampling.as_ref().unwrap();
    assert_eq!((sampling.counted.len(), sampling.accesses.len()), (6, 2));
    assert_eq!((sampling.code.maps.len(), sampling.code.blocks.len()), (1, 1));
    assert!(profile.conditions.throttling.is_some() && profile.conditions.steal_ppm.is_some());
    assert_fits(&profile);
}

#[test]
fn a_file_cut_at_any_byte_is_read_as_far_as_it_goes() {
    for (whole, paths, moments) in [(with_open_span(), 8, 0), (with_snapshots().image(), 6, 10)] {
        let mut most = (0, 0);
        for cut in 0..=whole.len() {
            let is_read = check(&whole[..cut]);
            // The header is what makes it a profile; behind it every cut can be read.
            assert!(is_read || cut < HEADER_BYTES, "cut at {cut}");
            if is_read {
                let profile = load(&whole[..cut], None).unwrap().0;
                let read = (profile.spans.len(), profile.snapshots.moments.len());
                assert!(most.0 <= read.0 && most.1 <= read.1, "less at {cut} than before");
                most = read;
            }
        }
        assert_eq!(most, (paths, moments));
    }
}

#[test]
fn any_flipped_byte_leaves_the_sums_within_the_run() {
    for mut bytes in [with_open_span(), with_snapshots().image()] {
        for at in 0..bytes.len() {
            for mask in [0x01, 0x40, 0x80, 0xFF] {
                bytes[at] ^= mask;
                check(&bytes);
                bytes[at] ^= mask;
            }
        }
    }
}

#[test]
fn a_tree_whose_links_form_a_circle_ends() {
    let mut image = Image::new();
    (image.header.last_ticks, image.header.last_ns) = (1_000_100_000, 1_000_100_000);
    let slab = image.slab(3);
    let (root, child, grandchild) = (slab, slab + 4, slab + 8);
    image.node(root, &NodeData { first_child: child, ..NodeData::default() });
    image.node(
        child,
        &NodeData {
            site: 1,
            parent: root,
            first_child: grandchild,
            next_sibling: child,
            ..NodeData::default()
        },
    );
    image.node(
        grandchild,
        &NodeData {
            site: 1,
            parent: child,
            first_child: root,
            next_sibling: child,
            ..NodeData::default()
        },
    );
    image.tree(&TreeData { root, ..TreeData::default() });
    image.tree(&TreeData { root, ..TreeData::default() });
    let (profile, warnings) = load(&image.finish(), None).unwrap();
    assert_eq!(profile.spans.len(), 2);
    assert_eq!(profile.threads.len(), 1);
    assert!(
        warnings.iter().any(|warning| warning.damage == Damage::Link && warning.count == 4),
        "{warnings:?}"
    );
}

#[test]
fn a_chain_deeper_than_any_program_is_cut() {
    let mut image = Image::new();
    (image.header.last_ticks, image.header.last_ns) = (1_000_100_000, 1_000_100_000);
    let nodes = 2_000;
    let slab = image.slab(nodes as usize);
    for at in 0..nodes {
        let parent = if at == 0 { 0 } else { slab + (at - 1) * 4 };
        let first_child = if at + 1 == nodes { 0 } else { slab + (at + 1) * 4 };
        image
            .node(slab + at * 4, &NodeData { site: 1, parent, first_child, ..NodeData::default() });
    }
    image.tree(&TreeData { root: slab, ..TreeData::default() });
    let (profile, warnings) = load(&image.finish(), None).unwrap();
    assert_eq!(profile.spans.len(), 128);
    assert!(warnings.iter().any(|warning| warning.damage == Damage::Depth), "{warnings:?}");
}

#[test]
fn a_child_longer_than_its_parent_loses_its_time_and_not_its_siblings() {
    // parent  |----------|          100, sane
    // broken  |- - - - - - - - -    longer than the run
    // sane       |---|              30
    let bytes = ProfileBuilder::new(1_000_000).span("parent", 0..100_000, |parent| {
        parent.span("broken", 0..900_000, |_| ());
        parent.span("sane", 10_000..40_000, |_| ());
    });
    let (profile, warnings) = load(&bytes.image(), None).unwrap();
    let totals: Vec<u64> = profile.spans.values().iter().map(|path| path.total_ns).collect();
    assert_eq!(totals, [100_000, 0, 30_000]);
    assert_eq!(warnings, [Warning { damage: Damage::Time, count: 1 }]);
}

#[test]
fn twenty_thousand_paths_are_read_in_a_moment() {
    let mut builder = ProfileBuilder::new(1_000_000_000);
    for outer in 0..200_u64 {
        builder = builder.span(
            &format!("outer{outer}"),
            outer * 1_000_000..(outer + 1) * 1_000_000,
            |span| {
                for inner in 0..99 {
                    span.span(
                        &format!("inner{inner}"),
                        inner * 10_000..(inner + 1) * 10_000,
                        |_| (),
                    );
                }
            },
        );
    }
    let image = builder.image();
    let began = std::time::Instant::now();
    let (profile, warnings) = load(&image, None).unwrap();
    let took = began.elapsed();
    assert_eq!((profile.spans.len(), warnings.len()), (20_000, 0));
    assert!(took.as_millis() < 1_000, "{took:?}");
}

proptest! {
    #[test]
    fn random_damage_is_survived(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<[u8; 8]>(), 1_usize..=8), 1..40)) {
        let mut bytes = with_snapshots().image();
        for (at, value, len) in damage {
            let at = at.index(bytes.len() - 8);
            bytes[at..at + len].copy_from_slice(&value[..len]);
        }
        check(&bytes);
    }

    #[test]
    fn damage_behind_the_header_is_survived(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>(), 0_u32..64), 1..20)) {
        let mut bytes = with_snapshots().image();
        for (at, value, shift) in damage {
            // Whole words, often small ones: references, lengths and counts that almost fit.
            let words = (bytes.len() - HEADER_BYTES) / 8 - 1;
            let at = HEADER_BYTES + at.index(words) * 8;
            bytes[at..at + 8].copy_from_slice(&(value >> shift).to_ne_bytes());
        }
        prop_assert!(check(&bytes));
    }

    #[test]
    fn noise_behind_a_header_is_survived(noise in prop::collection::vec(any::<u8>(), 0..4_096)) {
        let mut bytes = with_open_span();
        bytes.truncate(HEADER_BYTES);
        bytes.extend(noise);
        prop_assert!(check(&bytes));
    }

    #[test]
    fn random_tables_are_survived(words in prop::collection::vec((any::<u64>(), 0_u32..64), 0..400), active in 0_u32..3) {
        // Snapshots of a few tasks at rising times, as far as chance has it.
        let mut payload = vec![0; 64];
        payload[..4].copy_from_slice(&active.to_ne_bytes());
        payload[8..16].copy_from_slice(&(words.len() as u64 * 8).to_ne_bytes());
        payload.extend(words.iter().flat_map(|(value, shift)| (value >> shift).to_ne_bytes()));
        let mut image = Image::new();
        (image.header.last_ticks, image.header.last_ns) = (1_001_000_000, 1_001_000_000);
        image.chunk(ChunkKind::Tasks, 9, &[1; 256]);
        image.chunk(ChunkKind::Snapshots, 0, &payload);
        image.chunk(ChunkKind::Samples, 0, &payload);
        image.chunk(ChunkKind::Conditions, 0, &payload);
        image.chunk(ChunkKind::Maps, payload.len(), &payload);
        image.chunk(ChunkKind::Code, 9, &payload);
        image.chunk(ChunkKind::Code, 2, &payload[64..]);
        image.chunk(ChunkKind::Accesses, 0, &payload);
        prop_assert!(check(&image.finish()));
    }

    #[test]
    fn moments_stand_for_the_time_between_them(gaps in prop::collection::vec((0_u64..50_000, 0_u32..80, 0_usize..3), 0..40)) {
        let mut image = Image::new();
        (image.header.last_ticks, image.header.last_ns) = (1_001_000_000, 1_001_000_000);
        image.tasks(&[TaskData::default(), TaskData::default()]);
        let mut table = Table::default();
        let mut at = 1_000_000_000;
        let entry = |task| Entry { task, state: 1, ..Entry::default() };
        for &(gap, stalled, tasks) in &gaps {
            at += gap;
            table.snapshot(at, 0, stalled, &[entry(0), entry(1)][..tasks]);
        }
        image.snapshots(SnapshotsData::default(), &table);
        let (profile, _) = load(&image.finish(), None).unwrap();
        assert_fits(&profile);
        let rising = gaps.iter().enumerate().take_while(|&(at, &(gap, ..))| gap > 0 || at == 0);
        let within = rising.map(|(_, gap)| gap.0).sum::<u64>();
        let weights: u64 = profile.snapshots.moments.iter().map(|moment| moment.weight_ns).sum();
        prop_assert_eq!(weights, within.min(profile.life_ns));
    }
}

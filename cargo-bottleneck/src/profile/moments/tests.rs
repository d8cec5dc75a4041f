//! What the loader makes of drawn timelines, and of tables that lie.

use std::time::Instant;

use bottleneck_runtime::format::chunk::chunks;
use bottleneck_runtime::format::snapshot::{ENTRY_BYTES, SNAPSHOT_HEAD_BYTES, TABLE_BYTES};
use bottleneck_runtime::format::{
    ChunkKind, ConditionsData, NodeData, SampleData, SnapshotsData, TaskData, TreeData, conditions,
    samples,
};

use crate::profile::builder::{
    Lane, ProfileBuilder, call, fault, futex, joins, mutex, parked, read, runs, sleep, timed_poll,
    waits, woken,
};
use crate::profile::image::{Entry, Image, Table};
use crate::profile::snapshots::{Call, State, Target, Throttling};
use crate::profile::{
    Conditions, Damage, Doing, Moment, Profile, RowIdx, Sampled, SpanIdx, TaskIdx, Warning, load,
};

const MS: u64 = 1_000_000;
const START_NS: u64 = 1_000 * MS;

/// `lane:span!State` for every task of a moment.
fn line(profile: &Profile, moment: &Moment) -> String {
    let of = |doing: &Doing| {
        let task = &profile.snapshots.tasks[doing.task].name;
        let span =
            doing.span.map_or("-", |span| profile.sites[profile.spans[span].site].name.as_str());
        format!("{task}:{span}!{:?}", doing.state)
    };
    profile.snapshots.doings(moment).iter().map(of).collect::<Vec<_>>().join(" ")
}

fn lines(profile: &Profile) -> Vec<String> {
    profile.snapshots.moments.iter().map(|moment| line(profile, moment)).collect()
}

#[test]
fn a_drawing_is_read_moment_by_moment() {
    let profile = ProfileBuilder::new(5 * MS)
        .lanes(
            MS,
            vec![
                Lane::new(
                    "main",
                    "aWw",
                    &[
                        ('a', runs(&["ask"])),
                        ('W', waits(&["ask", "wait"], mutex(0x10))),
                        ('w', woken(&["ask"])),
                    ],
                ),
                Lane::new(
                    "model",
                    "wm.",
                    &[('w', waits(&[], futex(0x20))), ('m', runs(&["forward"]))],
                ),
                Lane::new("rayon-1", ".rr", &[('r', runs(&[]))]),
            ],
        )
        .async_requests("01 2")
        .stalled(1, 300_000)
        .stalled(2, 90 * MS)
        .build();
    assert_eq!(
        lines(&profile),
        [
            "main:ask!Running model:-!Blocked",
            "main:wait!Blocked model:forward!Running rayon-1:-!Running",
            "main:ask!Woken rayon-1:-!Running",
        ]
    );
    let moments = &profile.snapshots.moments;
    let times: Vec<(u64, u64, u64, u32)> = moments
        .iter()
        .map(|it| (it.at_ns / MS, it.weight_ns / MS, it.stalled_ns, it.async_requests))
        .collect();
    assert_eq!(times, [(1, 1, 0, 0), (2, 1, 300_000, 1), (3, 1, MS, 2)]);
    let tasks = profile.snapshots.tasks.values();
    let threads: Vec<Option<usize>> =
        tasks.iter().map(|task| Some(task.thread?.position())).collect();
    assert_eq!(threads, [Some(0), Some(1), None]);
    assert!(tasks[0].is_main && !tasks[1].is_main);
    assert_eq!((tasks[0].cpu_ns, tasks[2].cpu_ns), (0, 2 * MS));
    assert_eq!((profile.snapshots.period_ns, profile.snapshots.taken), (MS, 3));
    assert_eq!(profile.life_ns, 5 * MS);
}

#[test]
fn what_a_task_waits_in_is_kept() {
    let legend = [
        ('m', waits(&[], mutex(0x10))),
        ('p', waits(&[], parked(0x20))),
        ('j', waits(&[], joins("model"))),
        ('f', waits(&[], fault())),
        ('s', waits(&[], sleep())),
        ('r', waits(&[], read(Target::PipeEnd))),
        ('t', waits(&[], timed_poll())),
        ('i', waits(&[], call(Call::Ioctl))),
    ];
    let profile = ProfileBuilder::new(0)
        .lanes(
            MS,
            vec![
                Lane::new("main", "mpjfsrti", &legend),
                Lane::new("model", "........", &[('r', runs(&[]))]),
            ],
        )
        .build();
    let waits: Vec<(Call, Target, bool, u64, u32)> = profile
        .snapshots
        .doings
        .iter()
        .map(|it| (it.call, it.target, it.is_timed, it.argument, it.value))
        .collect();
    let model = profile.snapshots.tasks.values()[1].tid;
    assert_eq!(
        waits,
        [
            (Call::Futex, Target::Unknown, false, 0x10, 2),
            (Call::Futex, Target::Unknown, false, 0x20, u32::MAX),
            (Call::Futex, Target::Unknown, false, 0x7f00_0000_0910, model),
            (Call::Fault, Target::Unknown, false, 0, 0),
            (Call::Sleeping, Target::Unknown, true, 0, 0),
            (Call::Reading, Target::PipeEnd, false, 5, 0),
            (Call::Polling, Target::Anonymous, true, 5, 0),
            (Call::Ioctl, Target::Unknown, false, 0, 0),
        ]
    );
}

/// A file of 100 ms with the trees of `main` (`ask`) and `model` (`serve`).
struct File {
    image: Image,
    roots: [u32; 2],
    nodes: [u32; 2],
}

fn file() -> File {
    let mut image = Image::new();
    let end = START_NS + 100 * MS;
    (image.header.last_ticks, image.header.last_ns, image.header.end_ns) = (end, end, end);
    image.anchors(&[(START_NS, START_NS), (end, end)]);
    let mut tree = || {
        let slab = image.slab(2);
        image.node(slab, &NodeData { first_child: slab + 4, ..NodeData::default() });
        let data = NodeData {
            site: slab,
            parent: slab,
            total: MS,
            count: 1,
            min: MS,
            max: MS,
            ..NodeData::default()
        };
        image.node(slab + 4, &data);
        image.tree(&TreeData {
            root: slab,
            first_ns: START_NS + u64::from(slab),
            ..TreeData::default()
        });
        slab
    };
    let roots = [tree(), tree()];
    File { image, roots, nodes: roots.map(|root| root + 4) }
}

impl File {
    fn tasks(mut self) -> Self {
        let [main, model] = self.roots;
        let of = |root| TaskData { root, threads: 1, ..TaskData::default() };
        self.image.tasks(&[of(main), of(model), of(0)]);
        self
    }

    fn table(mut self, active: u32, table: &Table) -> (Profile, Vec<Damage>) {
        self.image.snapshots(SnapshotsData { active, taken: 9, ..SnapshotsData::default() }, table);
        self.load()
    }

    fn load(self) -> (Profile, Vec<Damage>) {
        let (profile, warnings) = load(&self.image.finish(), None).unwrap();
        // The nodes name sites that are not there.
        let damages = warnings.iter().map(|warning| warning.damage);
        (profile, damages.filter(|&damage| damage != Damage::Site).collect())
    }
}

fn runs_at(task: u32, node: u32) -> Entry {
    Entry { task, node, state: State::Running as u8, ..Entry::default() }
}

#[test]
fn either_table_can_be_the_one_that_counts() {
    for active in [0, 1] {
        let mut table = Table::default();
        table.snapshot(START_NS + 2 * MS, 0, 0, &[runs_at(1, 0)]);
        table.snapshot(START_NS + 6 * MS, 0, 0, &[]);
        let (profile, damages) = file().tasks().table(active, &table);
        let weights: Vec<u64> =
            profile.snapshots.moments.iter().map(|it| it.weight_ns / MS).collect();
        assert_eq!((weights, damages), (vec![2, 4], vec![]), "table {active}");
        assert_eq!(profile.snapshots.taken, 9);
    }
    let (profile, damages) = file().tasks().table(2, &Table::default());
    assert!(profile.snapshots.moments.is_empty());
    assert_eq!(damages, [Damage::Record]);
}

#[test]
fn snapshots_end_where_time_does_not_rise() {
    let mut table = Table::default();
    for at in [1, 2, 2, 3] {
        table.snapshot(START_NS + at * MS, 0, 0, &[]);
    }
    let (profile, damages) = file().tasks().table(0, &table);
    assert_eq!(profile.snapshots.moments.len(), 2);
    assert_eq!(damages, [Damage::Snapshot]);
}

#[test]
fn a_snapshot_outside_the_run_is_dropped_and_one_at_its_very_end_is_cut_to_it() {
    let mut table = Table::default();
    for at_ns in [5, START_NS + MS, START_NS + 100 * MS + 2_000, START_NS + 101 * MS] {
        table.snapshot(at_ns, 0, 0, &[]);
    }
    let (profile, damages) = file().tasks().table(0, &table);
    let times: Vec<u64> = profile.snapshots.moments.iter().map(|it| it.at_ns).collect();
    assert_eq!(times, [MS, 100 * MS]);
    assert_eq!(damages, [Damage::Snapshot]);
}

#[test]
fn the_snapshots_of_a_run_that_was_cut_extend_its_life() {
    let mut file = file().tasks();
    file.image.header.end_ns = 0;
    let mut table = Table::default();
    table.snapshot(START_NS + 90 * MS, 0, 0, &[]);
    table.snapshot(START_NS + 130 * MS, 0, 0, &[]);
    let (profile, damages) = file.table(0, &table);
    assert_eq!((profile.life_ns, damages), (130 * MS, vec![]));
    assert_eq!(profile.snapshots.moments[1].weight_ns, 40 * MS);
}

#[test]
fn an_entry_that_names_nothing_leaves_the_others() {
    let file = file().tasks();
    let ([main, model], [main_root, _]) = (file.nodes, file.roots);
    let mut table = Table::default();
    let entries = [
        runs_at(0, main),
        runs_at(9, 0),                        // no such task
        Entry { state: 0, ..runs_at(1, 0) },  // no such state
        runs_at(0, main),                     // a second time
        runs_at(1, main),                     // the span of another thread
        Entry { call: 200, ..runs_at(2, 0) }, // of a later version
    ];
    table.snapshot(START_NS + MS, 0, 0, &entries);
    table.snapshot(
        START_NS + 2 * MS,
        0,
        0,
        &[runs_at(0, main_root), runs_at(1, 77), runs_at(2, model)],
    );
    let (profile, warnings) = {
        let mut file = file;
        file.image.snapshots(SnapshotsData::default(), &table);
        load(&file.image.finish(), None).unwrap()
    };
    let read: Vec<(usize, Option<usize>)> = profile
        .snapshots
        .doings
        .iter()
        .map(|it| (it.task.position(), it.span.map(SpanIdx::position)))
        .collect();
    assert_eq!(read, [(0, Some(0)), (2, None), (0, None), (1, None), (2, None)]);
    assert!(warnings.contains(&Warning { damage: Damage::Doing, count: 4 }), "{warnings:?}");
    assert_eq!(profile.snapshots.doings[1].call, Call::Unknown);
}

#[test]
fn tasks_count_on_from_chunk_to_chunk() {
    let tasks: Vec<TaskData> =
        (0..300).map(|tid| TaskData { tid, ..TaskData::default() }).collect();
    let mut table = Table::default();
    table.snapshot(START_NS + MS, 0, 0, &[runs_at(299, 0)]);
    let mut file = file();
    file.image.tasks(&tasks);
    file.image.snapshots(SnapshotsData::default(), &table);
    let mut bytes = file.image.finish();
    let payload = chunks(&bytes).find(|chunk| chunk.kind == ChunkKind::Tasks as u32).unwrap();
    let (count_at, count) = (payload.payload_offset - 60, payload.aux);
    assert_eq!(count, 256);
    // Where the count of the first chunk is damaged, the second still begins at 256.
    for count in [256_u32, 3] {
        bytes[count_at..count_at + 4].copy_from_slice(&count.to_ne_bytes());
        let (profile, _) = load(&bytes, None).unwrap();
        assert_eq!(profile.snapshots.tasks[TaskIdx::from_position(299)].tid, 299);
        assert_eq!(profile.snapshots.doings.len(), 1);
    }
}

#[test]
fn samples_are_added_up_by_path() {
    let lanes = || vec![Lane::new("main", "ab", &[('a', runs(&["a"])), ('b', runs(&["a", "b"]))])];
    let profile = ProfileBuilder::new(0).lanes(MS, lanes()).samples("b", 9, 4).build();
    let samples = profile.samples.unwrap();
    assert_eq!(samples.values(), [Sampled::default(), Sampled { n: 9, spinning: 4 }]);
    assert_eq!(ProfileBuilder::new(0).lanes(MS, lanes()).build().samples, None);

    let mut file = file();
    let sample = |node, count| SampleData {
        node,
        count,
        flags: samples::FLAG_SPINS,
        ..SampleData::default()
    };
    let (root, node) = (file.roots[0], file.nodes[0]);
    let slots =
        [sample(root, 5), sample(node, 2), sample(77, 1), sample(node, u64::MAX), sample(node, 1)];
    file.image.samples(0, 0, &slots);
    let (profile, damages) = file.load();
    assert_eq!(profile.samples.unwrap().values()[0], Sampled { n: 3, spinning: 3 });
    assert_eq!(damages, [Damage::Count, Damage::Sample]);

    let empty = |period_ns| {
        let mut file = self::file();
        file.image.samples(period_ns, 0, &[]);
        file.load().0.samples.is_some()
    };
    assert!(empty(4_000_000), "sampled, and nothing was met");
    assert!(!empty(0), "could not be sampled");
}

#[test]
fn conditions_are_read_and_what_cannot_be_is_not_known() {
    let throttling = Throttling {
        quota_ns: 50 * MS,
        period_ns: 100 * MS,
        periods: 10,
        throttled_periods: 4,
        throttled_ns: 30 * MS,
    };
    let builder = ProfileBuilder::new(100 * MS).cpus(2, 0);
    assert_eq!(builder.build().conditions, Conditions::default());
    let profile = builder.throttled(throttling).steal_ppm(120_001).affinity(3).build();
    let expected =
        Conditions { steal_ppm: Some(120_001), throttling: Some(throttling), affinity: Some(3) };
    assert_eq!(profile.conditions, expected);

    let mut file = file();
    file.image.conditions(&ConditionsData {
        known: conditions::KNOWS_STEAL | conditions::KNOWS_THROTTLING,
        cpus: 2,
        steal_ns: 300 * MS,
        throttled_periods: 2,
        periods: 1,
        affinity: u64::MAX,
        ..ConditionsData::default()
    });
    let (profile, damages) = file.load();
    assert_eq!(profile.conditions, Conditions::default());
    assert_eq!(damages, [Damage::Conditions]);
}

#[test]
fn a_profile_of_an_older_minor_version_has_no_snapshots() {
    let mut file = file();
    file.image.header.version = 1;
    let (profile, damages) = file.load();
    assert_eq!((profile.spans.len(), damages), (2, vec![]));
    assert!(profile.snapshots.moments.is_empty() && profile.snapshots.tasks.is_empty());
    assert_eq!((profile.samples, profile.conditions), (None, Conditions::default()));
}

#[test]
fn an_unknown_major_version_is_refused_with_what_to_install() {
    let mut file = file().tasks();
    file.image.header.version = 2 | 7 << 16;
    let error = load(&file.image.finish(), None).unwrap_err();
    assert!(error.hint().contains("install the cargo-bottleneck of the version"));
}

#[test]
fn full_tables_and_many_paths_are_read_in_a_moment() {
    let (tasks, spans) = (20, 20_000);
    let mut file = file();
    let slab = file.image.slab(spans + 1);
    let step = 4;
    let node_at = |at: usize| slab + step * u32::try_from(at).unwrap();
    file.image.node(slab, &NodeData { first_child: node_at(1), ..NodeData::default() });
    for at in 1..=spans {
        let next_sibling = if at == spans { 0 } else { node_at(at + 1) };
        let data = NodeData {
            site: 1,
            parent: slab,
            next_sibling,
            count: 1,
            total: 1_000,
            ..NodeData::default()
        };
        file.image.node(node_at(at), &NodeData { min: 1_000, max: 1_000, ..data });
    }
    file.image.tree(&TreeData { root: slab, ..TreeData::default() });
    let of = |_| TaskData { root: slab, ..TaskData::default() };
    file.image.tasks(&(0..tasks).map(of).collect::<Vec<_>>());
    let mut table = Table::default();
    let each = SNAPSHOT_HEAD_BYTES + ENTRY_BYTES * tasks as usize;
    for moment in 0..TABLE_BYTES / each {
        let entries: Vec<Entry> = (0..tasks)
            .map(|task| runs_at(task, node_at(1 + (moment * 7 + task as usize) % spans)))
            .collect();
        table.snapshot(START_NS + 90_000 * (moment as u64 + 1), 0, 0, &entries);
    }
    // The other table is full too, and does not count.
    file.image.snapshots(SnapshotsData { active: 1, ..SnapshotsData::default() }, &table);
    let sample = |at| SampleData { node: node_at(at), count: 1, ..SampleData::default() };
    file.image.samples(4_000_000, 0, &(1..=samples::SLOTS).map(sample).collect::<Vec<_>>());
    let bytes = file.image.finish();

    let began = Instant::now();
    let (profile, warnings) = load(&bytes, None).unwrap();
    let took = began.elapsed();
    println!(
        "{} bytes, {} paths, {} entries: {took:?}",
        bytes.len(),
        profile.spans.len(),
        profile.snapshots.doings.len()
    );
    assert_eq!(profile.spans.len(), spans + 2);
    assert_eq!(profile.snapshots.doings.len(), TABLE_BYTES / each * tasks as usize);
    assert!(profile.snapshots.doings.iter().all(|doing| doing.span.is_some()));
    assert_eq!(
        profile.samples.map(|samples| samples.values().iter().map(|it| it.n).sum()),
        Some(samples::SLOTS as u64)
    );
    assert_eq!(warnings.len(), 1, "the nodes name sites that are not there: {warnings:?}");
    assert!(took.as_millis() < 2_000, "{took:?}");
}

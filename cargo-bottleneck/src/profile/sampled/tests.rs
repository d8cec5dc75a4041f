//! What the loader makes of samples with code and data, and of chunks that lie.

use std::time::Instant;

use bottleneck_runtime::format::accesses::ENTRIES;
use bottleneck_runtime::format::code::{BLOCKS, ENTRY_BYTES};
use bottleneck_runtime::format::{AccessData, AccessesData, ChunkKind, NodeData, TreeData};

use crate::profile::builder::ProfileBuilder;
use crate::profile::image::Image;
use crate::profile::sampling::{Access, Counted, Probe, Probing};
use crate::profile::{Damage, Profile, RowIdx, Sampled, Sampling, SpanIdx, load};

const START_NS: u64 = 1_000_000_000;
const CODE: u64 = 0x5555_0000_1000;

fn lookups() -> ProfileBuilder {
    ProfileBuilder::new(1_000_000).span("lookup", 0..900_000, |lookup| {
        lookup.span("hash", 0..100_000, |_| ());
    })
}

fn span(position: usize) -> SpanIdx {
    SpanIdx::from_position(position)
}

#[test]
fn samples_are_kept_by_instruction_and_those_of_others_are_not_the_spans_own() {
    let profile = lookups()
        .sampled("lookup", CODE + 3, 100)
        .sampled_spinning("hash", CODE + 9, 7)
        .sampled_adopted("lookup", CODE + 3, 5_000_000)
        .lost_samples(4)
        .build();
    let sampling = profile.sampling.unwrap();
    let counted =
        |at, sampled, n| Counted { span: span(at), sampled, n, is_adopted: false, spins: false };
    assert_eq!(
        sampling.counted,
        [
            counted(0, CODE + 3, 100),
            Counted { is_adopted: true, ..counted(0, CODE + 3, 5_000_000) },
            Counted { spins: true, ..counted(1, CODE + 9, 7) },
        ]
    );
    assert_eq!((sampling.period_ns, sampling.lost), (4_000_000, 4));
    let own = [Sampled { n: 100, spinning: 0 }, Sampled { n: 7, spinning: 7 }];
    assert_eq!(profile.samples.unwrap().values(), own);
    assert_eq!(lookups().build().sampling, None);
}

#[test]
fn accesses_are_read_by_rising_time() {
    let sampling = lookups()
        .access("hash", |it| {
            it.at(70_000).since(60_000).sampled(CODE).faults(3).adopted();
        })
        .access("lookup", |it| {
            it.at(40_000).since(10_000).thread(2).sampled(CODE + 3).address(0x7000_0000);
            it.probe(0x7000_4000, 290).probe(0x7000_8000, 0);
        })
        .build()
        .sampling
        .unwrap();
    let lookup = Access {
        at_ns: 40_000,
        span: span(0),
        thread: 2,
        sampled: CODE + 3,
        address: Some(0x7000_0000),
        phase_ns: Some(30_000),
        call: START_NS + 10_000,
        probes: [Some(Probe { address: 0x7000_4000, ticks: 290 }), None],
        faults: 0,
        kernel_us: 0,
        cpu_us: 0,
        is_adopted: false,
    };
    let hash = Access {
        at_ns: 70_000,
        span: span(1),
        thread: 0,
        sampled: CODE,
        address: None,
        phase_ns: Some(10_000),
        call: START_NS + 60_000,
        probes: [None; 2],
        faults: 3,
        kernel_us: 0,
        cpu_us: 0,
        is_adopted: true,
    };
    assert_eq!(sampling.accesses, [lookup, hash]);
    let probing = Probing { had_partner: true, probes: 2, ..Probing::default() };
    assert_eq!(sampling.probing, probing);
}

#[test]
fn what_became_of_the_timed_loads_is_read() {
    let probing = Probing {
        had_partner: false,
        samples: 9,
        handler_ns: 8_000,
        probes: 7,
        not_eligible: 6,
        not_resident: 5,
        faults: 4,
        unadopted: 3,
    };
    assert_eq!(lookups().probing(probing).build().sampling.unwrap().probing, probing);
}

#[test]
fn neighboring_blocks_of_code_are_one() {
    let long: Vec<u8> = (0..=255).cycle().take(700).collect();
    let sampling = lookups()
        .sampled("hash", CODE, 1)
        .code(CODE + 200, &long)
        .code(CODE - 0x800, &[1, 2, 3])
        .build()
        .sampling
        .unwrap();
    let blocks: Vec<(u64, usize)> =
        sampling.code.blocks.iter().map(|block| (block.start, block.bytes.len())).collect();
    assert_eq!(blocks, [(CODE - 0x800, 3), (CODE + 200, 700)]);
    assert_eq!(sampling.code.at(CODE + 200, 999), long);
    assert_eq!(sampling.code.at(CODE + 201, 2), [1, 2]);
}

/// The loaded file and what was wrong with it; `add` gets the reference of the only path.
fn loaded(add: impl FnOnce(&mut Image, u32)) -> (Profile, Vec<Damage>) {
    let mut image = Image::new();
    (image.header.last_ticks, image.header.last_ns) = (START_NS + 1_000_000, START_NS + 1_000_000);
    let slab = image.slab(2);
    image.node(slab, &NodeData { first_child: slab + 4, ..NodeData::default() });
    image.node(slab + 4, &NodeData { site: 1, parent: slab, ..NodeData::default() });
    image.tree(&TreeData { root: slab, ..TreeData::default() });
    add(&mut image, slab + 4);
    let (profile, warnings) = load(&image.finish(), None).unwrap();
    let damages = warnings.iter().map(|warning| warning.damage);
    // No site is described: that is always the first warning.
    (profile, damages.filter(|&damage| damage != Damage::Site).collect())
}

fn sampling(add: impl FnOnce(&mut Image, u32)) -> (Sampling, Vec<Damage>) {
    let (profile, damages) = loaded(add);
    (profile.sampling.unwrap(), damages)
}

#[test]
fn the_later_maps_count_and_earlier_ones_fill_the_gaps() {
    let (sampling, damages) = sampling(|image, _| {
        image.samples(1, 0, &[]);
        image.text(
            ChunkKind::Maps,
            "1000-9000 r-xp 00000000 08:01 42   /bin/old one\na000-b000 r-xp 00000000 00:00 0\n",
        );
        image.text(
            ChunkKind::Maps,
            "3000-4000 r-xp 00100000 08:01 43 /lib/new.so\nnonsense\n6000-7000 r-xp 0 0:0 0  [vdso]",
        );
    });
    let maps = &sampling.code.maps;
    let maps: Vec<_> =
        maps.iter().map(|map| (map.start, map.end, map.offset, map.path.as_str())).collect();
    assert_eq!(
        maps,
        [
            (0x1000, 0x3000, 0, "/bin/old one"),
            (0x3000, 0x4000, 0x10_0000, "/lib/new.so"),
            (0x4000, 0x6000, 0x3000, "/bin/old one"),
            (0x6000, 0x7000, 0, "[vdso]"),
            (0x7000, 0x9000, 0x6000, "/bin/old one"),
            (0xa000, 0xb000, 0, ""),
        ]
    );
    assert_eq!(damages, [Damage::Code]);
    assert_eq!(sampling.code.mapping(0x5abc).unwrap().offset, 0x3000);
}

#[test]
fn many_maps_take_linear_time_and_room() {
    // A long line that every other one splits, over and over.
    let long = format!("1-ffffffffffff r-xp 0 0:0 0 /{}\n", "x".repeat(4_000));
    let lines: Vec<String> =
        (1..20_000_u64).map(|at| format!("{:x}-{:x} r-xp 0 0:0 0", at * 16, at * 16 + 8)).collect();
    let text = lines.join("\n");
    let began = Instant::now();
    let (sampling, damages) = sampling(|image, _| {
        image.samples(1, 0, &[]);
        for _ in 0..8 {
            image.text(ChunkKind::Maps, &long);
        }
        image.text(ChunkKind::Maps, &text);
    });
    let copied: usize = sampling.code.maps.iter().map(|map| map.path.len()).sum();
    assert!(copied <= 4 * (text.len() + 8 * long.len()), "{copied}");
    assert!(sampling.code.maps.is_sorted_by(|a, b| a.end <= b.start));
    assert_eq!(damages, [Damage::Code]);
    assert!(began.elapsed().as_millis() < 2_000, "{:?}", began.elapsed());
}

#[test]
fn code_that_cannot_be_is_dropped() {
    let entry = |address: u64, first: u32, len: u32| {
        let head = [&address.to_ne_bytes()[..], &first.to_ne_bytes(), &len.to_ne_bytes()].concat();
        [head, vec![0x90; 256]].concat()
    };
    let (sampling, damages) = sampling(|image, _| {
        image.samples(1, 0, &[]);
        let entries = [
            entry(0x1000, 0, 257),
            entry(0x1000, u32::MAX, 1),
            entry(0x1001, 0, 1),
            entry(u64::MAX - 255, 0, 256),
            entry(0x2000, 16, 4),
            entry(0x3000, 0, 0),
        ];
        let payload = entries.concat();
        assert_eq!(payload.len(), entries.len() * ENTRY_BYTES);
        image.chunk(ChunkKind::Code, 99, &payload);
    });
    let blocks: Vec<_> =
        sampling.code.blocks.iter().map(|block| (block.start, block.bytes.len())).collect();
    assert_eq!((blocks, damages), (vec![(0x2010, 4)], vec![Damage::Code]));
}

#[test]
fn accesses_outside_the_run_or_of_no_path_are_dropped() {
    let (sampling, damages) = sampling(|image, node| {
        let at = |node, ticks| AccessData { node, ticks, ..AccessData::default() };
        let entries = [
            at(node, 0),
            at(node, 1),
            at(node, u64::MAX),
            at(77, START_NS + 1),
            at(node - 4, START_NS + 2),
            AccessData { open_since: u64::MAX, ..at(node, START_NS + 3) },
        ];
        let head = AccessesData { handler_ticks: u64::MAX, ..AccessesData::default() };
        image.accesses(&head, &entries);
    });
    let kept: Vec<_> = sampling.accesses.iter().map(|it| (it.at_ns, it.phase_ns)).collect();
    assert_eq!((kept, sampling.probing.handler_ns), (vec![(3, None)], 0));
    assert_eq!(damages, [Damage::Time, Damage::Sample]);
}

#[test]
fn full_tables_are_read_in_a_moment() {
    let began = Instant::now();
    let (sampling, damages) = sampling(|image, node| {
        let access =
            |at| AccessData { node, ticks: START_NS + 10_000 - at, ..AccessData::default() };
        image.accesses(
            &AccessesData::default(),
            &(0..ENTRIES as u64).map(access).collect::<Vec<_>>(),
        );
        image.code(&[(CODE, vec![0x90; BLOCKS * 256])]);
    });
    assert_eq!(sampling.accesses.len(), ENTRIES);
    assert!(sampling.accesses.is_sorted_by_key(|it| it.at_ns));
    assert_eq!(sampling.code.blocks.len(), 1);
    assert_eq!(damages, []);
    assert!(began.elapsed().as_millis() < 2_000, "{:?}", began.elapsed());
}

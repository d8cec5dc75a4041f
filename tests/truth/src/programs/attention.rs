//! Attention of one new token over its past: the same code, limited by memory or not, by how long the past is.

use std::hint::black_box;

use bottleneck_runtime::{Dtype, Work, bottleneck};

use crate::data::{self, Pages};
use crate::oracle::{Oracle, Stall};
use crate::table::{Program, Set};
use crate::trial::{Denied, Trial, checksum};
use crate::widest::{from_bf16, madd, to_bf16, total, widest};

/// Values of a key and of a value.
const WIDTH: usize = 128;
/// Positions of a long past: keys and values of 32 MiB.
const LONG: usize = 64 << 10;
/// Of a short one: 128 KiB.
const SHORT: usize = 256;
/// Positions of the oracle's near data.
const NEAR: usize = 64;
/// Positions that lie together where the cache is paged.
const PAGE: usize = 16;

/// Programs 7 and 8, and a hold-out.
pub const PROGRAMS: &[Program] = &[
    Program::known(
        "7",
        "attention_long",
        "memory",
        &["bandwidth"],
        "keys and values of many long sequences are read once per token",
        long,
    ),
    Program::known(
        "8",
        "attention_short",
        "compute",
        &["vector", "scalar", "underused"],
        "keys and values of 128 KiB stay in the second-level cache",
        short,
    ),
    Program::known(
        "H",
        "attention_paged",
        "memory",
        &["bandwidth", "latency"],
        "pages of 16 positions lie anywhere in a pool beyond the caches",
        paged,
    )
    .or(&["mixed"])
    .of(Set::HoldOut),
];

/// Keys and values of one sequence, and what one query makes of them.
struct Head {
    query: Vec<f32>,
    scores: Vec<f32>,
    out: Vec<f32>,
}

impl Head {
    fn new(context: usize, seed: u64) -> Self {
        let query = data::floats(WIDTH, seed, Pages::Usual);
        Self { query, scores: vec![0.0; context], out: vec![0.0; WIDTH] }
    }

    /// Over the positions of pages of `page` values, each of which starts where `at` says.
    fn attend(&mut self, [keys, values]: [&[u16]; 2], page: usize, at: impl Fn(usize) -> usize) {
        let Self { query, scores, out } = self;
        let pages = scores.len() * WIDTH / page;
        for (number, scores) in (0..pages).zip(scores.chunks_exact_mut(page / WIDTH)) {
            score(&keys[at(number)..][..page], query, scores);
        }
        softmax(scores);
        out.fill(0.0);
        for (number, weights) in (0..pages).zip(scores.chunks_exact(page / WIDTH)) {
            add_scaled(&values[at(number)..][..page], weights, out);
        }
        black_box(out);
    }

    fn attend_in_order(&mut self, keys: &[u16], values: &[u16]) {
        self.attend([keys, values], keys.len(), |_| 0);
    }
}

/// Random half floats.
fn halves(count: usize, seed: u64) -> Vec<u16> {
    let tile: Vec<u16> = data::floats(count.min(1 << 20), seed, Pages::Usual)
        .into_iter()
        .map(|value| to_bf16(value * 0.1))
        .collect();
    data::tiled(count, &tile, Pages::Usual)
}

fn long(trial: &Trial) -> Result<(), Denied> {
    let sequences = (data::beyond_caches(trial.size()) / (LONG * WIDTH * 4)).max(2);
    let keys = halves(sequences * LONG * WIDTH, trial.seed());
    let values = halves(sequences * LONG * WIDTH, trial.seed() + 1);
    let mut head = Head::new(LONG, 7);
    let of = |sequence: usize| {
        let from = sequence % sequences * LONG * WIDTH;
        (&keys[from..][..LONG * WIDTH], &values[from..][..LONG * WIDTH])
    };
    trial.check(|| {
        let mut near = Head::new(SHORT, 7);
        let near = |_| {
            for _ in 0..LONG / SHORT {
                near.attend_in_order(&keys[..SHORT * WIDTH], &values[..SHORT * WIDTH]);
            }
        };
        let far = |round| {
            let (keys, values) = of(round + 1);
            head.attend_in_order(keys, values);
        };
        Oracle::memory(Stall::on_cpu(sequences.min(9), near, far))
    })?;
    trial.record(|pass| {
        let (keys, values) = of(pass as usize);
        attend(trial, &mut head, keys, values);
        checksum(&head.out)
    });
    Ok(())
}

fn short(trial: &Trial) -> Result<(), Denied> {
    let keys = halves(SHORT * WIDTH, trial.seed());
    let values = halves(SHORT * WIDTH, trial.seed() + 1);
    let mut head = Head::new(SHORT, 7);
    trial.check(|| {
        let mut other = Head::new(NEAR, 7);
        let near = |_| {
            for _ in 0..200 * SHORT / NEAR {
                other.attend_in_order(&keys[..NEAR * WIDTH], &values[..NEAR * WIDTH]);
            }
        };
        let far = |_| (0..200).for_each(|_| head.attend_in_order(&keys, &values));
        Oracle::compute(Stall::on_cpu(9, near, far))
    })?;
    trial.record(|_| {
        for _ in 0..100 {
            attend(trial, &mut head, &keys, &values);
        }
        checksum(&head.out)
    });
    Ok(())
}

#[bottleneck(request)]
fn attend(trial: &Trial, head: &mut Head, keys: &[u16], values: &[u16]) {
    trial.declare(|| Work::attention(1, 1, keys.len() / WIDTH, WIDTH, Dtype::Bf16));
    head.attend_in_order(keys, values);
}

fn paged(trial: &Trial) -> Result<(), Denied> {
    const CONTEXT: usize = 16 << 10;
    let pages = data::beyond_caches(trial.size()) / (4 * PAGE * WIDTH);
    let keys = halves(pages * PAGE * WIDTH, trial.seed());
    let values = halves(pages * PAGE * WIDTH, trial.seed() + 1);
    let mut head = Head::new(CONTEXT, 7);
    let mut random = bottleneck_examples::random::Random::new(trial.seed());
    let mut table = move |pages: usize| -> Vec<usize> {
        (0..CONTEXT / PAGE).map(|_| below(random.next_bits(), pages)).collect()
    };
    trial.check(|| {
        let mut other = Head::new(CONTEXT, 7);
        let tables: Vec<_> = (0..10).map(|_| (table(8), table(pages))).collect();
        let near = |round: usize| attend_pages(&mut other, &keys, &values, &tables[round].0);
        let far = |round: usize| attend_pages(&mut head, &keys, &values, &tables[round].1);
        let stall = Stall::on_cpu(9, near, far);
        Oracle::shown(stall).and(0.4 <= stall.share(), || {
            format!("memory stalls take {:.2} of the time, at least 0.4 expected", stall.share())
        })
    })?;
    trial.record(|_| {
        let table = table(pages);
        attend_paged(trial, &mut head, &keys, &values, &table);
        checksum(&head.out)
    });
    Ok(())
}

#[bottleneck(request)]
fn attend_paged(trial: &Trial, head: &mut Head, keys: &[u16], values: &[u16], table: &[usize]) {
    trial.declare(|| Work::attention(1, 1, table.len() * PAGE, WIDTH, Dtype::Bf16));
    attend_pages(head, keys, values, table);
}

fn attend_pages(head: &mut Head, keys: &[u16], values: &[u16], table: &[usize]) {
    head.attend([keys, values], PAGE * WIDTH, |page| table[page] * PAGE * WIDTH);
}

/// A random number below `bound`.
fn below(bits: u64, bound: usize) -> usize {
    usize::try_from(bits >> 16).unwrap_or(0) % bound
}

widest! {
    fn score[](keys: &[u16], query: &[f32], scores: &mut [f32]) {
        for (key, score) in keys.as_chunks::<WIDTH>().0.iter().zip(scores) {
            let mut sums = [0.0f32; 32];
            for (key, query) in key.as_chunks::<32>().0.iter().zip(query.as_chunks::<32>().0) {
                for ((sum, key), query) in sums.iter_mut().zip(key).zip(query) {
                    *sum = madd::<FUSED>(from_bf16(*key), *query, *sum);
                }
            }
            *score = total(sums);
        }
    }
}

widest! {
    fn add_scaled[](values: &[u16], weights: &[f32], out: &mut [f32]) {
        let Some(out) = out.as_chunks_mut::<WIDTH>().0.first_mut() else { return };
        let mut sums = *out;
        for (value, weight) in values.as_chunks::<WIDTH>().0.iter().zip(weights) {
            for (sum, value) in sums.iter_mut().zip(value) {
                *sum = madd::<FUSED>(from_bf16(*value), *weight, *sum);
            }
        }
        *out = sums;
    }
}

widest! {
    /// With a polynomial for the exponential, so that vectors compute it.
    fn softmax[](scores: &mut [f32]) {
        let most = scores.iter().copied().fold(f32::MIN, f32::max);
        for score in scores.iter_mut() {
            // (1 + x / 256)^256, by squaring.
            let mut power = madd::<FUSED>((*score - most).max(-80.0), 1.0 / 256.0, 1.0);
            for _ in 0..8 {
                power *= power;
            }
            *score = power;
        }
        let mut sums = [0.0f32; 16];
        for scores in scores.as_chunks::<16>().0 {
            for (sum, score) in sums.iter_mut().zip(scores) {
                *sum += score;
            }
        }
        let scale = 1.0 / total(sums);
        for score in scores.iter_mut() {
            *score *= scale;
        }
    }
}

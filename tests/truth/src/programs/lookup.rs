//! Reads from anywhere in a table: of independent rows, along a chain, one per page; and a table that stays near.

use std::collections::HashMap;
use std::hint::black_box;

use bottleneck_examples::random::{Random, mix};
use bottleneck_runtime::{Dtype, Work, bottleneck};

use crate::data::{self, Pages};
use crate::oracle::{MEMORY_FROM, Oracle, Stall};
use crate::table::{Program, Set};
use crate::trial::{Denied, Trial, checksum};

/// Values of a row of embeddings: one cache line.
const WIDTH: usize = 16;
/// Rows, steps or entries of one request.
const AT_ONCE: usize = 64 << 10;
/// Bytes of the near tables of oracles.
const NEAR: usize = 16 << 10;

/// Programs 9, 10 and 14, and a hold-out.
pub const PROGRAMS: &[Program] = &[
    Program::known(
        "9",
        "embedding_gather",
        "memory",
        &["latency"],
        "random rows of 64 bytes from a table beyond the caches",
        gather,
    ),
    Program::known(
        "10",
        "tokenizer_trie",
        "memory",
        &["latency"],
        "each entry of a hashed trie beyond the caches says where the next one lies",
        trie,
    ),
    Program::known(
        "14a",
        "page_reads",
        "memory",
        &["latency", "tlb"],
        "one value from a random page of 4 KiB after the other",
        small_pages,
    ),
    Program::known(
        "14b",
        "page_reads_huge",
        "memory",
        &["latency"],
        "the same in huge pages: fewer misses of the page table's cache, as many of the others",
        huge_pages,
    ),
    Program::known(
        "H",
        "hashmap",
        "memory",
        &["latency"],
        "random keys of a map of six million entries",
        hash_map,
    )
    .of(Set::HoldOut),
];

fn gather(trial: &Trial) -> Result<(), Denied> {
    let rows = data::beyond_caches(trial.size()) / (4 * WIDTH);
    let table = data::floats(rows * WIDTH, trial.seed(), Pages::Usual);
    let mut random = Random::new(trial.seed());
    let mut ids = move |rows: usize| -> Vec<usize> {
        (0..AT_ONCE).map(|_| below(random.next_bits(), rows)).collect()
    };
    trial.check(|| {
        let lists: Vec<_> = (0..9).map(|_| (ids(NEAR / 4 / WIDTH), ids(rows))).collect();
        let near = |round: usize| _ = black_box(sum_of_rows(&table, &lists[round].0));
        let far = |round: usize| _ = black_box(sum_of_rows(&table, &lists[round].1));
        Oracle::memory(Stall::on_cpu(9, near, far))
    })?;
    trial.record(|_| checksum(&embed(trial, &table, &ids(rows))));
    Ok(())
}

#[bottleneck(request)]
fn embed(trial: &Trial, table: &[f32], ids: &[usize]) -> [f32; WIDTH] {
    trial.declare(|| Work::gather(ids.len(), WIDTH, Dtype::F32));
    sum_of_rows(table, ids)
}

fn sum_of_rows(table: &[f32], ids: &[usize]) -> [f32; WIDTH] {
    let mut res = [0.0; WIDTH];
    for id in ids {
        for (sum, value) in res.iter_mut().zip(&table[id * WIDTH..][..WIDTH]) {
            *sum += value;
        }
    }
    res
}

/// A trie in one table: the entry of a child lies where the hash of its parent and its letter says.
struct Trie<'a> {
    entries: &'a [u64],
}

impl Trie<'_> {
    /// Tokens of a text that begins in `state`, and the state behind it.
    fn tokens(&self, text: &[u8], mut state: u64, out: &mut Vec<u64>) -> u64 {
        out.clear();
        for letter in text {
            let place = mix(state ^ (u64::from(*letter) << 56));
            state = self.entries[below(place, self.entries.len())] ^ place;
            if state.is_multiple_of(8) {
                out.push(state);
            }
        }
        state
    }
}

fn trie(trial: &Trial) -> Result<(), Denied> {
    let bytes = data::beyond_caches(trial.size());
    let mut random = Random::new(trial.seed());
    let tile: Vec<u64> = (0..1 << 20).map(|_| random.next_bits()).collect();
    let entries = data::tiled(bytes / 8, &tile, Pages::Usual);
    let text = data::bytes(AT_ONCE, trial.seed(), Pages::Usual);
    let trie = Trie { entries: &entries };
    let mut tokens = Vec::with_capacity(AT_ONCE);
    trial.check(|| {
        let near = Trie { entries: &entries[..NEAR / 8] };
        let mut other = Vec::with_capacity(AT_ONCE);
        let near = |round| _ = near.tokens(&text, round as u64, &mut other);
        let far = |round| _ = trie.tokens(&text, round as u64, &mut tokens);
        Oracle::memory(Stall::on_cpu(7, near, far))
    })?;
    let mut state = trial.seed() + 1000;
    trial.record(|_| {
        state = tokenize(trial, &trie, &text, state, &mut tokens);
        state
    });
    Ok(())
}

#[bottleneck(request)]
fn tokenize(trial: &Trial, trie: &Trie<'_>, text: &[u8], state: u64, out: &mut Vec<u64>) -> u64 {
    trial.declare(|| Work { flops: 0.0, bytes: 64.0 * text.len() as f64, dtype: Dtype::F32 });
    trie.tokens(text, state, out)
}

/// Values per page.
const PAGE: usize = 4096 / 8;

fn small_pages(trial: &Trial) -> Result<(), Denied> {
    pages(trial, Pages::Small)
}

fn huge_pages(trial: &Trial) -> Result<(), Denied> {
    pages(trial, Pages::Huge)
}

fn pages(trial: &Trial, kind: Pages) -> Result<(), Denied> {
    let mut random = Random::new(trial.seed());
    let tile: Vec<u64> = (0..1 << 20).map(|_| random.next_bits()).collect();
    let values = data::tiled(data::beyond_caches(trial.size()) / 8, &tile, kind);
    trial.check(|| {
        let near = |round| _ = black_box(follow(&values[..NEAR / 8], round as u64));
        let far = |round| _ = black_box(follow(&values, round as u64));
        let stall = Stall::on_cpu(7, near, far);
        let each = stall.far.as_nanos() as f64 / AT_ONCE as f64;
        Oracle::memory(stall).with("ns_per_read", each)
    })?;
    let mut state = trial.seed() + 1000;
    trial.record(|_| {
        state = read_pages(trial, &values, state);
        state
    });
    Ok(())
}

#[bottleneck(request)]
fn read_pages(trial: &Trial, values: &[u64], state: u64) -> u64 {
    trial.declare(|| Work { flops: 0.0, bytes: 64.0 * AT_ONCE as f64, dtype: Dtype::F32 });
    follow(values, state)
}

/// Reads one value of a page, which says which page is next.
fn follow(values: &[u64], mut state: u64) -> u64 {
    let pages = values.len() / PAGE;
    for _ in 0..AT_ONCE {
        let place = mix(state);
        state = values[below(place, pages) * PAGE + below(place << 20, PAGE)] ^ place;
    }
    state
}

fn hash_map(trial: &Trial) -> Result<(), Denied> {
    let entries = 6_000_000;
    let mut random = Random::new(trial.seed());
    let keys: Vec<u64> = (0..entries).map(|_| random.next_bits()).collect();
    let map: HashMap<u64, u64> = keys.iter().map(|key| (*key, mix(*key))).collect();
    let small: HashMap<u64, u64> = keys.iter().take(512).map(|key| (*key, mix(*key))).collect();
    let mut ask = move |among: usize| -> Vec<u64> {
        (0..AT_ONCE).map(|_| keys[below(random.next_bits(), among)]).collect()
    };
    trial.check(|| {
        let lists: Vec<_> = (0..9).map(|_| (ask(512), ask(entries))).collect();
        let near = |round: usize| _ = black_box(count(&small, &lists[round].0));
        let far = |round: usize| _ = black_box(count(&map, &lists[round].1));
        let stall = Stall::on_cpu(9, near, far);
        Oracle::shown(stall).and(MEMORY_FROM <= stall.share(), || {
            format!("memory stalls take {:.2} of the time", stall.share())
        })
    })?;
    trial.record(|_| look_up(trial, &map, &ask(entries)));
    Ok(())
}

#[bottleneck(request)]
fn look_up(trial: &Trial, map: &HashMap<u64, u64>, keys: &[u64]) -> u64 {
    trial.declare(|| Work { flops: 0.0, bytes: 128.0 * keys.len() as f64, dtype: Dtype::F32 });
    count(map, keys)
}

fn count(map: &HashMap<u64, u64>, keys: &[u64]) -> u64 {
    keys.iter().filter_map(|key| map.get(key)).fold(0, |sum, value| sum ^ value)
}

/// A number below `bound` from random bits.
fn below(bits: u64, bound: usize) -> usize {
    let high = (u128::from(bits) * bound as u128) >> 64;
    usize::try_from(high).unwrap_or(0)
}

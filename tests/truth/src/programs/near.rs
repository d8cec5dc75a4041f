//! Programs whose data stays in the first caches: what takes the time is what they compute, or what cannot be foreseen.

use std::hint::black_box;

use bottleneck_examples::random::{Random, mix};
use bottleneck_runtime::{Dtype, Work, bottleneck};

use crate::data::{self, Pages};
use crate::oracle::{Oracle, Stall, median_time};
use crate::table::{Program, Set};
use crate::trial::{Denied, Trial, checksum};

/// Letters of one text, and values of one row of 32 KiB.
const LETTERS: usize = 1 << 20;
const ROW: usize = 8192;
/// Side of a picture: 64 KiB.
const SIDE: usize = 128;

/// Programs 11 and 12, and hold-outs.
pub const PROGRAMS: &[Program] = &[
    Program::known(
        "11",
        "tokenizer_branches",
        "compute",
        &["branches", "scalar", "underused"],
        "what a random letter means decides where the code goes on",
        branches,
    ),
    Program::known(
        "12",
        "softmax",
        "compute",
        &["scalar", "underused", "transcendental"],
        "an exponential for each value of a row in the first-level cache",
        softmax,
    ),
    Program::known(
        "H",
        "layernorm",
        "compute",
        &["scalar", "underused"],
        "sums of floats in order, over rows that stream in as fast as they are needed",
        layernorm,
    )
    .of(Set::HoldOut),
    Program::known(
        "H",
        "sort",
        "compute",
        &["branches", "scalar", "underused"],
        "32 KiB of random numbers are sorted again and again",
        sort,
    )
    .of(Set::HoldOut),
    Program::known(
        "H",
        "conv3x3",
        "compute",
        &["vector", "scalar", "underused"],
        "a picture of 64 KiB, nine products for each of its values",
        convolution,
    )
    .of(Set::HoldOut),
    Program::known(
        "H",
        "mix64",
        "compute",
        &["vector", "scalar", "underused"],
        "eight rounds of a hash for each of the numbers that stream in",
        hashes,
    )
    .of(Set::HoldOut),
];

/// A text of classes of letters in random or in sorted order.
fn text(seed: u64, is_sorted: bool) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut letter = || match random.next_bits() >> 8 & 127 {
        at @ 0..70 => b'a' + u8::try_from(at % 26).unwrap_or(0),
        at @ 70..85 => b'A' + u8::try_from(at % 26).unwrap_or(0),
        at @ 85..100 => b'0' + u8::try_from(at % 10).unwrap_or(0),
        at @ 100..108 => b".,;:!?()"[usize::try_from(at % 8).unwrap_or(0)],
        _ => b' ',
    };
    let mut res: Vec<u8> = (0..LETTERS).map(|_| letter()).collect();
    if is_sorted {
        res.sort_unstable();
    }
    res
}

fn branches(trial: &Trial) -> Result<(), Denied> {
    let random = text(trial.seed(), false);
    let trie: Vec<u32> = (0..1024u32).map(|at| at.wrapping_mul(7919)).collect();
    let mut out = Vec::with_capacity(LETTERS);
    trial.check(|| {
        let sorted = text(trial.seed(), true);
        let mut other = Vec::with_capacity(LETTERS);
        let stall = Stall::on_cpu(
            9,
            |_| split(black_box(&sorted), &trie, &mut other),
            |_| split(black_box(&random), &trie, &mut out),
        );
        let share = stall.share();
        let mut oracle = Oracle::when(0.3 <= share, || {
            format!("sorted letters save {share:.2} of the time, at least 0.3 expected")
        });
        // A letter a nanosecond or more, in order, and a table in the first-level cache.
        oracle.truth_share = Some(0.0);
        oracle.with("foreseen_saves", share)
    })?;
    trial.record(|_| {
        tokenize(trial, &random, &trie, &mut out);
        out.iter().fold(0, |sum, token| mix(sum ^ u64::from(*token)))
    });
    Ok(())
}

#[bottleneck(request)]
fn tokenize(trial: &Trial, text: &[u8], trie: &[u32], out: &mut Vec<u32>) {
    trial.declare(|| Work { flops: 0.0, bytes: text.len() as f64, dtype: Dtype::F32 });
    split(text, trie, out);
}

fn split(text: &[u8], trie: &[u32], out: &mut Vec<u32>) {
    out.clear();
    let (mut hash, mut len, mut class) = (0u32, 0u32, 0u8);
    let at = |hash: u32| trie[hash as usize % 1024];
    for &letter in text {
        match letter {
            b'a'..=b'z' => {
                if class == 2 {
                    out.push(at(hash));
                    len = 0;
                }
                hash = (hash ^ u32::from(letter)).wrapping_mul(16_777_619);
                len += 1;
                class = 1;
                if len > 4 && hash.is_multiple_of(4) {
                    out.push(at(hash >> 3));
                    len = 0;
                }
            }
            b'A'..=b'Z' => {
                if class == 1 {
                    out.push(at(hash >> 5) ^ len);
                    len = 0;
                }
                hash = (hash ^ u32::from(letter | 32)).wrapping_mul(16_777_619);
                class = 3;
            }
            b'0'..=b'9' => {
                if class != 2 {
                    out.push(hash);
                    len = 0;
                }
                hash = hash.wrapping_mul(10).wrapping_add(u32::from(letter - b'0'));
                class = 2;
            }
            b' ' => {
                if len > 0 {
                    out.push(at(hash >> 7) ^ len);
                }
                (hash, len, class) = (0x811c_9dc5, 0, 0);
            }
            _ => {
                out.push(u32::from(letter));
                class = 0;
            }
        }
    }
}

fn softmax(trial: &Trial) -> Result<(), Denied> {
    let row = data::floats(ROW, trial.seed(), Pages::Usual);
    let mut out = vec![0.0; ROW];
    trial.check(|| {
        let again = 50;
        let mut other = vec![0.0; ROW];
        let stall = Stall::on_cpu(
            9,
            |_| {
                for _ in 0..again * 8 {
                    normalize(black_box(&row[..ROW / 8]), black_box(&mut other), f32::exp);
                }
            },
            |_| {
                for _ in 0..again {
                    normalize(black_box(&row), black_box(&mut out), f32::exp);
                }
            },
        );
        let without = median_time(9, || {
            for _ in 0..again {
                normalize(black_box(&row), black_box(&mut other), |value| value);
            }
        });
        let saves = 1.0 - without.as_secs_f64() / stall.far.as_secs_f64();
        Oracle::compute(stall)
            .and(0.5 <= saves, || {
                format!(
                    "without the exponential {saves:.2} of the time is saved, at least 0.5 expected"
                )
            })
            .with("exponential_takes", saves)
    })?;
    trial.record(|_| {
        attention_weights(trial, &row, &mut out);
        checksum(&out)
    });
    Ok(())
}

#[bottleneck(request)]
fn attention_weights(trial: &Trial, row: &[f32], out: &mut [f32]) {
    const AGAIN: usize = 20;
    trial.declare(|| Work {
        flops: (AGAIN * 20 * row.len()) as f64,
        bytes: 8.0 * row.len() as f64,
        dtype: Dtype::F32,
    });
    for _ in 0..AGAIN {
        normalize(black_box(row), black_box(&mut *out), f32::exp);
    }
}

fn normalize(row: &[f32], out: &mut [f32], exp: impl Fn(f32) -> f32) {
    let most = row.iter().copied().fold(f32::MIN, f32::max);
    let mut sum = 0.0;
    for (out, value) in out.iter_mut().zip(row) {
        *out = exp(value - most);
        sum += *out;
    }
    let scale = 1.0 / sum;
    for value in out {
        *value *= scale;
    }
}

fn layernorm(trial: &Trial) -> Result<(), Denied> {
    const WIDTH: usize = 1024;
    const ROWS: usize = 4096;
    let rows = data::beyond_caches(trial.size()) / 4 / WIDTH;
    let mut values = data::floats(rows * WIDTH, trial.seed(), Pages::Usual);
    trial.check(|| {
        let mut few = values[..8 * WIDTH].to_vec();
        let near = |_| (0..ROWS / 8).for_each(|_| norm(black_box(&mut few), WIDTH));
        let far = |round| norm(&mut values[round * ROWS * WIDTH..][..ROWS * WIDTH], WIDTH);
        Oracle::compute(Stall::on_cpu(9, near, far))
    })?;
    let blocks = rows / ROWS;
    trial.record(|pass| {
        let block = &mut values[pass as usize % blocks * ROWS * WIDTH..][..ROWS * WIDTH];
        norm_layer(trial, block, WIDTH);
        checksum(&block[..WIDTH])
    });
    Ok(())
}

#[bottleneck(request)]
fn norm_layer(trial: &Trial, rows: &mut [f32], width: usize) {
    let (flops, bytes) = (6.0 * rows.len() as f64, 8.0 * rows.len() as f64);
    trial.declare(|| Work { flops, bytes, dtype: Dtype::F32 });
    norm(rows, width);
}

fn norm(rows: &mut [f32], width: usize) {
    for row in rows.chunks_exact_mut(width) {
        let mean = row.iter().sum::<f32>() / width as f32;
        let square = row.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>();
        let scale = 1.0 / (square / width as f32 + 1e-5).sqrt();
        for value in row {
            *value = (*value - mean) * scale;
        }
    }
}

fn sort(trial: &Trial) -> Result<(), Denied> {
    let mut random = Random::new(trial.seed());
    let numbers: Vec<u64> = (0..ROW / 2).map(|_| random.next_bits()).collect();
    let mut space = numbers.clone();
    trial.check(|| {
        let near = |_| (0..320).for_each(|_| order(black_box(&numbers[..256]), &mut vec![0; 256]));
        let far = |_| (0..20).for_each(|_| order(black_box(&numbers), &mut space));
        // Sorting takes the logarithm longer: 12 steps against 8.
        let stall = Stall::on_cpu(9, near, far);
        let share = (1.0 - stall.near.as_secs_f64() * 1.5 / stall.far.as_secs_f64()).max(0.0);
        let mut oracle = Oracle::when(share <= 0.3, || {
            format!("longer lists take {share:.2} of the time more than they have steps")
        });
        oracle.truth_share = Some(share);
        oracle
    })?;
    trial.record(|_| {
        (0..10).for_each(|_| rank(trial, &numbers, &mut space));
        space.iter().fold(0, |sum, number| mix(sum ^ number))
    });
    Ok(())
}

#[bottleneck(request)]
fn rank(trial: &Trial, numbers: &[u64], space: &mut [u64]) {
    trial.declare(|| Work { flops: 0.0, bytes: 16.0 * numbers.len() as f64, dtype: Dtype::F32 });
    order(numbers, space);
}

fn order(numbers: &[u64], space: &mut [u64]) {
    space.copy_from_slice(numbers);
    black_box(space).sort_unstable();
}

fn convolution(trial: &Trial) -> Result<(), Denied> {
    let picture = data::floats(SIDE * SIDE, trial.seed(), Pages::Usual);
    let mut out = vec![0.0; SIDE * SIDE];
    trial.check(|| {
        let mut other = vec![0.0; SIDE * SIDE];
        let few = 34 * SIDE;
        let near = |_| {
            (0..600 * (SIDE - 2) / 32).for_each(|_| filter(black_box(&picture[..few]), &mut other));
        };
        let far = |_| (0..600).for_each(|_| filter(black_box(&picture), black_box(&mut out)));
        Oracle::compute(Stall::on_cpu(7, near, far))
    })?;
    trial.record(|_| {
        sharpen(trial, &picture, &mut out);
        checksum(&out)
    });
    Ok(())
}

#[bottleneck(request)]
fn sharpen(trial: &Trial, picture: &[f32], out: &mut [f32]) {
    const AGAIN: usize = 20;
    let values = picture.len() as f64;
    let flops = 18.0 * values * AGAIN as f64;
    trial.declare(|| Work { flops, bytes: 8.0 * values, dtype: Dtype::F32 });
    (0..AGAIN).for_each(|_| filter(black_box(picture), black_box(&mut *out)));
}

fn filter(picture: &[f32], out: &mut [f32]) {
    const KERNEL: [[f32; 3]; 3] = [[-0.1, -0.2, -0.1], [-0.2, 2.2, -0.2], [-0.1, -0.2, -0.1]];
    for row in 1..picture.len() / SIDE - 1 {
        for column in 1..SIDE - 1 {
            let mut sum = 0.0;
            for (down, weights) in KERNEL.iter().enumerate() {
                let line = &picture[(row + down - 1) * SIDE + column - 1..][..3];
                sum += line.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f32>();
            }
            out[row * SIDE + column] = sum;
        }
    }
}

fn hashes(trial: &Trial) -> Result<(), Denied> {
    const PART: usize = 1 << 20;
    let mut random = Random::new(trial.seed());
    let tile: Vec<u64> = (0..PART).map(|_| random.next_bits()).collect();
    let numbers = data::tiled(data::beyond_caches(trial.size()) / 8, &tile, Pages::Usual);
    let parts = numbers.len() / PART;
    trial.check(|| {
        let near = |_| {
            (0..PART / 2048).for_each(|_| _ = black_box(scramble(black_box(&numbers[..2048]))));
        };
        let far = |round| _ = black_box(scramble(&numbers[(round + 1) % parts * PART..][..PART]));
        Oracle::compute(Stall::on_cpu(9, near, far))
    })?;
    trial.record(|pass| fingerprint(trial, &numbers[pass as usize % parts * PART..][..PART]));
    Ok(())
}

#[bottleneck(request)]
fn fingerprint(trial: &Trial, numbers: &[u64]) -> u64 {
    let bytes = 8.0 * numbers.len() as f64;
    trial.declare(|| Work { flops: 0.0, bytes, dtype: Dtype::F32 });
    scramble(numbers)
}

fn scramble(numbers: &[u64]) -> u64 {
    numbers.iter().fold(0, |sum, number| sum ^ (0..8).fold(*number, |hash, _| mix(hash)))
}

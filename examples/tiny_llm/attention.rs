//! Attention over the cache of keys and values: rotate, append, attend.

use bottleneck_examples::declared::amount;
use bottleneck_examples::kernels::{Isa, Matrix, Packed, gemm, gemv, rope, softmax};
use bottleneck_runtime::bottleneck;

use crate::batch::{Batch, touched};
use crate::config::Config;

/// Queries that are multiplied with the cache at a time.
const QUERY_BLOCK: usize = 64;

/// Keys and values of every past token, and the buffers to attend to them.
///
/// Keys lie token by token, values dimension by dimension: both products then run along rows.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    config: Config,
    /// Tokens that fit; also the stride of the values.
    capacity: usize,
    keys: Vec<f32>,
    values: Vec<f32>,
    /// Cosines and sines of every position, half a head each.
    cos: Vec<f32>,
    sin: Vec<f32>,
    scores: Vec<f32>,
    queries: Packed,
    probabilities: Packed,
}

impl Attention {
    /// A cache for `capacity` tokens; its memory is touched here.
    pub(crate) fn new(config: &Config, capacity: usize) -> Self {
        let capacity = capacity.next_multiple_of(16);
        let half = config.head_dim / 2;
        let angles = (0..capacity * half).map(|i| {
            let frequency = 10_000f64.powf(-((i % half) as f64) / half as f64);
            (i / half) as f64 * frequency
        });
        #[expect(clippy::cast_possible_truncation, reason = "the table is single precision")]
        let (cos, sin) = angles.map(|angle| (angle.cos() as f32, angle.sin() as f32)).unzip();
        let cached = config.layers * config.kv_heads * config.head_dim * capacity;
        Self {
            config: *config,
            capacity,
            keys: touched(cached),
            values: touched(cached),
            cos,
            sin,
            scores: touched(QUERY_BLOCK * capacity),
            queries: Packed::new(),
            probabilities: Packed::new(),
        }
    }

    /// Tokens that fit into the cache.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Rotates the queries and keys of `tokens` tokens from position `start` on, and appends keys and values.
    #[bottleneck]
    pub(crate) fn append(&mut self, layer: usize, start: usize, tokens: usize, qkv: &mut Batch) {
        let Config { heads, kv_heads, head_dim, .. } = self.config;
        let half = head_dim / 2;
        for t in 0..tokens {
            let position = start + t;
            let (cos, sin) =
                (&self.cos[position * half..][..half], &self.sin[position * half..][..half]);
            let (rotated, values) = qkv.row_mut(t).split_at_mut((heads + kv_heads) * head_dim);
            for head in rotated.chunks_exact_mut(head_dim) {
                rope(head, cos, sin);
            }
            for (head, key) in rotated[heads * head_dim..].chunks_exact(head_dim).enumerate() {
                let place = self.place(layer, head) + position * head_dim;
                self.keys[place..place + head_dim].copy_from_slice(key);
            }
            for (head, value) in values.chunks_exact(head_dim).enumerate() {
                let place = self.place(layer, head) + position;
                for (cached, value) in
                    self.values[place..].iter_mut().step_by(self.capacity).zip(value)
                {
                    *cached = *value;
                }
            }
        }
    }

    /// Where the cache of one head starts, in the keys and in the values.
    fn place(&self, layer: usize, head: usize) -> usize {
        (layer * self.config.kv_heads + head) * self.config.head_dim * self.capacity
    }

    /// Every token attends to itself and all tokens before it.
    #[bottleneck(
        flops = amount(4 * self.config.heads * self.config.head_dim * contexts(start, tokens)),
        bytes = amount(8 * self.config.head_dim * (self.config.kv_heads * (start + tokens) + self.config.heads * tokens)),
        dtype = f32
    )]
    pub(crate) fn attend(
        &mut self,
        layer: usize,
        start: usize,
        tokens: usize,
        qkv: &Batch,
        out: &mut Batch,
    ) {
        let Config { heads, kv_heads, .. } = self.config;
        for head in 0..heads {
            let kv_head = head / (heads / kv_heads);
            if tokens == 1 {
                self.attend_one(layer, head, kv_head, start + 1, qkv, out);
            } else {
                for first in (0..tokens).step_by(QUERY_BLOCK) {
                    let queries = QUERY_BLOCK.min(tokens - first);
                    self.attend_block(layer, (head, kv_head), start, first, queries, qkv, out);
                }
            }
        }
    }

    /// One query against `context` tokens.
    fn attend_one(
        &mut self,
        layer: usize,
        head: usize,
        kv_head: usize,
        context: usize,
        qkv: &Batch,
        out: &mut Batch,
    ) {
        let head_dim = self.config.head_dim;
        let place = self.place(layer, kv_head);
        let scores = &mut self.scores[..context];
        let keys = Matrix::new(&self.keys[place..], context, head_dim);
        let values = Matrix::with_stride(&self.values[place..], head_dim, context, self.capacity);
        let at = head * head_dim..(head + 1) * head_dim;
        gemv(Isa::detected(), keys, &qkv.row(0)[at.clone()], scores);
        scale_and_normalize(scores, head_dim);
        gemv(Isa::detected(), values, scores, &mut out.row_mut(0)[at]);
    }

    /// Some queries of a batch against everything up to the last of them.
    #[expect(clippy::too_many_arguments, reason = "coordinates of a block")]
    fn attend_block(
        &mut self,
        layer: usize,
        (head, kv_head): (usize, usize),
        start: usize,
        first: usize,
        queries: usize,
        qkv: &Batch,
        out: &mut Batch,
    ) {
        let head_dim = self.config.head_dim;
        let place = self.place(layer, kv_head);
        let context = start + first + queries;
        let keys = Matrix::new(&self.keys[place..], context, head_dim);
        let values = Matrix::with_stride(&self.values[place..], head_dim, context, self.capacity);
        self.queries.pack(
            &qkv.values()[first * qkv.stride() + head * head_dim..],
            queries,
            head_dim,
            qkv.stride(),
        );
        gemm(keys, &self.queries, &mut self.scores, context);
        for (q, row) in self.scores[..queries * context].chunks_exact_mut(context).enumerate() {
            let (past, future) = row.split_at_mut(start + first + q + 1);
            scale_and_normalize(past, head_dim);
            future.fill(0.0);
        }
        self.probabilities.pack(&self.scores, queries, context, context);
        let stride = out.stride();
        gemm(
            values,
            &self.probabilities,
            &mut out.values_mut()[first * stride + head * head_dim..],
            stride,
        );
    }
}

/// Tokens that each of `tokens` queries from position `start` on attends to, added up.
fn contexts(start: usize, tokens: usize) -> usize {
    tokens * start + tokens * (tokens + 1) / 2
}

/// The softmax of `scores / sqrt(head_dim)`.
fn scale_and_normalize(scores: &mut [f32], head_dim: usize) {
    let scale = 1.0 / (head_dim as f32).sqrt();
    for score in &mut *scores {
        *score *= scale;
    }
    softmax(scores);
}

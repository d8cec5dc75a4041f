//! The transformer: one forward pass for a whole prompt (prefill) and for one token (decode).

use bottleneck_examples::declared::amount;
use bottleneck_examples::kernels::{add, rmsnorm, silu_mul};
use bottleneck_runtime::{Dtype, Work, bottleneck, work};

use crate::attention::Attention;
use crate::batch::Batch;
use crate::config::{BYTES, Config};
use crate::crew::Crew;
use crate::weights::{Layer, Weights};

/// The name of the phase in which a whole prompt is read: many tokens share each weight.
pub(crate) const PREFILL: &str = "prefill";
/// The name of the phase in which tokens are made one by one: every token streams all weights.
pub(crate) const DECODE: &str = "decode";

/// A model in use by one sequence: weights, threads, cache and activations.
#[derive(Debug)]
pub(crate) struct Model<'w> {
    weights: Weights<'w>,
    crew: Crew<'w>,
    attention: Attention,
    /// Tokens in the cache.
    len: usize,
    residual: Batch,
    normed: Batch,
    qkv: Batch,
    attended: Batch,
    update: Batch,
    gate_up: Batch,
    gated: Batch,
    last: Batch,
    logits: Batch,
}

impl<'w> Model<'w> {
    /// A model for sequences of at most `capacity` tokens, which come in batches of at most `batch`.
    pub(crate) fn new(
        config: &Config,
        weights: Weights<'w>,
        crew: Crew<'w>,
        capacity: usize,
        batch: usize,
    ) -> Self {
        let rows = |width| Batch::new(batch, width);
        Self {
            weights,
            crew,
            attention: Attention::new(config, capacity),
            len: 0,
            residual: rows(config.dim),
            normed: rows(config.dim),
            qkv: rows(config.qkv_rows()),
            attended: rows(config.heads * config.head_dim),
            update: rows(config.dim),
            gate_up: rows(2 * config.hidden),
            gated: rows(config.hidden),
            last: Batch::new(1, config.dim),
            logits: Batch::new(1, BYTES),
        }
    }

    /// Appends `tokens` to the sequence and returns the logits of what follows the last of them.
    ///
    /// # Panics
    /// If there are no tokens, or more than the model was made for.
    #[bottleneck(key = phase)]
    pub(crate) fn forward(&mut self, tokens: &[usize], phase: &str) -> &[f32] {
        assert!(!tokens.is_empty(), "{phase} needs a token");
        assert!(self.len + tokens.len() <= self.attention.capacity(), "{phase} overruns the cache");
        self.embed(tokens);
        for number in 0..self.weights.layers.len() {
            let layer = self.weights.layers[number];
            self.attention(&layer, number, tokens.len());
            self.mlp(&layer, tokens.len());
        }
        self.len += tokens.len();
        self.head(tokens.len() - 1)
    }

    /// Looks up the vectors of `tokens`.
    #[bottleneck]
    fn embed(&mut self, tokens: &[usize]) {
        work(Work::gather(amount(tokens.len()), self.residual.width(), Dtype::F32));
        for (t, &token) in tokens.iter().enumerate() {
            self.residual.row_mut(t).copy_from_slice(self.weights.embedding.row(token));
        }
    }

    /// Adds what every token finds in the tokens before it.
    #[bottleneck]
    fn attention(&mut self, layer: &Layer<'w>, number: usize, tokens: usize) {
        norm(&self.residual, layer.attention_norm, tokens, &mut self.normed);
        self.crew.linear(layer.qkv, &self.normed, tokens, &mut self.qkv);
        self.attention.append(number, self.len, tokens, &mut self.qkv);
        self.attention.attend(number, self.len, tokens, &self.qkv, &mut self.attended);
        self.crew.linear(layer.output, &self.attended, tokens, &mut self.update);
        add_rows(&mut self.residual, &self.update, tokens);
    }

    /// Adds the output of the gated layer.
    #[bottleneck]
    fn mlp(&mut self, layer: &Layer<'w>, tokens: usize) {
        norm(&self.residual, layer.mlp_norm, tokens, &mut self.normed);
        self.crew.linear(layer.gate_up, &self.normed, tokens, &mut self.gate_up);
        activate(&self.gate_up, tokens, &mut self.gated);
        self.crew.linear(layer.down, &self.gated, tokens, &mut self.update);
        add_rows(&mut self.residual, &self.update, tokens);
    }

    /// The logits of row `row`.
    #[bottleneck]
    fn head(&mut self, row: usize) -> &[f32] {
        rmsnorm(self.residual.row(row), self.weights.norm, self.last.row_mut(0));
        self.crew.linear(self.weights.head, &self.last, 1, &mut self.logits);
        self.logits.row(0)
    }
}

/// Normalizes every row.
#[bottleneck]
fn norm(x: &Batch, weight: &[f32], tokens: usize, out: &mut Batch) {
    for t in 0..tokens {
        rmsnorm(x.row(t), weight, out.row_mut(t));
    }
}

/// Multiplies the upper half of every row with the activated lower half.
#[bottleneck]
fn activate(gate_up: &Batch, tokens: usize, out: &mut Batch) {
    for t in 0..tokens {
        let (gate, up) = gate_up.row(t).split_at(out.width());
        silu_mul(gate, up, out.row_mut(t));
    }
}

/// Adds every row of `update` to the residual stream.
fn add_rows(residual: &mut Batch, update: &Batch, tokens: usize) {
    for t in 0..tokens {
        add(residual.row_mut(t), update.row(t));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    fn config(heads: usize, kv_heads: usize, layers: usize) -> Config {
        Config { dim: heads * 16, hidden: 112, layers, heads, kv_heads, head_dim: 16 }
    }

    fn tokens(len: usize) -> Vec<usize> {
        (0..len).map(|i| (i * 37 + i * i * 11 + 5) % (BYTES + 1)).collect()
    }

    #[track_caller]
    fn close(found: &[f32], expected: &[f32], what: &str) {
        assert_eq!(found.len(), expected.len());
        let largest = expected.iter().fold(0.0f32, |largest, v| largest.max(v.abs()));
        assert!(largest > 0.1 && largest < 100.0, "{what}: logits of order one, not {largest}");
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(
                (found - expected).abs() < 1e-4 * largest,
                "{what}: logit {i} is {found}, not {expected}"
            );
        }
    }

    #[test]
    fn prefill_agrees_with_the_plain_model() {
        for (heads, kv_heads, len) in [(4, 4, 1), (4, 1, 2), (6, 2, 65), (4, 2, 100), (3, 3, 33)] {
            let config = config(heads, kv_heads, 3);
            let values = reference::weights(&config);
            let weights = Weights::new(&config, &values);
            let tokens = tokens(len);
            let expected = reference::logits(&config, &weights, &tokens);
            let mut model = Model::new(&config, weights, Crew::single(), len, len);
            close(
                model.forward(&tokens, PREFILL),
                &expected,
                &format!("{config:?} of {len} tokens"),
            );
        }
    }

    #[test]
    fn decode_with_the_cache_agrees_with_prefill_of_the_same_tokens() {
        let config = config(4, 2, 2);
        let values = reference::weights(&config);
        let tokens = tokens(90);
        let prefill = |len: usize| {
            let mut model =
                Model::new(&config, Weights::new(&config, &values), Crew::single(), 90, 90);
            model.forward(&tokens[..len], PREFILL).to_vec()
        };
        let mut model = Model::new(&config, Weights::new(&config, &values), Crew::single(), 90, 90);
        model.forward(&tokens[..70], PREFILL);
        for len in 71..=90 {
            close(
                model.forward(&tokens[len - 1..len], DECODE),
                &prefill(len),
                &format!("decode of token {len}"),
            );
        }
    }

    #[test]
    fn a_prompt_in_two_batches_gives_the_same_logits() {
        let config = config(4, 2, 2);
        let values = reference::weights(&config);
        let tokens = tokens(100);
        let expected = reference::logits(&config, &Weights::new(&config, &values), &tokens);
        let mut model =
            Model::new(&config, Weights::new(&config, &values), Crew::single(), 100, 80);
        model.forward(&tokens[..30], PREFILL);
        close(model.forward(&tokens[30..], PREFILL), &expected, "the second batch");
    }

    #[test]
    fn helpers_change_nothing_but_the_time() {
        let config = config(6, 3, 2);
        let values = reference::weights(&config);
        let tokens = tokens(40);
        let expected = reference::logits(&config, &Weights::new(&config, &values), &tokens);
        for threads in [2, 3, 50] {
            std::thread::scope(|scope| {
                let crew = Crew::start(scope, threads).unwrap();
                let mut model = Model::new(&config, Weights::new(&config, &values), crew, 40, 40);
                model.forward(&tokens[..39], PREFILL);
                close(
                    model.forward(&tokens[39..], DECODE),
                    &expected,
                    &format!("{threads} threads"),
                );
            });
        }
    }
}

//! The same transformer in plain loops, without a cache, for tests: nothing here is shared with the fast one but the
//! layout of the weights.

use bottleneck_examples::kernels::Matrix;
use bottleneck_examples::random::fill_uniform;

use crate::config::Config;
use crate::weights::Weights;

/// Random weights in the layout of the file.
pub(crate) fn weights(config: &Config) -> Vec<f32> {
    let mut res = Vec::new();
    for (seed, tensor) in config.tensors().enumerate() {
        let mut values = vec![0.0; tensor.len];
        // Weights of norms are not one here, so that a forgotten one is seen.
        fill_uniform(&mut values, seed as u64 + 1, 0, tensor.scale.unwrap_or(0.5));
        if tensor.scale.is_none() {
            for value in &mut values {
                *value += 1.0;
            }
        }
        res.extend(values);
    }
    res
}

/// The logits after the last of `tokens`.
pub(crate) fn logits(config: &Config, weights: &Weights<'_>, tokens: &[usize]) -> Vec<f32> {
    let mut residual: Vec<Vec<f64>> =
        tokens.iter().map(|&token| wide(weights.embedding.row(token))).collect();
    for layer in &weights.layers {
        let qkv: Vec<_> =
            residual.iter().map(|x| multiply(layer.qkv, &norm(x, layer.attention_norm))).collect();
        for (t, x) in residual.iter_mut().enumerate() {
            add(x, &multiply(layer.output, &attend(config, &qkv[..=t])));
            let gate_up = multiply(layer.gate_up, &norm(x, layer.mlp_norm));
            let (gate, up) = gate_up.split_at(config.hidden);
            let gated: Vec<f64> =
                gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
            add(x, &multiply(layer.down, &gated));
        }
    }
    let last = residual.last().expect("at least one token");
    #[expect(clippy::cast_possible_truncation, reason = "compared with single precision")]
    multiply(weights.head, &norm(last, weights.norm)).iter().map(|v| *v as f32).collect()
}

/// What the last token finds; all heads side by side.
fn attend(config: &Config, qkv: &[Vec<f64>]) -> Vec<f64> {
    let Config { heads, kv_heads, head_dim, .. } = *config;
    let rotated = |t: usize, head: usize| rotate(&qkv[t][head * head_dim..][..head_dim], t);
    let mut res = Vec::new();
    for head in 0..heads {
        let kv_head = head * kv_heads / heads;
        let query = rotated(qkv.len() - 1, head);
        let scores: Vec<f64> = (0..qkv.len())
            .map(|t| dot(&query, &rotated(t, heads + kv_head)) / (head_dim as f64).sqrt())
            .map(f64::exp)
            .collect();
        let total: f64 = scores.iter().sum();
        let values = (heads + kv_heads + kv_head) * head_dim;
        res.extend(
            (0..head_dim).map(|i| {
                (0..qkv.len()).map(|t| scores[t] / total * qkv[t][values + i]).sum::<f64>()
            }),
        );
    }
    res
}

fn rotate(head: &[f64], position: usize) -> Vec<f64> {
    let half = head.len() / 2;
    (0..head.len())
        .map(|i| {
            let angle = position as f64 / 10_000f64.powf((i % half) as f64 / half as f64);
            let (a, b) = (head[i % half], head[i % half + half]);
            if i < half {
                a * angle.cos() - b * angle.sin()
            } else {
                a * angle.sin() + b * angle.cos()
            }
        })
        .collect()
}

fn norm(x: &[f64], weight: &[f32]) -> Vec<f64> {
    let mean = dot(x, x) / x.len() as f64;
    x.iter().zip(weight).map(|(x, w)| x / (mean + 1e-5).sqrt() * f64::from(*w)).collect()
}

fn multiply(w: Matrix<'_>, x: &[f64]) -> Vec<f64> {
    (0..w.rows()).map(|r| dot(&wide(w.row(r)), x)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|v| f64::from(*v)).collect()
}

//! The dimensions of the model, and how they follow from the bytes that a decode step shall stream.

/// Values of the vocabulary that can be sampled: all bytes.
pub(crate) const BYTES: usize = 256;
/// The token before the first byte of a text; never sampled.
pub(crate) const START: usize = BYTES;

/// Dimensions of a decoder-only transformer with grouped-query attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Width of the residual stream; `heads * head_dim`.
    pub(crate) dim: usize,
    /// Width of the gated layer.
    pub(crate) hidden: usize,
    /// Number of layers.
    pub(crate) layers: usize,
    /// Query heads.
    pub(crate) heads: usize,
    /// Key and value heads; divides `heads`.
    pub(crate) kv_heads: usize,
    /// Width of a head; even.
    pub(crate) head_dim: usize,
}

/// One tensor of the weights file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tensor {
    /// Number of values; a multiple of 16.
    pub(crate) len: usize,
    /// Half the range of the uniform values, or `None` for ones.
    pub(crate) scale: Option<f32>,
}

impl Config {
    /// A model that streams at least `bytes` of weights per decode step: the widest one with at least eight layers.
    pub(crate) fn streaming(bytes: u64) -> Self {
        let wanted = usize::try_from(bytes / 4).unwrap_or(usize::MAX);
        let widths = [4096, 3072, 2048, 1536, 1024, 512, 256, 128];
        let config =
            widths.map(Self::of_width).into_iter().find(|it| it.layer_values() <= wanted / 8);
        let config = config.unwrap_or(Self::of_width(128));
        let around_layers = config.dim + BYTES * config.dim;
        let layers = wanted.saturating_sub(around_layers).div_ceil(config.layer_values()).max(1);
        Self { layers, ..config }
    }

    fn of_width(dim: usize) -> Self {
        let head_dim = match dim {
            ..256 => 32,
            256..1024 => 64,
            _ => 128,
        };
        let heads = dim / head_dim;
        let hidden = (dim * 8).div_ceil(3).next_multiple_of(64);
        Self { dim, hidden, layers: 1, heads, kv_heads: heads / 4, head_dim }
    }

    /// Outputs of the joint projection to queries, keys and values.
    pub(crate) fn qkv_rows(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Values of one layer.
    fn layer_values(&self) -> usize {
        2 * self.dim + self.dim * (self.qkv_rows() + self.dim + 3 * self.hidden)
    }

    /// Bytes of weights that one decode step reads: everything but the embedding, of which it reads one row.
    pub(crate) fn streamed_bytes(&self) -> u64 {
        4 * (self.layers * self.layer_values() + self.dim + BYTES * self.dim) as u64
    }

    /// Values of all tensors.
    pub(crate) fn values(&self) -> usize {
        self.tensors().map(|tensor| tensor.len).sum()
    }

    /// Every tensor in the order of the file: embedding, layers (norm, qkv, output, norm, gate and up, down), norm, head.
    ///
    /// A product of `n` unit values with uniform weights of half-range `sqrt(3 / n)` has unit variance again. What is
    /// added to the residual stream is scaled down by the number of additions, so that activations stay of order one.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = Tensor> + use<> {
        let config = *self;
        let unit = |n: usize| (3.0 / n as f32).sqrt();
        let residual = 1.0 / (2.0 * config.layers as f32).sqrt();
        let norm = Tensor { len: config.dim, scale: None };
        let matrix = |rows: usize, cols: usize, gain: f32| Tensor {
            len: rows * cols,
            scale: Some(gain * unit(cols)),
        };
        let layer = [
            norm,
            matrix(config.qkv_rows(), config.dim, 1.0),
            matrix(config.dim, config.heads * config.head_dim, residual),
            norm,
            matrix(2 * config.hidden, config.dim, 1.0),
            matrix(config.dim, config.hidden, 2.0 * residual),
        ];
        let embedding = Tensor { len: (BYTES + 1) * config.dim, scale: Some(unit(1)) };
        // A gain of four gives a distribution with a few likely tokens instead of a flat one.
        let end = [norm, matrix(BYTES, config.dim, 4.0)];
        std::iter::once(embedding).chain((0..config.layers).flat_map(move |_| layer)).chain(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decode_step_streams_at_least_what_was_asked_and_not_much_more() {
        for mib in [1, 3, 32, 100, 512, 1040, 4096, 20_000] {
            let config = Config::streaming(mib << 20);
            assert!(config.streamed_bytes() >= mib << 20, "{mib} MiB: {config:?}");
            assert!(
                config.streamed_bytes() <= ((mib << 20) * 9 / 8).max(2 << 20),
                "{mib} MiB: {config:?}"
            );
        }
    }

    #[test]
    fn dimensions_fit_together() {
        for mib in [1, 3, 32, 100, 512, 1040, 4096, 20_000] {
            let it = Config::streaming(mib << 20);
            assert_eq!(it.heads * it.head_dim, it.dim);
            assert!(
                it.kv_heads > 0
                    && it.heads.is_multiple_of(it.kv_heads)
                    && it.head_dim.is_multiple_of(2)
            );
            assert!(it.tensors().all(|tensor| tensor.len.is_multiple_of(16)));
            let embedding = (BYTES + 1) * it.dim * 4;
            assert_eq!(it.values() as u64 * 4, it.streamed_bytes() + embedding as u64);
        }
    }
}

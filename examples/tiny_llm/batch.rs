//! Activations: one row of values per token.

/// Up to a fixed number of rows, whose memory is touched when the batch is made and never grows.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    values: Vec<f32>,
    width: usize,
    stride: usize,
}

impl Batch {
    /// Room for `rows` rows of `width` zeros.
    pub(crate) fn new(rows: usize, width: usize) -> Self {
        // Rows a power of two apart would fall on the same few sets of the caches.
        let stride = width.next_multiple_of(16) + 16;
        Self { values: touched(rows * stride), width, stride }
    }

    /// Values per row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Values from the start of one row to the start of the next.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Row `row`.
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.stride..][..self.width]
    }

    /// Row `row`, to write.
    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.values[row * self.stride..][..self.width]
    }

    /// All rows with what lies between them.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// All rows with what lies between them, to write.
    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

/// `len` zeros, written now: untouched pages would be counted against the first span that uses them.
pub(crate) fn touched(len: usize) -> Vec<f32> {
    let mut res = Vec::with_capacity(len);
    res.resize(len, 0.0);
    res
}

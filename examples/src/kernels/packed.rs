//! The rows of a batch in the order in which the matrix kernel reads them.

use super::Isa;

/// A batch of rows, cut into panels of as many rows as a kernel tile holds, each panel stored column by column.
///
/// Rows are padded with zeros to the width of the last panel. The buffers grow to the largest batch and are reused.
#[derive(Clone, Debug)]
pub struct Packed {
    values: Vec<f32>,
    panels: Vec<Panel>,
    rows: usize,
    cols: usize,
    isa: Isa,
}

/// `width` consecutive rows of the batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel {
    /// First row of the batch in this panel.
    pub(super) first: usize,
    /// Rows in the tile, padding included.
    pub(super) width: usize,
    /// Rows that exist; `used <= width`.
    pub(super) used: usize,
    /// Where the panel starts in the packed values; column `c` starts at `offset + c * width`.
    pub(super) offset: usize,
}

impl Packed {
    /// An empty batch for the widest instructions of this processor.
    #[must_use]
    pub fn new() -> Self {
        Self::for_isa(Isa::detected())
    }

    /// An empty batch for the kernels of `isa`.
    ///
    /// # Panics
    /// If this processor cannot run `isa`.
    #[must_use]
    pub fn for_isa(isa: Isa) -> Self {
        assert!(isa <= Isa::detected(), "this processor has no {isa:?}");
        Self { values: Vec::new(), panels: Vec::new(), rows: 0, cols: 0, isa }
    }

    /// Replaces the batch by `rows` rows of `cols` values; row `t` starts at `source[t * stride]`.
    ///
    /// # Panics
    /// If `source` ends before the last row does.
    pub fn pack(&mut self, source: &[f32], rows: usize, cols: usize, stride: usize) {
        (self.rows, self.cols) = (rows, cols);
        self.panels.clear();
        let mut first = 0;
        let mut offset = 0;
        while first < rows {
            let width = panel_width(self.isa, rows - first);
            let used = width.min(rows - first);
            self.panels.push(Panel { first, width, used, offset });
            first += used;
            offset += width * cols;
        }
        // Only grows: what is left over from a larger batch is never read.
        if self.values.len() < offset {
            self.values.resize(offset, 0.0);
        }
        for &panel in &self.panels {
            let target = &mut self.values[panel.offset..][..panel.width * cols];
            pack_panel(target, panel, &source[panel.first * stride..], cols, stride);
        }
    }

    /// Number of rows of the batch.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of values per row.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    pub(super) fn isa(&self) -> Isa {
        self.isa
    }

    pub(super) fn panels(&self) -> &[Panel] {
        &self.panels
    }

    /// The columns `from..to` of a panel.
    pub(super) fn columns(&self, panel: Panel, from: usize, to: usize) -> &[f32] {
        &self.values[panel.offset + from * panel.width..panel.offset + to * panel.width]
    }
}

impl Default for Packed {
    fn default() -> Self {
        Self::new()
    }
}

/// Transposes the rows of one panel, block by block so that the source lines stay in the first-level cache.
fn pack_panel(target: &mut [f32], panel: Panel, source: &[f32], cols: usize, stride: usize) {
    const BLOCK: usize = 16;
    let width = panel.width;
    for from in (0..cols).step_by(BLOCK) {
        let to = cols.min(from + BLOCK);
        for t in 0..panel.used {
            let row = &source[t * stride..][from..to];
            for (value, column) in
                row.iter().zip(target[from * width..to * width].chunks_exact_mut(width))
            {
                column[t] = *value;
            }
        }
        for column in target[from * width..to * width].chunks_exact_mut(width) {
            column[panel.used..].fill(0.0);
        }
    }
}

/// Rows in the next tile when `left` rows are left.
fn panel_width(isa: Isa, left: usize) -> usize {
    match isa {
        Isa::Avx512 if left > 32 => 64,
        Isa::Avx512 if left > 16 => 32,
        Isa::Avx512 | Isa::Avx2 => 16,
        Isa::Plain => super::gemm::PLAIN_WIDTH,
    }
}

//! Single-precision kernels of a transformer: matrix times vector, matrix times matrix, and the small row operations.
//!
//! Each kernel picks the widest vectors of the processor at run time ([`Isa`]) and is tested against plain loops for
//! every width that the machine has. Kernels allocate nothing, start no thread, and never look at who calls them. [`matvec`] and [`matmul`] are spans that
//! declare their work; `gemv` and `gemm` do the same unseen, for callers that declare a larger whole.

#![expect(unsafe_code, reason = "vector instructions need pointers and run-time detected features")]

use bottleneck_runtime::bottleneck;

use crate::declared::amount;

mod gemm;
mod gemv;
mod isa;
mod packed;
mod rows;
#[cfg(test)]
mod speed;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use gemm::gemm;
pub use gemv::gemv;
pub use isa::Isa;
pub use packed::Packed;
pub use rows::{add, rmsnorm, rope, silu_mul, softmax, sum};

/// A matrix of `rows` x `cols` values in row-major order; row `r` starts at `r * stride`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    cols: usize,
    stride: usize,
}

impl<'a> Matrix<'a> {
    /// A matrix without gaps between its rows.
    ///
    /// # Panics
    /// If `values` is shorter than `rows * cols`.
    #[must_use]
    pub fn new(values: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::with_stride(values, rows, cols, cols)
    }

    /// A matrix whose rows start `stride` values apart.
    ///
    /// # Panics
    /// If `stride` is less than `cols`, or `values` ends before the last row does.
    #[must_use]
    pub fn with_stride(values: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(cols <= stride, "{cols} columns do not fit a stride of {stride}");
        let needed = if rows == 0 { 0 } else { (rows - 1) * stride + cols };
        assert!(
            needed <= values.len(),
            "{rows} x {cols} with stride {stride} needs more than {}",
            values.len()
        );
        Self { values, rows, cols, stride }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The values of row `row`.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> &'a [f32] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        &self.values[row * self.stride..][..self.cols]
    }

    /// The rows `from..to` as a matrix of their own.
    ///
    /// # Panics
    /// If there are no such rows.
    #[must_use]
    pub fn row_range(&self, from: usize, to: usize) -> Self {
        assert!(from <= to && to <= self.rows, "rows {from}..{to} of {}", self.rows);
        let values = if from == to { &[] } else { &self.values[from * self.stride..] };
        Self::with_stride(values, to - from, self.cols, self.stride)
    }
}

/// `y = w x`: one pass over the matrix, limited by the speed of memory when the matrix is larger than the caches.
///
/// # Panics
/// If the lengths do not match the matrix.
#[bottleneck(
    flops = amount(2 * w.rows * w.cols),
    bytes = amount(4 * (w.rows * w.cols + w.cols + w.rows)),
    dtype = f32
)]
pub fn matvec(w: Matrix<'_>, x: &[f32], y: &mut [f32]) {
    gemv(Isa::detected(), w, x, y);
}

/// `y[t * y_stride + r] = w[r] . x[t]` for every packed row `t` of `x` and every row `r` of `w`.
///
/// # Panics
/// If the sizes of `w`, `x` and `y` do not fit together.
#[bottleneck(
    flops = amount(2 * w.rows * w.cols * x.rows()),
    bytes = amount(4 * (w.rows * w.cols + x.rows() * (w.cols + w.rows))),
    dtype = f32
)]
pub fn matmul(w: Matrix<'_>, x: &Packed, y: &mut [f32], y_stride: usize) {
    gemm(w, x, y, y_stride);
}

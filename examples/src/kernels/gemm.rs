//! Matrix times matrix: `y = x w^T`, with the rows of the batch in the vector lanes.
//!
//! A tile holds the products of a few weight rows with a panel of batch rows in registers: a weight is loaded once,
//! spread over all lanes, and multiplied with one vector after the other. So the weights stream from memory in the
//! order in which they lie there, and only the (small) batch is packed.

use super::packed::Panel;
use super::{Isa, Matrix, Packed};

/// Most columns per pass: 64 rows of a panel then take 384 KiB, which second-level caches hold.
const COLUMN_BLOCK: usize = 1536;
/// Weight rows per tile of the vector kernels: six rows of four vectors leave eight registers for operands.
pub(super) const TILE_ROWS: usize = 6;
/// Lanes of the largest tile.
pub(super) const MAX_WIDTH: usize = 64;
/// Lanes of the plain tile: what fits into 16 registers of four lanes, or 32 of them.
pub(super) const PLAIN_WIDTH: usize = if cfg!(target_arch = "aarch64") { 16 } else { 8 };
/// Weight rows of the plain tile.
const PLAIN_ROWS: usize = 4;

/// The products of one tile: row after row, each as wide as its panel.
type Products = [f32; TILE_ROWS * MAX_WIDTH];

/// `y[t * y_stride + r] = w[r] . x[t]`.
///
/// # Panics
/// If `x` has another number of columns than `w`, or `y` is too small.
pub fn gemm(w: Matrix<'_>, x: &Packed, y: &mut [f32], y_stride: usize) {
    assert_eq!(w.cols, x.cols(), "columns of the matrix and of the batch");
    assert!(w.rows <= y_stride, "{} outputs do not fit a stride of {y_stride}", w.rows);
    assert!(
        x.rows() == 0 || (x.rows() - 1) * y_stride + w.rows <= y.len(),
        "the output is too short"
    );
    if w.cols == 0 {
        for row in y.chunks_mut(y_stride.max(1)).take(x.rows()) {
            row[..w.rows].fill(0.0);
        }
        return;
    }
    let mut products: Products = [0.0; TILE_ROWS * MAX_WIDTH];
    let block = w.cols.div_ceil(w.cols.div_ceil(COLUMN_BLOCK));
    for from in (0..w.cols).step_by(block) {
        let columns = (from, w.cols.min(from + block));
        let mut row = 0;
        while row < w.rows {
            let rows = tile_rows(x.isa(), w.rows - row);
            for &panel in x.panels() {
                tile(w, row, rows, x, panel, columns, &mut products);
                let target = &mut y[panel.first * y_stride + row..];
                store(&products, rows, panel, target, y_stride, from > 0);
            }
            row += rows;
        }
    }
}

/// Weight rows of the next tile when `left` rows are left; single rows at the end take the one-row tiles.
fn tile_rows(isa: Isa, left: usize) -> usize {
    let full = if isa == Isa::Plain { PLAIN_ROWS } else { TILE_ROWS };
    if left >= full { full } else { 1 }
}

/// Computes one tile into `products`.
fn tile(
    w: Matrix<'_>,
    row: usize,
    rows: usize,
    x: &Packed,
    panel: Panel,
    (from, to): (usize, usize),
    products: &mut Products,
) {
    debug_assert!(
        row + rows <= w.rows && from < to && to <= w.cols,
        "a tile lies within the matrix"
    );
    let weights = &w.values[row * w.stride + from..][..(rows - 1) * w.stride + to - from];
    let columns = x.columns(panel, from, to);
    #[cfg(target_arch = "x86_64")]
    if rows == TILE_ROWS {
        use super::x86;
        let run = match (x.isa(), panel.width) {
            (Isa::Avx512, 64) => x86::tile_avx512_64,
            (Isa::Avx512, 32) => x86::tile_avx512_32,
            (Isa::Avx512, 16) => x86::tile_avx512_16,
            (Isa::Avx2, 16) => x86::tile_avx2_16,
            _ => unreachable!("no panel of {} rows is packed for {:?}", panel.width, x.isa()),
        };
        // SAFETY: `Packed::for_isa` asserts that the processor has the instructions; `weights` holds six rows of
        // `to - from` values at `w.stride`, `columns` holds `to - from` columns of `panel.width`, and `products` six
        // rows of at most 64: the slices above checked all of it.
        unsafe {
            run(weights.as_ptr(), w.stride, columns.as_ptr(), to - from, products.as_mut_ptr());
        }
        return;
    }
    match (rows, panel.width) {
        (PLAIN_ROWS, PLAIN_WIDTH) => {
            plain_tile::<PLAIN_ROWS, PLAIN_WIDTH>(weights, w.stride, columns, products);
        }
        (_, 64) => plain_tile::<1, 64>(weights, w.stride, columns, products),
        (_, 32) => plain_tile::<1, 32>(weights, w.stride, columns, products),
        (_, 16) => plain_tile::<1, 16>(weights, w.stride, columns, products),
        _ => plain_tile::<1, PLAIN_WIDTH>(weights, w.stride, columns, products),
    }
}

/// A tile in plain loops that the compiler turns into the vectors of the target.
fn plain_tile<const ROWS: usize, const WIDTH: usize>(
    weights: &[f32],
    stride: usize,
    columns: &[f32],
    products: &mut Products,
) {
    let mut sums = [[0.0f32; WIDTH]; ROWS];
    for (c, column) in columns.as_chunks::<WIDTH>().0.iter().enumerate() {
        for (r, sums) in sums.iter_mut().enumerate() {
            let weight = weights[r * stride + c];
            for (sum, value) in sums.iter_mut().zip(column) {
                // A fused form is a library call where the target lacks it.
                *sum = if cfg!(target_arch = "aarch64") {
                    weight.mul_add(*value, *sum)
                } else {
                    *sum + weight * value
                };
            }
        }
    }
    for (row, sums) in products.chunks_exact_mut(WIDTH).zip(&sums) {
        row.copy_from_slice(sums);
    }
}

/// Turns a tile round into the rows of the output; `add` after the first block of columns.
fn store(
    products: &Products,
    rows: usize,
    panel: Panel,
    y: &mut [f32],
    y_stride: usize,
    add: bool,
) {
    if rows == TILE_ROWS {
        store_rows::<TILE_ROWS>(products, panel, y, y_stride, add);
    } else if rows == PLAIN_ROWS {
        store_rows::<PLAIN_ROWS>(products, panel, y, y_stride, add);
    } else {
        store_rows::<1>(products, panel, y, y_stride, add);
    }
}

fn store_rows<const ROWS: usize>(
    products: &Products,
    panel: Panel,
    y: &mut [f32],
    y_stride: usize,
    add: bool,
) {
    let rows: [&[f32]; ROWS] = std::array::from_fn(|r| &products[r * panel.width..][..panel.used]);
    for (t, target) in y.chunks_mut(y_stride).take(panel.used).enumerate() {
        let Some(target) = target.first_chunk_mut::<ROWS>() else {
            unreachable!("`gemm` checked the output")
        };
        let column = rows.map(|row| row[t]);
        if add {
            for (value, product) in target.iter_mut().zip(column) {
                *value += product;
            }
        } else {
            *target = column;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::fill_uniform;

    /// Compares with plain loops; the output has gaps that must stay untouched.
    #[track_caller]
    fn check(isa: Isa, rows: usize, cols: usize, batch: usize) {
        let (stride, x_stride, y_stride) = (cols + 3, cols + 1, rows + 2);
        let mut weights = vec![0.0; rows * stride];
        let mut inputs = vec![0.0; batch * x_stride];
        fill_uniform(&mut weights, 1, 0, 1.0);
        fill_uniform(&mut inputs, 2, 0, 1.0);
        let w = Matrix::with_stride(&weights, rows, cols, stride);
        let mut packed = Packed::for_isa(isa);
        packed.pack(&vec![9.0; (batch + 1) * (cols + 2)], batch + 1, cols + 2, cols + 2); // leaves old values behind
        packed.pack(&inputs, batch, cols, x_stride);
        let mut y = vec![7.0; batch * y_stride];
        gemm(w, &packed, &mut y, y_stride);
        for t in 0..batch {
            for r in 0..rows {
                let expected: f64 = (0..cols)
                    .map(|c| f64::from(w.row(r)[c]) * f64::from(inputs[t * x_stride + c]))
                    .sum();
                let found = f64::from(y[t * y_stride + r]);
                assert!(
                    (found - expected).abs() < 1e-4 * (cols as f64).sqrt().max(1.0),
                    "{isa:?} {rows}x{cols} batch {batch}: y[{t}][{r}] is {found}, not {expected}"
                );
            }
            assert_eq!(
                y[t * y_stride + rows..][..2],
                [7.0, 7.0],
                "{isa:?} {rows}x{cols} batch {batch} row {t}"
            );
        }
    }

    #[test]
    fn every_width_agrees_with_plain_loops_at_odd_sizes() {
        for isa in Isa::available() {
            for rows in [1, 2, 5, 6, 7, 13, 18] {
                for cols in [1, 3, 16, 65] {
                    for batch in [1, 2, 15, 16, 17, 33, 64, 65, 100] {
                        check(isa, rows, cols, batch);
                    }
                }
            }
        }
    }

    #[test]
    fn sums_go_on_over_the_blocks_of_columns() {
        for isa in Isa::available() {
            for cols in [COLUMN_BLOCK - 1, COLUMN_BLOCK, COLUMN_BLOCK + 1, 2 * COLUMN_BLOCK + 5] {
                check(isa, 8, cols, 20);
            }
        }
    }

    #[test]
    fn empty_matrices_give_empty_products() {
        for isa in Isa::available() {
            check(isa, 0, 4, 3);
            check(isa, 4, 0, 3);
            check(isa, 4, 4, 0);
        }
    }
}

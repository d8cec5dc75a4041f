//! Matrix times vector: one dot product per row, in the order in which the rows lie in memory.

use super::{Isa, Matrix};

/// `y[r] = w[r] . x`.
///
/// # Panics
/// If the lengths do not match the matrix, or this processor cannot run `isa`.
pub fn gemv(isa: Isa, w: Matrix<'_>, x: &[f32], y: &mut [f32]) {
    assert!(isa <= Isa::detected(), "this processor has no {isa:?}");
    assert_eq!(w.cols, x.len(), "columns of the matrix and length of the vector");
    assert_eq!(w.rows, y.len(), "rows of the matrix and length of the result");
    for (r, out) in y.iter_mut().enumerate() {
        *out = dot(isa, w.row(r), x);
    }
}

/// The dot product of two slices of one length.
fn dot(isa: Isa, a: &[f32], b: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if isa >= Isa::Avx2 {
        // SAFETY: `gemv` asserts that the processor has the instructions.
        return unsafe { super::x86::dot_avx2(a, b) };
    }
    let _ = isa;
    plain_dot(a, b)
}

/// A dot product whose partial sums are independent, so that the compiler can use vectors.
fn plain_dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 32;
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::fill_uniform;

    #[test]
    fn every_width_agrees_with_plain_loops_at_odd_sizes() {
        for isa in Isa::available() {
            for rows in [0, 1, 2, 5] {
                for cols in (0..70).chain([127, 128, 129, 1000, 4097]) {
                    let stride = cols + 5;
                    let mut weights = vec![0.0; rows * stride];
                    let mut x = vec![0.0; cols];
                    fill_uniform(&mut weights, 3, 0, 1.0);
                    fill_uniform(&mut x, 4, 0, 1.0);
                    let w = Matrix::with_stride(&weights, rows, cols, stride);
                    let mut y = vec![f32::NAN; rows];
                    gemv(isa, w, &x, &mut y);
                    for (r, found) in y.iter().enumerate() {
                        let expected: f64 = w
                            .row(r)
                            .iter()
                            .zip(&x)
                            .map(|(a, b)| f64::from(*a) * f64::from(*b))
                            .sum();
                        let error = (f64::from(*found) - expected).abs();
                        assert!(
                            error < 1e-4,
                            "{isa:?} {rows}x{cols}: y[{r}] is {found}, not {expected}"
                        );
                    }
                }
            }
        }
    }
}

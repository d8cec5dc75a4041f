//! Declared work: how many operations a call performs and how many bytes it must move.
//!
//! Bytes are *compulsory* traffic: what would cross the memory bus if every value were fetched once and written once.

/// Type of the operands, which chooses the compute ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Dtype {
    /// 32-bit floating point.
    F32 = 0,
    /// 16-bit floating point, IEEE.
    F16 = 1,
    /// 16-bit floating point, 8-bit exponent.
    Bf16 = 2,
    /// 8-bit integers.
    I8 = 3,
}

impl Dtype {
    /// Bytes of one value.
    pub const fn bytes(self) -> f64 {
        match self {
            Self::F32 => 4.0,
            Self::F16 | Self::Bf16 => 2.0,
            Self::I8 => 1.0,
        }
    }
}

/// The work of one call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// Operations; a multiply-add counts as two.
    pub flops: f64,
    /// Compulsory bytes, read and written.
    pub bytes: f64,
    /// Type of the operands.
    pub dtype: Dtype,
}

impl Work {
    /// `C[m][n] = A[m][k] * B[k][n]`: 2mnk operations; each matrix crosses the bus once.
    pub fn matmul(m: usize, n: usize, k: usize, dtype: Dtype) -> Self {
        let (m, n, k) = (m as f64, n as f64, k as f64);
        Self { flops: 2.0 * m * n * k, bytes: (m * k + k * n + m * n) * dtype.bytes(), dtype }
    }

    /// `y[rows] = A[rows][cols] * x[cols]`: 2 operations a weight; every weight crosses the bus once.
    pub fn matvec(rows: usize, cols: usize, dtype: Dtype) -> Self {
        Self::matmul(rows, 1, cols, dtype)
    }

    /// Attention of `queries` new positions over `context` keys and values, `heads` heads of `head_dim`:
    /// `4 * heads * queries * context * head_dim` operations (scores and the weighted sum; softmax is not counted);
    /// keys, values, queries and outputs cross the bus once.
    pub fn attention(
        heads: usize,
        queries: usize,
        context: usize,
        head_dim: usize,
        dtype: Dtype,
    ) -> Self {
        let (heads, queries, context, width) =
            (heads as f64, queries as f64, context as f64, head_dim as f64);
        Self {
            flops: 4.0 * heads * queries * context * width,
            bytes: 2.0 * heads * width * (context + queries) * dtype.bytes(),
            dtype,
        }
    }

    /// `rows` rows of `width` values, read from anywhere and written in order: no operations.
    pub fn gather(rows: usize, width: usize, dtype: Dtype) -> Self {
        Self { flops: 0.0, bytes: 2.0 * rows as f64 * width as f64 * dtype.bytes(), dtype }
    }

    /// A copy of `bytes` bytes: read once, written once.
    pub fn copy(bytes: usize) -> Self {
        Self { flops: 0.0, bytes: 2.0 * bytes as f64, dtype: Dtype::F32 }
    }
}

/// A number in `flops = ...` or `bytes = ...`.
pub trait Amount {
    /// The value as `f64`; counts above 2^53 lose their last digits, which no verdict depends on.
    fn amount(self) -> f64;
}

/// The value of a number as `f64`.
#[inline(always)]
pub fn amount<A: Amount>(value: A) -> f64 {
    value.amount()
}

macro_rules! amounts {
    ($($number:ty),*) => {$(
        impl Amount for $number {
            #[inline(always)]
            fn amount(self) -> f64 {
                #[expect(clippy::allow_attributes, reason = "which of the lints fires depends on the type")]
                #[allow(clippy::cast_lossless, trivial_numeric_casts, clippy::unnecessary_cast, reason = "one body for every number")]
                let amount = self as f64;
                amount
            }
        }
        impl Amount for &$number {
            #[inline(always)]
            fn amount(self) -> f64 {
                (*self).amount()
            }
        }
    )*};
}
amounts!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "small whole numbers are exact")]
    fn presets_count_what_their_formulas_say() {
        assert_eq!(
            Work::matvec(10, 20, Dtype::F32),
            Work { flops: 400.0, bytes: 920.0, dtype: Dtype::F32 }
        );
        assert_eq!(Work::matmul(2, 3, 4, Dtype::F16).bytes, 52.0);
        assert_eq!(Work::attention(2, 1, 8, 4, Dtype::I8).flops, 256.0);
        assert_eq!(Work::copy(5).bytes, 10.0);
        assert_eq!(Work::gather(2, 3, Dtype::Bf16).bytes, 24.0);
    }
}

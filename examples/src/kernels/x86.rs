//! The tiles and the dot product in AVX2 and AVX-512.
//!
//! The AVX-512 tiles are written in assembly: the intrinsics are younger than the oldest supported compiler, and the
//! registers stay where they belong. Every function reads and writes exactly what its safety section says.

use std::arch::asm;
use std::arch::x86_64::{
    __m256, _MM_HINT_T0, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehdup_ps, _mm_movehl_ps,
    _mm_prefetch, _mm256_add_ps, _mm256_broadcast_ss, _mm256_castps256_ps128,
    _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps,
};

/// How far ahead of the load the dot product asks for memory, in bytes: the hardware stops at the end of a page.
const PREFETCH_AHEAD: usize = 4096;

/// Declares one AVX-512 tile. `$load` are the vector loads of a column, `$row` the products of one weight row.
macro_rules! tile_avx512 {
    ($name:ident, $width:literal, $step:literal, load [$($load:literal),*], rows [$($row:literal),*], store [$($store:literal),*]) => {
        #[doc = concat!("Products of six weight rows with ", $width, " batch rows.")]
        ///
        /// # Safety
        /// The processor has AVX-512F. `weights` points to six rows of `cols` values, `stride` values apart, `columns`
        /// to `cols` packed columns of this tile's width, `products` to room for six rows of this width; `cols > 0`.
        pub(super) unsafe fn $name(
            weights: *const f32,
            stride: usize,
            columns: *const f32,
            cols: usize,
            products: *mut f32,
        ) {
            // SAFETY: reads and writes what the caller promises; clobbers are declared, the stack is not used.
            unsafe {
                asm!(
                    "vpxord zmm0, zmm0, zmm0", "vmovaps zmm1, zmm0", "vmovaps zmm2, zmm0", "vmovaps zmm3, zmm0",
                    "vmovaps zmm4, zmm0", "vmovaps zmm5, zmm0", "vmovaps zmm6, zmm0", "vmovaps zmm7, zmm0",
                    "vmovaps zmm8, zmm0", "vmovaps zmm9, zmm0", "vmovaps zmm10, zmm0", "vmovaps zmm11, zmm0",
                    "vmovaps zmm12, zmm0", "vmovaps zmm13, zmm0", "vmovaps zmm14, zmm0", "vmovaps zmm15, zmm0",
                    "vmovaps zmm16, zmm0", "vmovaps zmm17, zmm0", "vmovaps zmm18, zmm0", "vmovaps zmm19, zmm0",
                    "vmovaps zmm20, zmm0", "vmovaps zmm21, zmm0", "vmovaps zmm22, zmm0", "vmovaps zmm23, zmm0",
                    "2:",
                    $($load,)*
                    $($row,)*
                    concat!("add {x}, ", $step),
                    "add {a}, 4",
                    "add {b}, 4",
                    "dec {n}",
                    "jnz 2b",
                    $($store,)*
                    "vzeroupper",
                    a = inout(reg) weights => _,
                    b = inout(reg) weights.wrapping_add(3 * stride) => _,
                    s = in(reg) stride * size_of::<f32>(),
                    x = inout(reg) columns => _,
                    n = inout(reg) cols => _,
                    y = in(reg) products,
                    out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
                    out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
                    out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _, out("zmm16") _, out("zmm17") _,
                    out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _, out("zmm22") _, out("zmm23") _,
                    out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _, out("zmm28") _, out("zmm29") _,
                    out("zmm30") _, out("zmm31") _,
                    options(nostack),
                );
            }
        }
    };
}

tile_avx512!(
    tile_avx512_64, 64, 256,
    load [
        "vmovups zmm24, [{x}]", "vmovups zmm25, [{x} + 64]", "vmovups zmm26, [{x} + 128]", "vmovups zmm27, [{x} + 192]"
    ],
    rows [
        "vbroadcastss zmm28, [{a}]",
        "vfmadd231ps zmm0, zmm24, zmm28", "vfmadd231ps zmm1, zmm25, zmm28",
        "vfmadd231ps zmm2, zmm26, zmm28", "vfmadd231ps zmm3, zmm27, zmm28",
        "vbroadcastss zmm29, [{a} + {s}]",
        "vfmadd231ps zmm4, zmm24, zmm29", "vfmadd231ps zmm5, zmm25, zmm29",
        "vfmadd231ps zmm6, zmm26, zmm29", "vfmadd231ps zmm7, zmm27, zmm29",
        "vbroadcastss zmm30, [{a} + 2*{s}]",
        "vfmadd231ps zmm8, zmm24, zmm30", "vfmadd231ps zmm9, zmm25, zmm30",
        "vfmadd231ps zmm10, zmm26, zmm30", "vfmadd231ps zmm11, zmm27, zmm30",
        "vbroadcastss zmm31, [{b}]",
        "vfmadd231ps zmm12, zmm24, zmm31", "vfmadd231ps zmm13, zmm25, zmm31",
        "vfmadd231ps zmm14, zmm26, zmm31", "vfmadd231ps zmm15, zmm27, zmm31",
        "vbroadcastss zmm28, [{b} + {s}]",
        "vfmadd231ps zmm16, zmm24, zmm28", "vfmadd231ps zmm17, zmm25, zmm28",
        "vfmadd231ps zmm18, zmm26, zmm28", "vfmadd231ps zmm19, zmm27, zmm28",
        "vbroadcastss zmm29, [{b} + 2*{s}]",
        "vfmadd231ps zmm20, zmm24, zmm29", "vfmadd231ps zmm21, zmm25, zmm29",
        "vfmadd231ps zmm22, zmm26, zmm29", "vfmadd231ps zmm23, zmm27, zmm29"
    ],
    store [
        "vmovups [{y}], zmm0", "vmovups [{y} + 64], zmm1", "vmovups [{y} + 128], zmm2", "vmovups [{y} + 192], zmm3",
        "vmovups [{y} + 256], zmm4", "vmovups [{y} + 320], zmm5", "vmovups [{y} + 384], zmm6",
        "vmovups [{y} + 448], zmm7", "vmovups [{y} + 512], zmm8", "vmovups [{y} + 576], zmm9",
        "vmovups [{y} + 640], zmm10", "vmovups [{y} + 704], zmm11", "vmovups [{y} + 768], zmm12",
        "vmovups [{y} + 832], zmm13", "vmovups [{y} + 896], zmm14", "vmovups [{y} + 960], zmm15",
        "vmovups [{y} + 1024], zmm16", "vmovups [{y} + 1088], zmm17", "vmovups [{y} + 1152], zmm18",
        "vmovups [{y} + 1216], zmm19", "vmovups [{y} + 1280], zmm20", "vmovups [{y} + 1344], zmm21",
        "vmovups [{y} + 1408], zmm22", "vmovups [{y} + 1472], zmm23"
    ]
);

tile_avx512!(
    tile_avx512_32, 32, 128,
    load ["vmovups zmm24, [{x}]", "vmovups zmm25, [{x} + 64]"],
    rows [
        "vbroadcastss zmm28, [{a}]", "vfmadd231ps zmm0, zmm24, zmm28", "vfmadd231ps zmm1, zmm25, zmm28",
        "vbroadcastss zmm29, [{a} + {s}]", "vfmadd231ps zmm2, zmm24, zmm29", "vfmadd231ps zmm3, zmm25, zmm29",
        "vbroadcastss zmm30, [{a} + 2*{s}]", "vfmadd231ps zmm4, zmm24, zmm30", "vfmadd231ps zmm5, zmm25, zmm30",
        "vbroadcastss zmm31, [{b}]", "vfmadd231ps zmm6, zmm24, zmm31", "vfmadd231ps zmm7, zmm25, zmm31",
        "vbroadcastss zmm28, [{b} + {s}]", "vfmadd231ps zmm8, zmm24, zmm28", "vfmadd231ps zmm9, zmm25, zmm28",
        "vbroadcastss zmm29, [{b} + 2*{s}]", "vfmadd231ps zmm10, zmm24, zmm29", "vfmadd231ps zmm11, zmm25, zmm29"
    ],
    store [
        "vmovups [{y}], zmm0", "vmovups [{y} + 64], zmm1", "vmovups [{y} + 128], zmm2", "vmovups [{y} + 192], zmm3",
        "vmovups [{y} + 256], zmm4", "vmovups [{y} + 320], zmm5", "vmovups [{y} + 384], zmm6",
        "vmovups [{y} + 448], zmm7", "vmovups [{y} + 512], zmm8", "vmovups [{y} + 576], zmm9",
        "vmovups [{y} + 640], zmm10", "vmovups [{y} + 704], zmm11"
    ]
);

tile_avx512!(
    tile_avx512_16, 16, 64,
    load ["vmovups zmm24, [{x}]"],
    rows [
        "vfmadd231ps zmm0, zmm24, dword ptr [{a}]{{1to16}}", "vfmadd231ps zmm1, zmm24, dword ptr [{a} + {s}]{{1to16}}",
        "vfmadd231ps zmm2, zmm24, dword ptr [{a} + 2*{s}]{{1to16}}",
        "vfmadd231ps zmm3, zmm24, dword ptr [{b}]{{1to16}}", "vfmadd231ps zmm4, zmm24, dword ptr [{b} + {s}]{{1to16}}",
        "vfmadd231ps zmm5, zmm24, dword ptr [{b} + 2*{s}]{{1to16}}"
    ],
    store [
        "vmovups [{y}], zmm0", "vmovups [{y} + 64], zmm1", "vmovups [{y} + 128], zmm2", "vmovups [{y} + 192], zmm3",
        "vmovups [{y} + 256], zmm4", "vmovups [{y} + 320], zmm5"
    ]
);

/// Products of six weight rows with 16 batch rows.
///
/// # Safety
/// The processor has AVX2 and FMA; the pointers are as for the AVX-512 tiles.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn tile_avx2_16(
    weights: *const f32,
    stride: usize,
    columns: *const f32,
    cols: usize,
    products: *mut f32,
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; 6];
    for c in 0..cols {
        // SAFETY: column `c < cols` of 16 packed values.
        let (low, high) = unsafe {
            (_mm256_loadu_ps(columns.add(16 * c)), _mm256_loadu_ps(columns.add(16 * c + 8)))
        };
        for (r, sums) in sums.iter_mut().enumerate() {
            // SAFETY: value `c < cols` of row `r < 6`.
            let weight = _mm256_broadcast_ss(unsafe { &*weights.add(r * stride + c) });
            sums[0] = _mm256_fmadd_ps(weight, low, sums[0]);
            sums[1] = _mm256_fmadd_ps(weight, high, sums[1]);
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        // SAFETY: row `r < 6` of 16 values.
        unsafe {
            _mm256_storeu_ps(products.add(16 * r), sums[0]);
            _mm256_storeu_ps(products.add(16 * r + 8), sums[1]);
        }
    }
}

/// The dot product of two slices; what the longer one has more is ignored.
#[target_feature(enable = "avx2,fma")]
pub(super) fn dot_avx2(a: &[f32], b: &[f32]) -> f32 {
    const VECTORS: usize = 8;
    let len = a.len().min(b.len());
    let (a_start, b_start) = (a.as_ptr(), b.as_ptr());
    let mut sums = [_mm256_setzero_ps(); VECTORS];
    let mut i = 0;
    while i + 8 * VECTORS <= len {
        for line in 0..VECTORS / 2 {
            _mm_prefetch::<_MM_HINT_T0>(
                a_start.wrapping_add(i + 16 * line).wrapping_byte_add(PREFETCH_AHEAD).cast(),
            );
        }
        for (v, sum) in sums.iter_mut().enumerate() {
            // SAFETY: eight values from `i + 8 * v`, which end at or before `len`.
            let (a, b) = unsafe {
                (_mm256_loadu_ps(a_start.add(i + 8 * v)), _mm256_loadu_ps(b_start.add(i + 8 * v)))
            };
            *sum = _mm256_fmadd_ps(a, b, *sum);
        }
        i += 8 * VECTORS;
    }
    while i + 8 <= len {
        // SAFETY: eight values from `i`, which end at or before `len`.
        let (a, b) = unsafe { (_mm256_loadu_ps(a_start.add(i)), _mm256_loadu_ps(b_start.add(i))) };
        sums[i / 8 % VECTORS] = _mm256_fmadd_ps(a, b, sums[i / 8 % VECTORS]);
        i += 8;
    }
    let mut total = sums[0];
    for sum in &sums[1..] {
        total = _mm256_add_ps(total, *sum);
    }
    horizontal_sum(total) + a[i..len].iter().zip(&b[i..len]).map(|(a, b)| a * b).sum::<f32>()
}

/// The sum of the eight lanes.
#[target_feature(enable = "avx2,fma")]
fn horizontal_sum(lanes: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

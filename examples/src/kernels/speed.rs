//! How near the kernels come to what one core can do. Run by hand, in release, on a quiet machine:
//! `cargo test -p bottleneck-examples --release --lib speed -- --ignored --nocapture --test-threads 1`.

use std::hint::black_box;
use std::time::Instant;

use super::{Isa, Matrix, Packed, gemv, matmul, matvec, sum};
use crate::host;
use crate::random::fill_uniform;

/// Best of `rounds`, in seconds.
fn best(rounds: usize, mut work: impl FnMut()) -> f64 {
    (0..rounds)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

/// Ten million rounds of 16 independent fused multiply-adds on the widest vectors; returns floating-point operations.
#[cfg(target_arch = "x86_64")]
fn multiply_add(wide: bool) -> f64 {
    const ROUNDS: u64 = 10_000_000;
    macro_rules! chains {
        ($register:literal, $($n:literal)*) => {
            // SAFETY: registers only; the caller checked the feature.
            unsafe {
                std::arch::asm!(
                    // Zeros stay zeros; what the registers held before could be slow subnormal numbers.
                    $(concat!("vxorps ymm", $n, ", ymm", $n, ", ymm", $n),)*
                    "2:",
                    $(concat!("vfmadd231ps ", $register, $n, ", ", $register, $n, ", ", $register, $n),)*
                    "dec {n}",
                    "jnz 2b",
                    "vzeroupper",
                    n = inout(reg) ROUNDS => _,
                    out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
                    out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
                    out("zmm12") _, out("zmm13") _, out("zmm14") _, out("zmm15") _,
                    options(nomem, nostack),
                )
            }
        };
    }
    if wide {
        chains!("zmm", "0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "10" "11" "12" "13" "14" "15");
    } else {
        chains!("ymm", "0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "10" "11" "12" "13" "14" "15");
    }
    ROUNDS as f64 * 16.0 * 2.0 * if wide { 16.0 } else { 8.0 }
}

#[test]
#[ignore = "a timing: run by hand on a quiet machine"]
#[cfg(target_arch = "x86_64")]
fn matmul_reaches_sixty_percent_of_the_peak() {
    for isa in Isa::available().filter(|&isa| isa > Isa::Plain) {
        let peak = multiply_add(isa == Isa::Avx512)
            / best(5, || _ = black_box(multiply_add(isa == Isa::Avx512)))
            / 1e9;
        for (rows, cols, batch) in
            [(1536, 1536, 64), (1536, 1536, 192), (8192, 1536, 192), (1536, 4096, 192)]
        {
            let mut weights = vec![0.0; rows * cols];
            let mut x = vec![0.0; batch * cols];
            fill_uniform(&mut weights, 1, 0, 1.0);
            fill_uniform(&mut x, 2, 0, 1.0);
            let mut packed = Packed::for_isa(isa);
            let pack = best(5, || packed.pack(&x, batch, cols, cols));
            let y_stride = rows + 16; // a power of two would fall on few sets of the caches
            let mut y = vec![0.0; batch * y_stride];
            let time = best(9, || {
                matmul(Matrix::new(&weights, rows, cols), &packed, black_box(&mut y), y_stride);
            });
            let rate = 2.0 * (rows * cols * batch) as f64 / time / 1e9;
            println!(
                "{isa:?} {rows}x{cols} batch {batch}: {rate:.1} of {peak:.1} GFLOP/s, {:.0} %, packing {:.1} % more",
                100.0 * rate / peak,
                100.0 * pack / time
            );
            assert!(rate > 0.6 * peak);
        }
    }
}

#[test]
#[ignore = "a timing: run by hand on a quiet machine"]
fn matvec_reaches_the_speed_of_a_plain_read() {
    let cols = 1536;
    let bytes = 4 * usize::try_from(host::last_level_cache().unwrap_or(32 << 20)).unwrap();
    let rows = bytes / 4 / cols;
    let mut weights = vec![0.0; rows * cols];
    fill_uniform(&mut weights, 1, 0, 1.0);
    let x = vec![1.0; cols];
    let mut y = vec![0.0; rows];
    let w = Matrix::new(&weights, rows, cols);
    for isa in Isa::available() {
        let (mut read, mut time) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..7 {
            // In turns, so that a change of the machine's bandwidth hits both.
            read = read.min(best(1, || _ = black_box(sum(&weights))));
            time = time.min(best(1, || gemv(isa, w, &x, black_box(&mut y))));
        }
        let gigabytes = (rows * cols * 4) as f64 / 1e9;
        println!(
            "{isa:?}: {:.1} GB/s, plain read {:.1} GB/s, {:.0} %",
            gigabytes / time,
            gigabytes / read,
            100.0 * read / time
        );
        if isa == Isa::detected() {
            assert!(read / time > 0.85);
        }
    }
    matvec(w, &x, &mut y);
}

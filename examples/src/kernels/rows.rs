//! The small operations on rows: normalization, rotation, activation, softmax.
//!
//! The bodies are plain loops over independent lanes; each is compiled twice, once with 256-bit vectors and fused
//! multiply-add, and the processor decides at run time.

#![expect(
    clippy::inline_always,
    reason = "a body gets the vectors of the function that it is inlined into"
)]

use super::Isa;

/// Independent partial sums: enough to hide the latency of an addition with 256-bit vectors.
const LANES: usize = 32;

/// Declares a function that runs `$body` with the best instructions of this processor.
macro_rules! dispatched {
    ($(#[$attribute:meta])* pub fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? = $body:ident) => {
        $(#[$attribute])*
        pub fn $name($($argument: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn wide($($argument: $type),*) $(-> $result)? {
                    $body::<true>($($argument),*)
                }
                if Isa::detected() >= Isa::Avx2 {
                    // SAFETY: the processor has AVX2 and FMA.
                    return unsafe { wide($($argument),*) };
                }
            }
            $body::<{ cfg!(target_arch = "aarch64") }>($($argument),*)
        }
    };
}

dispatched! {
    /// Divides `x` by its root mean square and multiplies it with `weight`, into `out`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn rmsnorm(x: &[f32], weight: &[f32], out: &mut [f32]) = rmsnorm_body
}

dispatched! {
    /// Turns `scores` into probabilities; without scores there is nothing to do.
    pub fn softmax(scores: &mut [f32]) = softmax_body
}

dispatched! {
    /// `out = silu(gate) * up`, the activation of a gated layer.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn silu_mul(gate: &[f32], up: &[f32], out: &mut [f32]) = silu_mul_body
}

dispatched! {
    /// Rotates the pairs `(head[i], head[i + half])` by the angles whose cosines and sines are given.
    ///
    /// # Panics
    /// If `head` is not twice as long as `cos` and `sin`.
    pub fn rope(head: &mut [f32], cos: &[f32], sin: &[f32]) = rope_body
}

dispatched! {
    /// `x += y`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn add(x: &mut [f32], y: &[f32]) = add_body
}

dispatched! {
    /// The sum of all values in 32 interleaved partial sums: a plain read of memory, the ruler for [`super::matvec`].
    pub fn sum(x: &[f32]) -> f32 = sum_body
}

#[inline(always)]
fn mul_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    // Fused is a library call where the target lacks it.
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Adds up `term(i)` for `i < len`, the lanes being independent.
#[inline(always)]
fn reduce<const FUSED: bool>(x: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for block in blocks {
        for (sum, value) in sums.iter_mut().zip(block) {
            *sum = term(*value, *sum);
        }
    }
    for value in rest {
        sums[0] = term(*value, sums[0]);
    }
    sums.iter().sum()
}

#[inline(always)]
fn sum_body<const FUSED: bool>(x: &[f32]) -> f32 {
    reduce::<FUSED>(x, |value, sum| sum + value)
}

#[inline(always)]
fn rmsnorm_body<const FUSED: bool>(x: &[f32], weight: &[f32], out: &mut [f32]) {
    assert!(x.len() == weight.len() && x.len() == out.len(), "lengths of a norm");
    let squares = reduce::<FUSED>(x, |value, sum| mul_add::<FUSED>(value, value, sum));
    // The epsilon of the Llama family: keeps a row of zeros finite.
    let scale = 1.0 / (squares / x.len().max(1) as f32 + 1e-5).sqrt();
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = x * scale * weight;
    }
}

#[inline(always)]
fn softmax_body<const FUSED: bool>(scores: &mut [f32]) {
    let largest = scores
        .iter()
        .fold(f32::NEG_INFINITY, |largest, &score| if score > largest { score } else { largest });
    for score in scores.iter_mut() {
        *score = exp::<FUSED>(*score - largest);
    }
    let scale = 1.0 / sum_body::<FUSED>(scores);
    for score in scores.iter_mut() {
        *score *= scale;
    }
}

#[inline(always)]
fn silu_mul_body<const FUSED: bool>(gate: &[f32], up: &[f32], out: &mut [f32]) {
    assert!(gate.len() == up.len() && gate.len() == out.len(), "lengths of an activation");
    for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
        *out = gate * up / (1.0 + exp::<FUSED>(-gate));
    }
}

#[inline(always)]
fn rope_body<const FUSED: bool>(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    assert!(head.len() == 2 * cos.len() && cos.len() == sin.len(), "lengths of a rotation");
    let (first, second) = head.split_at_mut(cos.len());
    for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
        let (x, y) = (*a, *b);
        *a = mul_add::<FUSED>(x, *cos, -(y * sin));
        *b = mul_add::<FUSED>(x, *sin, y * cos);
    }
}

#[inline(always)]
fn add_body<const FUSED: bool>(x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len(), "lengths of a sum");
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// `e^x` within two units in the last place, without a branch: `2^n * e^r` with `r` within half of `ln 2`.
///
/// Below -87 the result is that of -87 (about 1e-38), above 88 that of 88: both are finite.
#[inline(always)]
fn exp<const FUSED: bool>(x: f32) -> f32 {
    /// Adding it to a small number leaves the nearest integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = mul_add::<FUSED>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = mul_add::<FUSED>(n, -LN2_LOW, mul_add::<FUSED>(n, -LN2_HIGH, x));
    let mut p = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 0.5] {
        p = mul_add::<FUSED>(p, r, c);
    }
    let p = mul_add::<FUSED>(p * r, r, r) + 1.0;
    // The low bits of `shifted` hold n; moved into the exponent field they multiply with 2^n.
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::fill_uniform;

    fn values(len: usize, seed: u64, scale: f32) -> Vec<f32> {
        let mut res = vec![0.0; len];
        fill_uniform(&mut res, seed, 0, scale);
        res
    }

    #[track_caller]
    fn close(found: &[f32], expected: &[f64], what: &str) {
        assert_eq!(found.len(), expected.len());
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = (f64::from(*found) - expected).abs();
            assert!(
                error <= 1e-5 * expected.abs().max(1e-2),
                "{what}[{i}] is {found}, not {expected}"
            );
        }
    }

    fn wide(x: &[f32]) -> Vec<f64> {
        x.iter().map(|v| f64::from(*v)).collect()
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for step in -87_000..88_000 {
            let x = step as f32 / 1000.0;
            let expected = f64::from(x).exp();
            for found in [exp::<false>(x), exp::<true>(x)] {
                let error = (f64::from(found) - expected).abs() / expected;
                assert!(error < 2.4e-7, "e^{x} is {found}, not {expected}");
            }
        }
        assert!(exp::<true>(1e30).is_finite() && exp::<true>(-1e30) < 1e-37);
    }

    #[test]
    fn rmsnorm_agrees_with_its_definition() {
        for len in [1, 2, 31, 32, 33, 100, 1000] {
            let (x, weight) = (values(len, 1, 2.0), values(len, 2, 1.0));
            let mut out = vec![0.0; len];
            rmsnorm(&x, &weight, &mut out);
            let mean = wide(&x).iter().map(|v| v * v).sum::<f64>() / len as f64;
            let expected: Vec<f64> = x
                .iter()
                .zip(&weight)
                .map(|(x, w)| f64::from(*x) * f64::from(*w) / (mean + 1e-5).sqrt())
                .collect();
            close(&out, &expected, "rmsnorm");
        }
    }

    #[test]
    fn softmax_gives_probabilities_also_far_from_zero() {
        for (len, shift) in [(1, 0.0), (7, 1000.0), (64, -1000.0), (129, 3.0)] {
            let scores: Vec<f32> = values(len, 3, 8.0).iter().map(|v| v + shift).collect();
            let mut found = scores.clone();
            softmax(&mut found);
            let largest = wide(&scores).into_iter().fold(f64::MIN, f64::max);
            let powers: Vec<f64> = scores.iter().map(|v| (f64::from(*v) - largest).exp()).collect();
            let total: f64 = powers.iter().sum();
            close(&found, &powers.iter().map(|p| p / total).collect::<Vec<_>>(), "softmax");
        }
        softmax(&mut []);
    }

    #[test]
    fn silu_agrees_with_its_definition() {
        let (gate, up) = (values(1001, 4, 20.0), values(1001, 5, 1.0));
        let mut out = vec![0.0; 1001];
        silu_mul(&gate, &up, &mut out);
        let expected: Vec<f64> =
            wide(&gate).iter().zip(wide(&up)).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
        close(&out, &expected, "silu");
    }

    #[test]
    fn rope_rotates_each_pair_by_its_angle() {
        let half = 37;
        let (head, angles) = (values(2 * half, 6, 1.0), values(half, 7, 3.0));
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles.iter().map(|a| (a.cos(), a.sin())).unzip();
        let mut found = head.clone();
        rope(&mut found, &cos, &sin);
        let expected: Vec<f64> = (0..2 * half)
            .map(|i| {
                let (a, b) = (f64::from(head[i % half]), f64::from(head[i % half + half]));
                let (cos, sin) = (f64::from(cos[i % half]), f64::from(sin[i % half]));
                if i < half { a * cos - b * sin } else { a * sin + b * cos }
            })
            .collect();
        close(&found, &expected, "rope");
    }

    #[test]
    fn sums_take_every_value_once() {
        for len in [0, 1, 31, 32, 65, 1000] {
            let mut x = vec![1.0; len];
            add(&mut x, &vec![2.0; len]);
            assert!((sum(&x) - 3.0 * len as f32).abs() < 1e-3);
        }
    }
}

//! One function, compiled for several widths of vectors and chosen at run time: what a program does that is built for any
//! machine, and wants the speed of this one.

/// Defines a function whose body is compiled with AVX-512, with AVX2, and plainly; a call takes the widest that the
/// processor has. In the body, [`madd`] with the parameter `FUSED` is one instruction where there is one.
macro_rules! widest {
    ($(#[$attr:meta])* $vis:vis fn $name:ident[$($(const $param:ident: usize)+)?]($($arg:ident: $type:ty),* $(,)?) $(-> $res:ty)? $body:block) => {
        $(#[$attr])*
        #[expect(unsafe_code, reason = "calls of functions that need features")]
        $vis fn $name<$($(const $param: usize,)+)?>($($arg: $type),*) $(-> $res)? {
            #[inline(always)]
            fn body<const FUSED: bool, $($(const $param: usize,)+)?>($($arg: $type),*) $(-> $res)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
            fn avx512<$($(const $param: usize,)+)?>($($arg: $type),*) $(-> $res)? {
                body::<true, $($($param,)+)?>($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2<$($(const $param: usize,)+)?>($($arg: $type),*) $(-> $res)? {
                body::<true, $($($param,)+)?>($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            match bottleneck_examples::kernels::Isa::detected() {
                bottleneck_examples::kernels::Isa::Avx512
                    if is_x86_feature_detected!("avx512bw")
                        && is_x86_feature_detected!("avx512vl")
                        && is_x86_feature_detected!("avx512dq") =>
                {
                    // SAFETY: this processor has all the features.
                    return unsafe { avx512::<$($($param,)+)?>($($arg),*) };
                }
                bottleneck_examples::kernels::Isa::Plain => {}
                _ => {
                    // SAFETY: `Isa` found both features.
                    return unsafe { avx2::<$($($param,)+)?>($($arg),*) };
                }
            }
            body::<false, $($($param,)+)?>($($arg),*)
        }
    };
}
pub(crate) use widest;

/// `a * b + sum`, in one instruction if `FUSED`: without one it would be a call.
#[inline(always)]
pub(crate) fn madd<const FUSED: bool>(a: f32, b: f32, sum: f32) -> f32 {
    if FUSED { a.mul_add(b, sum) } else { a * b + sum }
}

/// The sum of a power of two of sums, by halves: in order it would take longer than what was summed up.
#[inline(always)]
pub(crate) fn total<const N: usize>(mut sums: [f32; N]) -> f32 {
    let mut half = N / 2;
    while half > 0 {
        let (low, high) = sums.split_at_mut(half);
        for (low, high) in low.iter_mut().zip(high) {
            *low += *high;
        }
        half /= 2;
    }
    sums[0]
}

widest! {
    /// The dot product of two slices of one length, a multiple of 64.
    pub(crate) fn dot[](a: &[f32], b: &[f32]) -> f32 {
        let mut sums = [0.0f32; 64];
        for (a, b) in a.as_chunks::<64>().0.iter().zip(b.as_chunks::<64>().0) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum = madd::<FUSED>(*a, *b, *sum);
            }
        }
        total(sums)
    }
}

/// The upper half of a float: the format of weights that is read without a table.
#[inline(always)]
pub(crate) fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// A float without the lower half of its bits.
pub(crate) fn to_bf16(value: f32) -> u16 {
    u16::try_from(value.to_bits() >> 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_computes_what_the_plain_does() {
        let a: Vec<f32> = (0u8..128).map(f32::from).collect();
        let b = vec![0.5; 128];
        assert!((dot(&a, &b) - 0.5 * 127.0 * 64.0).abs() < 1e-2);
        assert!((from_bf16(to_bf16(1.5)) - 1.5).abs() < 1e-6);
    }
}

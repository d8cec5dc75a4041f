//! The functions that are called under every recorder: the same bodies, under that recorder's own attribute or macro.

/// A function under measurement. It gives its argument back, in a way that the optimizer cannot see through.
pub type Function = fn(u64) -> u64;

/// Makes `flat`, and `d1` that calls `d2` and so on to `d8`: `functions!(#[attribute])`, or `functions!(guard)` with an
/// expression whose value lives as long as the span.
macro_rules! functions {
    (#$attribute:tt) => { $crate::functions::functions!(@all [#$attribute] []); };
    ($guard:expr) => { $crate::functions::functions!(@all [] [let _guard = $guard;]); };
    () => { $crate::functions::functions!(@all [] []); };
    (@all $attribute:tt $guard:tt) => {
        $crate::functions::functions!(@one flat, core::convert::identity, $attribute $guard);
        $crate::functions::functions!(@one d1, d2, $attribute $guard);
        $crate::functions::functions!(@one d2, d3, $attribute $guard);
        $crate::functions::functions!(@one d3, d4, $attribute $guard);
        $crate::functions::functions!(@one d4, d5, $attribute $guard);
        $crate::functions::functions!(@one d5, d6, $attribute $guard);
        $crate::functions::functions!(@one d6, d7, $attribute $guard);
        $crate::functions::functions!(@one d7, d8, $attribute $guard);
        $crate::functions::functions!(@one d8, core::convert::identity, $attribute $guard);
    };
    (@one $name:ident, $inner:path, [$($attribute:tt)*] [$($guard:tt)*]) => {
        $($attribute)*
        #[inline(never)]
        fn $name(x: u64) -> u64 {
            $($guard)*
            core::hint::black_box($inner(x))
        }
    };
}
pub(crate) use functions;

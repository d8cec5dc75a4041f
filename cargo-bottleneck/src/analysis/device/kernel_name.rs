//! Names of kernels as people write them. CUPTI gives those of the binary: mangled by a compiler of C++ or of Rust, or plain.

use cpp_demangle::{DemangleOptions, Symbol};

/// Longer names are cut: templates of libraries take pages.
const MOST: usize = 120;

/// `void scale<float>(float*, int)` as `scale<float>`; names that are not mangled stay as they are.
pub(super) fn shown(name: &str) -> String {
    let of_rust = rustc_demangle::try_demangle(name).map(|name| format!("{name:#}")).ok();
    let full = of_rust.or_else(|| of_cpp(name)).unwrap_or_else(|| name.to_owned());
    if full.chars().count() <= MOST {
        return full;
    }
    full.chars().take(MOST - 1).chain(['…']).collect()
}

fn of_cpp(name: &str) -> Option<String> {
    let symbol = Symbol::new(name).ok()?;
    let options = DemangleOptions::new().no_params().no_return_type();
    symbol.demangle_with_options(&options).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_cpp_and_of_rust_are_read_and_others_stay() {
        assert_eq!(shown("_Z5scaleIfEvPT_i"), "scale<float>");
        assert_eq!(
            shown("_ZN7cutlass6KernelINS_4gemm4GemmEEEvv"),
            "cutlass::Kernel<cutlass::gemm::Gemm>"
        );
        assert_eq!(shown("_ZN4core3fmt5write17h0123456789abcdefE"), "core::fmt::write");
        assert_eq!(shown("affine_f32"), "affine_f32");
        assert_eq!(shown("_Z"), "_Z");
        assert_eq!(shown(&"k".repeat(500)).chars().count(), MOST);
    }
}

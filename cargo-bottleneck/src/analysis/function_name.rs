//! Names of functions as reports show them: what tells a function from its neighbors, without the way to it.

use super::identity::without_modules;

/// Longest list of generic arguments that is shown, in characters.
const MOST_GENERICS: usize = 24;

/// `app::model::Linear<f32>::forward` is `Linear<f32>::forward`, `app::math::gemm::<f32>` is `gemm::<f32>`; a closure is
/// that of its function. Names that are not Rust's stay as they are.
pub(super) fn short(full: &str) -> String {
    let mut parts = split(full);
    let mut ending = String::new();
    while let Some(&last) = parts.last().filter(|_| parts.len() > 1) {
        if last.starts_with("{closure") || last.starts_with("{{closure") {
            "::{closure}".clone_into(&mut ending);
        } else if last.starts_with('<') && parts.len() > 1 && last.ends_with('>') {
            ending.insert_str(0, &format!("::{}", generics(last)));
        } else {
            break;
        }
        parts.pop();
    }
    let Some(name) = parts.pop() else { return full.to_owned() };
    let owner = parts.pop().map(owner).unwrap_or_default();
    format!("{owner}{}{ending}", without_modules(name))
}

/// What a function belongs to, with `::`; nothing where that is a module.
fn owner(part: &str) -> String {
    let inside = part.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    let of_type = inside.map(|inside| match split_top(inside, " as ") {
        // The type says more than the trait, where it is one.
        Some((of_type, of_trait)) if is_parameter(of_type) => of_trait,
        Some((of_type, _)) => of_type,
        None => inside.strip_prefix("impl ").unwrap_or(inside),
    });
    match of_type {
        Some(of_type) => format!("{}::", without_modules(of_type)),
        None if part.starts_with(char::is_uppercase) => format!("{}::", without_modules(part)),
        None => String::new(),
    }
}

/// A single letter, or a reference to one.
fn is_parameter(of_type: &str) -> bool {
    of_type.trim_start_matches(['&', '*', ' ']).trim_start_matches("mut ").chars().count() == 1
}

fn generics(list: &str) -> String {
    let res = without_modules(list);
    if res.chars().count() > MOST_GENERICS { "<…>".to_owned() } else { res }
}

/// Whether a function is of the standard library, or of a trait of it for a type without modules.
pub(super) fn is_of_std(full: &str) -> bool {
    let of_std = |path: &str| {
        let path = path.trim_start_matches(['<', '&', '*', '(', '[', ' ']);
        let path = path.trim_start_matches("mut ").trim_start_matches("impl ");
        ["core::", "alloc::", "std::"].iter().any(|crate_name| path.starts_with(crate_name))
    };
    if of_std(full) {
        return true;
    }
    let inside = split(full).first().and_then(|first| first.strip_prefix('<')?.strip_suffix('>'));
    let pair = inside.and_then(|inside| split_top(inside, " as "));
    pair.is_some_and(|(of_type, of_trait)| !of_type.contains("::") && of_std(of_trait))
}

/// The parts between `::` that are in no brackets.
fn split(full: &str) -> Vec<&str> {
    let mut res = Vec::new();
    let mut rest = full;
    while let Some((part, behind)) = split_top(rest, "::") {
        res.push(part);
        rest = behind;
    }
    res.push(rest);
    res
}

/// Both sides of the first separator that is in no brackets.
fn split_top<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        if depth == 0 && text[at..].starts_with(separator) {
            return Some((&text[..at], &text[at + separator.len()..]));
        }
        match c {
            '<' | '(' | '[' | '{' => depth += 1,
            // Of `->`.
            '>' if before == '-' => {}
            '>' | ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_what_tells_them_apart() {
        let cases = [
            ("app::math::matvec", "matvec"),
            ("app::math::gemm::<f32>", "gemm::<f32>"),
            ("app::math::gemm::<app::Weights<half::f16>>", "gemm::<Weights<f16>>"),
            ("a::run::<a::AVeryLongName, a::AnotherVeryLongName>", "run::<…>"),
            ("app::model::Linear<T>::forward", "Linear<T>::forward"),
            ("<app::model::Linear<f32>>::forward", "Linear<f32>::forward"),
            ("<app::Linear<f32> as app::Layer>::forward", "Linear<f32>::forward"),
            ("<T as app::Layer>::forward", "Layer::forward"),
            ("<&mut I as core::iter::Iterator>::next", "Iterator::next"),
            ("core::slice::<impl [T]>::sort", "[T]::sort"),
            ("app::serve::{{closure}}", "serve::{closure}"),
            ("app::serve::<u8>::{closure#0}::{closure#1}", "serve::<u8>::{closure}"),
            ("<app::A as core::ops::FnOnce<fn() -> app::B>>::call_once", "A::call_once"),
            ("__memmove_avx_unaligned_erms", "__memmove_avx_unaligned_erms"),
            ("main", "main"),
            ("", ""),
            ("_ZN5torch4addEi", "_ZN5torch4addEi"),
            ("a<b", "a<b"),
            ("{closure#0}", "{closure#0}"),
        ];
        for (full, expected) in cases {
            assert_eq!(short(full), expected, "{full}");
        }
    }

    #[test]
    fn functions_of_the_standard_library_are_told_apart() {
        for of_std in [
            "core::iter::range::next",
            "<core::slice::Iter<T> as core::iter::Iterator>::next",
            "alloc::vec::Vec<T>::push",
            "<f32 as core::ops::Mul>::mul",
            "<&f32 as core::ops::Mul<f32>>::mul",
            "<alloc::vec::Vec<app::T> as core::ops::Index<usize>>::index",
            "std::f32::<impl f32>::exp",
        ] {
            assert!(is_of_std(of_std), "{of_std}");
        }
        for own in [
            "app::core::run",
            "<app::It as core::iter::Iterator>::next",
            "<f32 as app::Element>::mul",
            "corelib::x",
            "memcpy",
        ] {
            assert!(!is_of_std(own), "{own}");
        }
    }
}

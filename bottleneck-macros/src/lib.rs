//! The `#[bottleneck]` attribute.
//!
//! Use it through the crate `bottleneck-runtime`, which re-exports it.

mod args;
mod attribute;
mod expand;
mod expand_async;
mod fallback;
mod function;
mod members;
mod owner;
mod returned;
mod validate;
mod work;

use proc_macro::TokenStream;

/// Measures.
#[proc_macro_attribute]
pub fn bottleneck(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute::expand(args.into(), &item.into()).into()
}

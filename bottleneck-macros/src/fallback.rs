//! What is emitted when the attribute cannot do its work: the errors, and the item as the user wrote it.
//!
//! The item must stay, or every use of it would be a further error that hides the first.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Error;

/// The errors, each at its token, in front of the untouched item.
///
/// The item's own attributes stay with it, a second `#[bottleneck]` too: it reports its own mistakes.
pub(crate) fn with_item(error: &Error, item: &TokenStream) -> TokenStream {
    let error = error.to_compile_error();
    quote!(#error #item)
}

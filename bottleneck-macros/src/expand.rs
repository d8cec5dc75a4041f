//! One function and its options become the same function with a guard in front of its statements.
//!
//! The user's statements stay in the body they were in: coercions, `?`, `return`, lints and the type of the body are
//! what they were. The signature and the attributes are never changed.

use proc_macro2::{Group, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::{Ident, Path, Result, parse_quote};

use crate::args::Options;
use crate::expand_async;
use crate::function::{Body, Function, Statements};
use crate::owner::Owner;
use crate::returned::{self, Returned};
use crate::{validate, work};

/// Everything that the pieces of one expansion share.
pub(crate) struct Expansion<'a> {
    pub(crate) options: &'a Options,
    pub(crate) owner: Owner,
    /// The path of the runtime crate.
    pub(crate) runtime: Path,
    /// Generated tokens: locals of their own hygiene, and no lint looks at them.
    pub(crate) span: Span,
    name: &'a Ident,
}

/// Expands one function whose owner is known or not.
///
/// # Errors
/// If the function cannot be measured, an option does not fit, or a `return` cannot be seen.
pub(crate) fn function(
    options: &Options,
    owner: Owner,
    function: &Function,
) -> Result<TokenStream> {
    validate::function(options, function)?;
    let Body::Block(body) = &function.body else {
        return Ok(function.to_token_stream());
    };
    let expansion = Expansion::new(options, owner, &function.sig.ident);
    let inside = if function.sig.asyncness.is_some() {
        expand_async::body(&expansion, &function.sig.output, body)?
    } else {
        match returned::of(&function.sig.output) {
            Some(Returned::Future) => expand_async::returning(&expansion, None, body)?,
            Some(Returned::Boxed(how)) => expand_async::returning(&expansion, Some(&how), body)?,
            None => guarded(&expansion, body)?,
        }
    };
    let mut changed = Group::new(body.delimiter(), inside);
    changed.set_span(body.span());
    Ok(function.with_body(changed))
}

/// The body of a plain function.
fn guarded(expansion: &Expansion<'_>, body: &Group) -> Result<TokenStream> {
    let Statements { attrs, items, rest } = Statements::cut(body.stream())?;
    let Expansion { runtime, span, .. } = expansion;
    let span = *span;
    let site = expansion.site(false);
    let enter = if let Some(call) = expansion.call() {
        let owner = expansion.owner.as_option(span);
        quote_spanned!(span=> enter_with(#site, #owner, || #call))
    } else if matches!(expansion.owner, Owner::OfSelf) {
        quote_spanned!(span=> enter_method(#site, ::core::any::type_name::<Self>))
    } else {
        quote_spanned!(span=> enter(#site))
    };
    let device = expansion.device();
    Ok(quote_spanned! {span=>
        #attrs #items
        let __bottleneck_guard = #runtime::__private::#enter;
        #device
        #rest
    })
}

impl<'a> Expansion<'a> {
    fn new(options: &'a Options, owner: Owner, name: &'a Ident) -> Self {
        let span = Span::mixed_site();
        let runtime = options.runtime.clone().unwrap_or_else(|| {
            let name = Ident::new("bottleneck_runtime", span);
            parse_quote!(::#name)
        });
        Self { options, owner, runtime, span, name }
    }

    /// `&SITE`, with the `static` inside the expression: no name of ours is in scope of the user's code.
    pub(crate) fn site(&self, asynchronous: bool) -> TokenStream {
        let Self { runtime, span, .. } = self;
        let span = *span;
        let private = quote_spanned!(span=> #runtime::__private);
        let name = match &self.options.name {
            Some(name) => name.value(),
            None => self.name.unraw().to_string(),
        };
        let owner = self.owner.text();
        let Place { file, line, column } = Place::of(self.name.span(), span);
        let options = self.site_options(asynchronous);
        quote_spanned! {span=> {
            static SITE: #private::Site = #private::Site::new(
                #name, ::core::module_path!(), #owner, #file, #line, #column, #options
            );
            &SITE
        }}
    }

    fn site_options(&self, asynchronous: bool) -> TokenStream {
        let Self { runtime, span, options, .. } = self;
        let span = *span;
        let private = quote_spanned!(span=> #runtime::__private);
        let default = quote_spanned!(span=> #private::SiteOptions::DEFAULT);
        let mut fields = TokenStream::new();
        if options.request.is_some() {
            fields.extend(quote_spanned!(span=> request: true,));
        }
        if let Some(kind) = &options.kind {
            fields.extend(quote_spanned!(span=> asserted: #private::Asserted::#kind,));
        }
        if let Some(dtype) = &options.dtype {
            fields.extend(quote_spanned!(span=> dtype: #runtime::Dtype::#dtype,));
        }
        if asynchronous {
            fields.extend(quote_spanned!(span=> asynchronous: true,));
        }
        if fields.is_empty() {
            return default;
        }
        quote_spanned!(span=> #private::SiteOptions { #fields ..#default })
    }

    /// The timer of the device, which is dropped before the guard; nothing where no stream is named.
    fn device(&self) -> TokenStream {
        let Self { runtime, span, options, .. } = self;
        let span = *span;
        let Some(stream) = &options.cuda_stream else { return TokenStream::new() };
        let stream = work::without_parentheses(stream);
        quote_spanned!(span=> let __bottleneck_device = #runtime::cuda::time_on(&#stream);)
    }

    /// The `Call` that describes one call; `None` where the user declared nothing.
    pub(crate) fn call(&self) -> Option<TokenStream> {
        if !self.options.describes_calls() {
            return None;
        }
        let Self { runtime, span, options, .. } = self;
        let span = *span;
        let key = if let Some(key) = &options.key {
            let key = work::without_parentheses(key);
            quote_spanned!(span=> ::core::option::Option::Some(#runtime::__private::key(#key)))
        } else {
            quote_spanned!(span=> ::core::option::Option::None)
        };
        let amount = |work| work::in_f64(runtime, work);
        let undeclared = || quote_spanned!(span=> 0f64);
        let flops = options.flops.as_ref().map_or_else(undeclared, amount);
        let bytes = options.bytes.as_ref().map_or_else(undeclared, amount);
        Some(quote_spanned! {span=>
            #runtime::__private::Call { key: #key, flops: #flops, bytes: #bytes }
        })
    }
}

/// Where a function stands in the source: the place of its name, which is what an editor should open.
struct Place {
    file: TokenStream,
    line: u32,
    column: u32,
}

impl Place {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rustc itself counts lines and columns in u32"
    )]
    fn of(name: Span, generated: Span) -> Self {
        if !proc_macro::is_available() {
            // Only in unit tests, where no compiler is there to ask.
            return Self { file: quote_spanned!(generated=> ""), line: 0, column: 0 };
        }
        let place = name.unwrap();
        let file = place.file();
        Self {
            file: quote_spanned!(generated=> #file),
            line: place.line() as u32,
            column: place.column() as u32,
        }
    }
}

//! Which functions can be measured, and which options fit where.
//!
//! A refusal names one reason, at the token that is the reason, and says how to go on.

use proc_macro2::{Ident, Span};
use syn::spanned::Spanned;
use syn::visit_mut::{VisitMut, visit_expr_mut};
use syn::{Attribute, Error, Expr, Item, Result, Signature};

use crate::args::Options;
use crate::function::{Body, Function};

/// Why a function cannot be measured, if it cannot: members of a block are then left out without a word.
pub(crate) fn unmeasurable(function: &Function) -> Option<Error> {
    let Signature { constness, variadic, ident, .. } = &function.sig;
    if let Body::Missing(_) = function.body {
        let text = "a method without a body has nothing to measure; put `#[bottleneck]` on its implementations";
        return Some(Error::new(ident.span(), text));
    }
    if let Some(constness) = constness {
        let text = "a `const fn` may run at compile time, where there is no clock; remove `const`, or put \
                    `#[bottleneck]` on the function that calls it";
        return Some(Error::new(constness.span, text));
    }
    if let Some(variadic) = variadic {
        let text = "a function with variable arguments cannot be measured; put `#[bottleneck]` on the function \
                    that calls it";
        return Some(Error::new(variadic.dots.spans[0], text));
    }
    let naked = function.attrs.iter().find(|it| is_naked(it))?;
    let text = "a naked function is assembly only and cannot hold a guard; put `#[bottleneck]` on the function \
                that calls it";
    Some(Error::new(naked.path().span(), text))
}

/// Checks one function and its options.
///
/// # Errors
/// What keeps the function from being measured, or the option that does not fit.
pub(crate) fn function(options: &Options, function: &Function) -> Result<()> {
    if let Some(error) = unmeasurable(function) {
        return Err(error);
    }
    if let Some(again) = function.attrs.iter().find(|it| is_ours(it)) {
        let text = "`#[bottleneck]` is on this function twice, which would count every call twice; remove one";
        return Err(Error::new(again.path().span(), text));
    }
    if let (Some(stream), Some(asyncness)) = (&options.cuda_stream, &function.sig.asyncness) {
        let text = "an `async fn` gives its work to a stream from several polls; put `cuda_stream` on the plain function \
                    that submits it";
        return Err(Error::new(stream.span().join(asyncness.span).unwrap_or(stream.span()), text));
    }
    if let Some(dtype) = &options.dtype
        && options.flops.is_none()
    {
        let text = "`dtype` says what `flops` counts; add `flops = ...`, or remove `dtype`";
        return Err(Error::new(dtype.span(), text));
    }
    for expr in
        [&options.key, &options.flops, &options.bytes, &options.cuda_stream].into_iter().flatten()
    {
        stays_inside(expr)?;
    }
    Ok(())
}

/// Checks the options of a whole `impl`, `trait` or `mod`.
///
/// # Errors
/// At an option that describes a single function.
pub(crate) fn block(options: &Options, what: &str) -> Result<()> {
    let single = [
        ("name", options.name.as_ref().map(Spanned::span)),
        ("key", options.key.as_ref().map(Spanned::span)),
        ("request", options.request.as_ref().map(Ident::span)),
        ("flops", options.flops.as_ref().map(Spanned::span)),
        ("bytes", options.bytes.as_ref().map(Spanned::span)),
        ("dtype", options.dtype.as_ref().map(Ident::span)),
        ("cuda_stream", options.cuda_stream.as_ref().map(Spanned::span)),
    ];
    for (name, span) in single {
        if let Some(span) = span {
            let text = format!(
                "`{name}` belongs on a single function, not on a whole {what}; put `#[bottleneck({name} ...)]` \
                 on the member"
            );
            return Err(Error::new(span, text));
        }
    }
    Ok(())
}

/// The error for anything that holds no code of its own.
pub(crate) fn misplaced(span: Span, what: &str) -> Error {
    let text = format!(
        "`#[bottleneck]` does not go on {what}: put it on a function, an `impl` block, a trait or an inline module"
    );
    Error::new(span, text)
}

/// True for `#[bottleneck]` and `#[bottleneck_runtime::bottleneck]`.
pub(crate) fn is_ours(attr: &Attribute) -> bool {
    attr.path().segments.last().is_some_and(|it| it.ident == "bottleneck")
}

fn is_naked(attr: &Attribute) -> bool {
    if attr.path().is_ident("unsafe") {
        return attr.parse_args::<Ident>().is_ok_and(|it| it == "naked");
    }
    attr.path().is_ident("naked")
}

/// The value of an option runs in a closure of its own: nothing in it may leave the function around it.
fn stays_inside(expr: &Expr) -> Result<()> {
    struct Leaving(Option<Error>);

    impl VisitMut for Leaving {
        fn visit_expr_mut(&mut self, expr: &mut Expr) {
            let found = match expr {
                Expr::Return(it) => Some((it.return_token.span, "`return`")),
                Expr::Try(it) => Some((it.question_token.span, "`?`")),
                Expr::Await(it) => Some((it.await_token.span, "`.await`")),
                Expr::Yield(it) => Some((it.yield_token.span, "`yield`")),
                // What leaves a nested body does not leave ours.
                Expr::Closure(_) | Expr::Async(_) => return,
                _ => None,
            };
            if let Some((span, what)) = found {
                let text = format!(
                    "{what} cannot be used in an option, which only describes the call; compute the value inside the \
                     function and declare it with `bottleneck_runtime::work`"
                );
                self.0.get_or_insert_with(|| Error::new(span, text));
            }
            visit_expr_mut(self, expr);
        }

        fn visit_item_mut(&mut self, _: &mut Item) {}
    }

    let mut leaving = Leaving(None);
    leaving.visit_expr_mut(&mut expr.clone());
    leaving.0.map_or(Ok(()), Err)
}

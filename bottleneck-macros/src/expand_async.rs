//! Bodies whose work happens later: `async fn`, and functions that return a future.
//!
//! What is measured is the future: from its first poll until it is dropped, each poll for itself, the time between polls
//! as waiting. Making the future is not measured.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::parse::{ParseStream, Parser};
use syn::visit_mut::{VisitMut, visit_expr_mut};
use syn::{Attribute, Block, Error, Expr, Item, Macro, Result, ReturnType, Stmt};

use crate::expand::Expansion;
use crate::function::Statements;
use crate::returned::{self, Boxed};

/// The body of an `async fn`: the user's block, as one future inside ours.
///
/// # Errors
/// If an inner attribute is malformed.
pub(crate) fn body(
    expansion: &Expansion<'_>,
    output: &ReturnType,
    body: &Group,
) -> Result<TokenStream> {
    let Expansion { runtime, span, .. } = expansion;
    let span = *span;
    let Statements { attrs, items, rest } = Statements::cut(body.stream())?;
    // The compiler infers what an async block returns from its first `return`. This one never runs; it makes the type of
    // the signature known before the user's code, so that `Some(&vec)` still coerces to `Option<&[u8]>`.
    let pinned = returned::pinned_type(output).map(|ty| {
        quote_spanned! {span=>
            if let ::core::option::Option::Some(__bottleneck_returned) = ::core::option::Option::None::<#ty> {
                return __bottleneck_returned;
            }
        }
    });
    // In the braces of the user, so that what the compiler says of them is shown there.
    let mut inside = Group::new(body.delimiter(), quote_spanned!(span=> #items #pinned #rest));
    inside.set_span(body.span());
    let call = call(expansion);
    Ok(quote_spanned! {span=>
        #attrs
        let __bottleneck_call = #call;
        #runtime::__private::future(__bottleneck_call, async move #inside).await
    })
}

/// The body of a function that returns a future, boxed or not: every future that it returns is wrapped.
///
/// # Errors
/// If the body does not parse, or hides a `return` in the tokens of a macro.
pub(crate) fn returning(
    expansion: &Expansion<'_>,
    boxed: Option<&Boxed>,
    body: &Group,
) -> Result<TokenStream> {
    let span = expansion.span;
    let parse =
        |input: ParseStream<'_>| Ok((Attribute::parse_inner(input)?, Block::parse_within(input)?));
    let (attrs, mut statements) = parse.parse2(body.stream())?;
    let mut wrap = Wrap { expansion, boxed, error: None };
    for statement in &mut statements {
        wrap.visit_stmt_mut(statement);
    }
    wrap.tail(&mut statements);
    if let Some(error) = wrap.error {
        return Err(error);
    }
    let n_items = statements.iter().take_while(|it| matches!(it, Stmt::Item(_))).count();
    let (leading, rest) = statements.split_at(n_items);
    let call = call(expansion);
    Ok(quote_spanned! {span=>
        #(#attrs)* #(#leading)*
        let __bottleneck_call = #call;
        #(#rest)*
    })
}

/// The call that the future stands for: made before the future, which takes the parameters with it.
fn call(expansion: &Expansion<'_>) -> TokenStream {
    let Expansion { runtime, span, owner, .. } = expansion;
    let span = *span;
    let site = expansion.site(true);
    let owner = owner.as_option(span);
    if let Some(call) = expansion.call() {
        quote_spanned!(span=> #runtime::__private::async_call_with(#site, #owner, || #call))
    } else {
        quote_spanned!(span=> #runtime::__private::async_call(#site, #owner))
    }
}

/// Wraps the value of every `return` of this function, and of its last expression.
struct Wrap<'a> {
    expansion: &'a Expansion<'a>,
    boxed: Option<&'a Boxed>,
    error: Option<Error>,
}

impl Wrap<'_> {
    fn future(&self, future: &impl ToTokens) -> TokenStream {
        let Expansion { runtime, span, .. } = self.expansion;
        quote_spanned!(*span=> #runtime::__private::future(__bottleneck_call, #future))
    }

    fn wrap(&self, value: &mut Expr) {
        let span = self.expansion.span;
        let wrapped = match (self.boxed, &*value) {
            (None, value) => self.future(value),
            // `Box::pin(future)`: ours goes into the same box.
            (Some(_), Expr::Call(call)) if makes_box(&call.func) && call.args.len() == 1 => {
                let inner = self.future(&call.args[0]);
                let function = &call.func;
                quote_spanned!(span=> #function(#inner))
            }
            (Some(Boxed { ty, pinned }), value) => {
                let future = self.future(&quote_spanned!(span=> __bottleneck_future));
                let make =
                    if *pinned { quote_spanned!(span=> pin) } else { quote_spanned!(span=> new) };
                quote_spanned!(span=> {
                    let __bottleneck_future: #ty = #value;
                    ::std::boxed::Box::#make(#future)
                })
            }
        };
        *value = Expr::Verbatim(wrapped);
    }

    fn tail(&self, statements: &mut [Stmt]) {
        match statements.last_mut() {
            Some(Stmt::Expr(value, None)) if !self.never_ends(value) => self.wrap(value),
            Some(last @ Stmt::Macro(_)) => {
                let Stmt::Macro(it) = &*last else { return };
                if it.semi_token.is_none() && !panics(&it.mac) {
                    let mut value = Expr::Verbatim(it.to_token_stream());
                    self.wrap(&mut value);
                    *last = Stmt::Expr(value, None);
                }
            }
            _ => {}
        }
    }

    /// True for a last expression that has no value to wrap.
    fn never_ends(&self, value: &Expr) -> bool {
        match value {
            Expr::Return(_) | Expr::While(_) | Expr::ForLoop(_) => true,
            Expr::Macro(it) => panics(&it.mac),
            Expr::Loop(it) => self.boxed.is_none() && !mentions(it.body.to_token_stream(), "break"),
            _ => false,
        }
    }
}

impl VisitMut for Wrap<'_> {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        match expr {
            // A `return` in there leaves something else.
            Expr::Closure(_) | Expr::Async(_) | Expr::Const(_) => {}
            Expr::Return(it) => {
                if let Some(value) = &mut it.expr {
                    self.visit_expr_mut(value);
                    self.wrap(value);
                }
            }
            _ => visit_expr_mut(self, expr),
        }
    }

    fn visit_item_mut(&mut self, _: &mut Item) {}

    fn visit_macro_mut(&mut self, mac: &mut Macro) {
        if mentions(mac.tokens.clone(), "return") {
            let text = "this macro may hold a `return` of a future that could not be measured; move the `return` out of \
                        the macro, or make the function an `async fn`";
            let error = Error::new_spanned(&mac.path, text);
            self.error.get_or_insert(error);
        }
    }
}

fn mentions(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|it| match it {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => mentions(group.stream(), word),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

fn panics(mac: &Macro) -> bool {
    const WORDS: [&str; 4] = ["panic", "todo", "unimplemented", "unreachable"];
    mac.path.segments.last().is_some_and(|it| WORDS.iter().any(|word| it.ident == word))
}

/// True for `Box::pin` and `Box::new`, by any path.
fn makes_box(function: &Expr) -> bool {
    let Expr::Path(path) = function else { return false };
    let mut last = path.path.segments.iter().rev().map(|it| it.ident.to_string());
    matches!(last.next().as_deref(), Some("pin" | "new")) && last.next().as_deref() == Some("Box")
}

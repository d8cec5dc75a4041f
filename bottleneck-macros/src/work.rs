//! Rewrites a work expression such as `2 * m * n * k` so that it is computed in `f64`.
//!
//! `+ - * /`, unary minus and parentheses are kept; every other part is a leaf and becomes `amount(leaf)`.
//! So the sum of work cannot overflow, and no cast appears in the user's code. A leaf is never looked into: it keeps the
//! user's types and spans, so that an error in it is shown where the user wrote it.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::{BinOp, Expr, ExprLit, Lit, Path, Type, UnOp};

/// Returns the expression that computes `work` in `f64`, with `runtime` as the path of the runtime crate.
pub(crate) fn in_f64(runtime: &Path, work: &Expr) -> TokenStream {
    rewrite(runtime, without_parentheses(work))
}

/// The expression without parentheses around the whole of it, which would be unused in the generated code.
pub(crate) fn without_parentheses(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inner) if inner.attrs.is_empty() => without_parentheses(&inner.expr),
        Expr::Group(inner) if inner.attrs.is_empty() => without_parentheses(&inner.expr),
        _ => expr,
    }
}

fn rewrite(runtime: &Path, expr: &Expr) -> TokenStream {
    // The place is the user's, the hygiene ours: lints about style leave generated arithmetic alone.
    let span = Span::mixed_site().located_at(expr.span());
    match expr {
        Expr::Binary(binary) => {
            let op = match binary.op {
                BinOp::Add(_) => quote_spanned!(span=> +),
                BinOp::Sub(_) => quote_spanned!(span=> -),
                BinOp::Mul(_) => quote_spanned!(span=> *),
                BinOp::Div(_) => quote_spanned!(span=> /),
                _ => return leaf(runtime, expr, span),
            };
            let left = rewrite(runtime, &binary.left);
            let right = rewrite(runtime, &binary.right);
            quote_spanned!(span=> #left #op #right)
        }
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
            let inner = rewrite(runtime, &unary.expr);
            quote_spanned!(span=> -#inner)
        }
        Expr::Paren(inner) => {
            let inner = rewrite(runtime, &inner.expr);
            quote_spanned!(span=> (#inner))
        }
        // An expression that came through a `macro_rules!` fragment binds as one: make that visible again.
        Expr::Group(inner) => {
            let inner = rewrite(runtime, &inner.expr);
            quote_spanned!(span=> (#inner))
        }
        Expr::Lit(ExprLit { lit, .. }) => {
            literal(lit, span).unwrap_or_else(|| leaf(runtime, expr, span))
        }
        Expr::Cast(cast) if is_f64(&cast.ty) => leaf(runtime, &cast.expr, span),
        _ => leaf(runtime, expr, span),
    }
}

fn leaf(runtime: &Path, expr: &Expr, span: Span) -> TokenStream {
    let expr = without_parentheses(expr);
    quote_spanned!(span=> #runtime::__private::amount(#expr))
}

/// A number as an `f64` literal; `None` for what is no number or too large for one.
fn literal(lit: &Lit, span: Span) -> Option<TokenStream> {
    let value = match lit {
        Lit::Int(int) => int.base10_digits().parse::<f64>().ok()?,
        Lit::Float(float) => float.base10_digits().parse::<f64>().ok()?,
        _ => return None,
    };
    if !value.is_finite() {
        return None;
    }
    let mut literal = Literal::f64_suffixed(value);
    literal.set_span(span);
    Some(literal.into_token_stream())
}

fn is_f64(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.qself.is_none() && path.path.is_ident("f64"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    /// `A(x)` stands for `::rt::__private::amount(x)`.
    #[track_caller]
    fn check(work: &str, expected: &str) {
        let work: Expr = syn::parse_str(work).unwrap();
        let runtime: Path = parse_quote!(rt);
        let text = in_f64(&runtime, &work).to_string().replace("rt :: __private :: amount", "A");
        assert_eq!(text.replace(' ', ""), expected.replace(' ', ""));
    }

    #[test]
    fn arithmetic_is_kept_and_leaves_are_converted() {
        check("2 * m * n * k", "2f64 * A(m) * A(n) * A(k)");
        check("a + b - c / d", "A(a) + A(b) - A(c) / A(d)");
        check("-x + 1", "-A(x) + 1f64");
    }

    #[test]
    fn parentheses_group_but_do_not_wrap_the_whole() {
        check("(2 * (a + b))", "2f64 * (A(a) + A(b))");
        check("(a)", "A(a)");
        check("((a % b)) * c", "((A(a % b))) * A(c)");
    }

    #[test]
    fn other_operators_calls_and_blocks_are_leaves() {
        check("a % b", "A(a % b)");
        check("x.len() << 2", "A(x.len() << 2)");
        check("self.rows * w.cols()", "A(self.rows) * A(w.cols())");
        check("if fast { 1 } else { 2 }", "A(if fast { 1 } else { 2 })");
        check("*n * m", "A(*n) * A(m)");
    }

    #[test]
    fn numbers_become_f64_literals() {
        check("2_000_000usize", "2000000f64");
        check("0xff", "255f64");
        check("2.5e3", "2500f64");
        check("4. * n", "4f64 * A(n)");
        check("18446744073709551615 * n", "18446744073709552000f64 * A(n)");
    }

    #[test]
    fn a_cast_to_f64_is_dropped_and_no_other() {
        check("m as f64 * n as f64", "A(m) * A(n)");
        check("(a / b) as f64", "A(a / b)");
        check("m as u64 * n", "A(m as u64) * A(n)");
    }
}

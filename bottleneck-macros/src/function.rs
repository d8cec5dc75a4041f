//! A function as the attribute sees it: the signature parsed, the body still tokens.
//!
//! The body of a plain function is never parsed, so that syntax newer than our parser passes through it, and so that
//! the attribute stays cheap to compile.

use proc_macro2::{Group, TokenStream};
use quote::{ToTokens, TokenStreamExt};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Abi, Attribute, Block, Result, Signature, Stmt, Token, Visibility};

/// A free function, a method, or a trait method.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    defaultness: Option<Token![default]>,
    pub(crate) sig: Signature,
    pub(crate) body: Body,
}

/// What follows the signature.
pub(crate) enum Body {
    /// `{ ... }`.
    Block(Group),
    /// `;`, as in a trait.
    Missing(Token![;]),
}

impl Function {
    /// Reads what follows the attributes and the visibility.
    pub(crate) fn parse_rest(
        attrs: Vec<Attribute>,
        vis: Visibility,
        input: ParseStream<'_>,
    ) -> Result<Self> {
        let defaultness = input.parse()?;
        let sig = input.parse()?;
        let body = if input.peek(Token![;]) {
            Body::Missing(input.parse()?)
        } else {
            Body::Block(input.parse()?)
        };
        Ok(Self { attrs, vis, defaultness, sig, body })
    }

    /// The function with `body` in place of its own.
    pub(crate) fn with_body(&self, body: Group) -> TokenStream {
        let mut tokens = self.head();
        tokens.append(body);
        tokens
    }

    fn head(&self) -> TokenStream {
        let mut tokens = TokenStream::new();
        tokens.append_all(&self.attrs);
        self.vis.to_tokens(&mut tokens);
        self.defaultness.to_tokens(&mut tokens);
        self.sig.to_tokens(&mut tokens);
        tokens
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.head());
        match &self.body {
            Body::Block(group) => tokens.append(group.clone()),
            Body::Missing(semi) => semi.to_tokens(tokens),
        }
    }
}

/// True if a function follows, after attributes and visibility.
pub(crate) fn is_next(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    // Each of these is optional and takes nothing if it is not there.
    ahead.parse::<Option<Token![default]>>().is_ok()
        && ahead.parse::<Option<Token![const]>>().is_ok()
        && ahead.parse::<Option<Token![async]>>().is_ok()
        && ahead.parse::<Option<Token![unsafe]>>().is_ok()
        && ahead.parse::<Option<Abi>>().is_ok()
        && ahead.peek(Token![fn])
}

/// The inside of a body, cut where a statement may be put in front of the user's own.
pub(crate) struct Statements {
    /// Inner attributes, which belong to the function.
    pub(crate) attrs: TokenStream,
    /// The items that the body begins with. They stay first, or a guard in front of them would set off lints on the user's
    /// `use` and `fn`.
    pub(crate) items: TokenStream,
    /// Everything else.
    pub(crate) rest: TokenStream,
}

impl Statements {
    /// Cuts the tokens of a body.
    ///
    /// # Errors
    /// If an inner attribute is malformed.
    pub(crate) fn cut(body: TokenStream) -> Result<Self> {
        if !may_begin_with_attribute_or_item(&body) {
            return Ok(Self { attrs: TokenStream::new(), items: TokenStream::new(), rest: body });
        }
        Self::parse.parse2(body)
    }

    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let (mut attrs, mut items) = (TokenStream::new(), TokenStream::new());
        attrs.append_all(Attribute::parse_inner(input)?);
        let mut rest: TokenStream = input.fork().parse()?;
        // A body that our parser does not know keeps its items behind the guard, which is only a matter of lints.
        if let Ok(statements) = input.call(Block::parse_within) {
            let n_items = statements.iter().take_while(|it| matches!(it, Stmt::Item(_))).count();
            if 0 < n_items {
                items.append_all(&statements[..n_items]);
                rest = TokenStream::new();
                rest.append_all(&statements[n_items..]);
            }
        } else {
            input.parse::<TokenStream>()?;
        }
        Ok(Self { attrs, items, rest })
    }
}

/// A look at the first token only: most bodies begin with none of these and are never parsed.
fn may_begin_with_attribute_or_item(body: &TokenStream) -> bool {
    const WORDS: [&str; 16] = [
        "use",
        "fn",
        "const",
        "static",
        "struct",
        "enum",
        "union",
        "type",
        "impl",
        "trait",
        "mod",
        "macro_rules",
        "extern",
        "pub",
        "unsafe",
        "async",
    ];
    match body.clone().into_iter().next() {
        Some(proc_macro2::TokenTree::Punct(punct)) => punct.as_char() == '#',
        Some(proc_macro2::TokenTree::Ident(word)) => WORDS.iter().any(|it| word == it),
        _ => false,
    }
}

/// A parsed function together with anything that the attribute has to say about it.
impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        Self::parse_rest(attrs, vis, input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, leading: &str, rest: &str) {
        let cut = Statements::cut(body.parse().unwrap()).unwrap();
        let Statements { attrs, items, .. } = cut;
        let found = quote::quote!(#attrs #items).to_string();
        assert_eq!(found.replace(' ', ""), leading.replace(' ', ""));
        assert_eq!(cut.rest.to_string().replace(' ', ""), rest.replace(' ', ""));
    }

    #[test]
    fn the_guard_comes_behind_leading_items_only() {
        check("let a = 1; a", "", "let a = 1; a");
        check(
            "use a::b; fn f() {} let c = 1; fn g() {}",
            "use a::b; fn f() {}",
            "let c = 1; fn g() {}",
        );
        check("#![expect(lint)] x", "#![expect(lint)]", "x");
        check("unsafe { f() }", "", "unsafe { f() }");
        check("#[cfg(test)] use a; b()", "#[cfg(test)] use a;", "b()");
    }

    #[test]
    fn an_unknown_syntax_passes_through() {
        check("unsafe builtin # thing of { 1 }", "", "unsafe builtin # thing of { 1 }");
    }

    #[test]
    fn functions_are_told_from_other_items() {
        let is_fn = |text: &str| {
            let parse = |input: ParseStream<'_>| {
                let found = is_next(input);
                input.parse::<TokenStream>()?;
                Ok(found)
            };
            parse.parse_str(text).unwrap()
        };
        assert!(is_fn("unsafe extern \"C\" fn f() {}") && is_fn("const fn f() {}"));
        assert!(is_fn("default async fn f() {}") && is_fn("fn f();"));
        assert!(!is_fn("const F: fn() = f;") && !is_fn("unsafe impl Send for X {}"));
        assert!(!is_fn("extern \"C\" { fn f(); }"));
    }
}

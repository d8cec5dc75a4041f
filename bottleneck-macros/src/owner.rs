//! Whose method a function is, as far as it can be known from the tokens.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::Signature;

/// What a function belongs to.
pub(crate) enum Owner {
    /// The block around it was annotated, so that its type is known by its text.
    Named(String),
    /// It has a receiver or names `Self`: the compiler knows the type, and the runtime asks it once.
    OfSelf,
    /// A free function, or an associated one that looks like one.
    None,
}

impl Owner {
    /// The owner of a function whose surroundings are unknown.
    pub(crate) fn of(sig: &Signature) -> Self {
        if sig.receiver().is_some() || names_self(sig.to_token_stream()) {
            Self::OfSelf
        } else {
            Self::None
        }
    }

    /// The text for the site: empty where it is not known.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Named(text) => text,
            Self::OfSelf | Self::None => "",
        }
    }

    /// An `Option<fn() -> &'static str>` that names the type.
    pub(crate) fn as_option(&self, span: proc_macro2::Span) -> TokenStream {
        match self {
            Self::OfSelf => {
                quote_spanned!(span=> ::core::option::Option::Some(::core::any::type_name::<Self>))
            }
            Self::Named(_) | Self::None => quote_spanned!(span=> ::core::option::Option::None),
        }
    }
}

fn names_self(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|it| match it {
        TokenTree::Ident(word) => word == "Self",
        TokenTree::Group(group) => names_self(group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// Tokens as a person would write them: `Matrix<'a, T>`, not `Matrix < 'a , T >`.
pub(crate) fn written(tokens: TokenStream) -> String {
    let mut text = String::new();
    write_to(&mut text, tokens);
    text
}

fn write_to(text: &mut String, tokens: TokenStream) {
    let mut joined = false;
    for tree in tokens {
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                if open == "[" && text.ends_with(char::is_alphanumeric) {
                    text.push(' ');
                }
                text.push_str(open);
                write_to(text, group.stream());
                text.push_str(close);
            }
            TokenTree::Punct(punct) => {
                let sign = punct.as_char();
                // Two-character signs such as `::` and `->` come one by one.
                let spaced = !joined && matches!(sign, '=' | '+' | '-') && !text.ends_with(' ');
                if spaced && !text.is_empty() {
                    text.push(' ');
                }
                text.push(sign);
                let pair = punct.spacing() == Spacing::Joint;
                if sign == ',' || sign == ';' || (!pair && matches!(sign, '=' | '+')) {
                    text.push(' ');
                }
                if text.ends_with("->") {
                    text.push(' ');
                }
                joined = pair;
                continue;
            }
            word => {
                let word = word.to_string();
                if word == "as" || text.ends_with(|it: char| it.is_alphanumeric() || it == '_') {
                    text.push(' ');
                }
                text.push_str(&word);
                if word == "as" {
                    text.push(' ');
                }
            }
        }
        joined = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_people_write_them() {
        for text in [
            "Matrix<'a, T>",
            "<Vec<u8> as core::fmt::Debug>",
            "&'a mut [f32; 4]",
            "Box<dyn Fn(u8) -> u8 + Send>",
            "dyn Iterator<Item = (u8, ())>",
            "*const T",
        ] {
            assert_eq!(written(text.parse().unwrap()), text);
        }
    }

    #[test]
    fn a_receiver_or_self_makes_a_method() {
        let of = |text: &str| Owner::of(&syn::parse_str(text).unwrap());
        assert!(matches!(of("fn f(&self)"), Owner::OfSelf));
        assert!(matches!(of("fn new() -> Option<Self>"), Owner::OfSelf));
        assert!(matches!(of("fn f(x: u8)"), Owner::None));
    }
}

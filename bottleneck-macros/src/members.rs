//! Whole blocks: every function with a body in an `impl`, a `trait` or an inline `mod`.
//!
//! What cannot be measured (`const fn`, functions without a body, foreign and naked functions) and what is marked
//! `#[bottleneck(skip)]` stays as it was. A member's own `#[bottleneck(...)]` adds to the options of the block.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt};
use syn::parse::discouraged::Speculative;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{
    Attribute, Error, ImplItem, Item, ItemImpl, ItemTrait, Result, Token, TraitItem, Visibility,
};

use crate::args::Options;
use crate::function::{self, Function};
use crate::owner::{Owner, written};
use crate::{expand, fallback, validate};

/// An annotated or nested block.
pub(crate) struct Members {
    attrs: Vec<Attribute>,
    /// Everything between the attributes and the braces.
    head: TokenStream,
    body: Group,
    kind: Kind,
}

enum Kind {
    Impl(String),
    Trait(String),
    Mod,
}

impl Kind {
    fn word(&self) -> &'static str {
        match self {
            Self::Impl(_) => "`impl` block",
            Self::Trait(_) => "trait",
            Self::Mod => "module",
        }
    }
}

/// True if an `impl`, a trait or an inline module follows, after attributes and visibility.
pub(crate) fn is_next(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    // Each of these is optional and takes nothing if it is not there.
    ahead.parse::<Option<Token![default]>>().is_ok()
        && ahead.parse::<Option<Token![unsafe]>>().is_ok()
        && (ahead.peek(Token![impl]) || ahead.peek(Token![trait]) || is_inline_mod(&ahead))
}

fn is_inline_mod(input: ParseStream<'_>) -> bool {
    input.peek(Token![mod]) && input.peek3(syn::token::Brace)
}

impl Members {
    /// Reads what follows the attributes and the visibility.
    pub(crate) fn parse_rest(
        attrs: Vec<Attribute>,
        vis: &Visibility,
        input: ParseStream<'_>,
    ) -> Result<Self> {
        let mut head = vis.to_token_stream();
        let mut is_trait = false;
        let mut is_impl = false;
        loop {
            match input.parse()? {
                TokenTree::Group(body) if body.delimiter() == proc_macro2::Delimiter::Brace => {
                    // `impl Array<{ N + 1 }>` and the like: the members come last.
                    if ends_here(input) {
                        let kind = match (is_impl, is_trait) {
                            (true, _) => Kind::Impl(impl_owner(head.clone())?),
                            (false, true) => Kind::Trait(trait_name(head.clone())?),
                            (false, false) => Kind::Mod,
                        };
                        return Ok(Self { attrs, head, body, kind });
                    }
                    head.append(body);
                }
                TokenTree::Ident(word) => {
                    if !is_trait && !is_impl {
                        is_impl = word == "impl";
                        is_trait = word == "trait";
                    }
                    head.append(word);
                }
                other => head.append(other),
            }
        }
    }

    /// The block with its members expanded.
    ///
    /// # Errors
    /// If an option does not fit a whole block, or a member does not parse. A mistake at one member is reported inside.
    pub(crate) fn expand(&self, options: &Options) -> Result<TokenStream> {
        validate::block(options, self.kind.word())?;
        let inside =
            (|input: ParseStream<'_>| self.inside(options, input)).parse2(self.body.stream())?;
        let mut body = Group::new(self.body.delimiter(), inside);
        body.set_span(self.body.span());
        let mut tokens = TokenStream::new();
        tokens.append_all(&self.attrs);
        tokens.extend(self.head.clone());
        tokens.append(body);
        Ok(tokens)
    }

    fn inside(&self, options: &Options, input: ParseStream<'_>) -> Result<TokenStream> {
        let mut tokens = TokenStream::new();
        tokens.append_all(Attribute::parse_inner(input)?);
        while !input.is_empty() {
            tokens.extend(self.member(options, input)?);
        }
        Ok(tokens)
    }

    fn member(&self, block: &Options, input: ParseStream<'_>) -> Result<TokenStream> {
        let ahead = input.fork();
        let attrs = ahead.call(Attribute::parse_outer)?;
        let vis: Visibility = ahead.parse()?;
        let is_function = function::is_next(&ahead);
        let is_block = matches!(self.kind, Kind::Mod) && is_next(&ahead);
        let (own, attrs) = split_ours(attrs);
        if !is_function && !is_block {
            return self.other(own.as_ref(), input);
        }
        input.advance_to(&ahead);
        let options = match own.as_ref().map(|it| own_options(it, block)) {
            None => block.clone(),
            Some(Ok(options)) => options,
            Some(Err(error)) => {
                let item = if is_function {
                    Function::parse_rest(attrs, vis, input)?.to_token_stream()
                } else {
                    Self::parse_rest(attrs, &vis, input)?.expand(block)?
                };
                return Ok(fallback::with_item(&error, &item));
            }
        };
        if is_block {
            let members = Self::parse_rest(attrs, &vis, input)?;
            return if options.skip.is_some() {
                Ok(members.unchanged())
            } else {
                members.expand(&options)
            };
        }
        let function = Function::parse_rest(attrs, vis, input)?;
        let left_out = own.is_none() && validate::unmeasurable(&function).is_some();
        if options.skip.is_some() || left_out {
            return Ok(function.to_token_stream());
        }
        let expanded = expand::function(&options, self.owner(&function), &function);
        Ok(expanded
            .unwrap_or_else(|error| fallback::with_item(&error, &function.to_token_stream())))
    }

    fn owner(&self, function: &Function) -> Owner {
        match &self.kind {
            Kind::Impl(name) | Kind::Trait(name) => Owner::Named(name.clone()),
            Kind::Mod => Owner::of(&function.sig),
        }
    }

    /// Anything else, unchanged, but without a `#[bottleneck(skip)]` that has done its work.
    fn other(&self, own: Option<&Attribute>, input: ParseStream<'_>) -> Result<TokenStream> {
        let tokens = match self.kind {
            Kind::Impl(_) => input.parse::<ImplItem>()?.into_token_stream(),
            Kind::Trait(_) => input.parse::<TraitItem>()?.into_token_stream(),
            Kind::Mod => input.parse::<Item>()?.into_token_stream(),
        };
        let skipped = own.is_some_and(|it| {
            own_options(it, &Options::default()).is_ok_and(|options| options.skip.is_some())
        });
        if !skipped {
            return Ok(tokens);
        }
        let parse = |input: ParseStream<'_>| {
            let (_, attrs) = split_ours(Attribute::parse_outer(input)?);
            let mut tokens = TokenStream::new();
            tokens.append_all(attrs);
            tokens.extend(input.parse::<TokenStream>()?);
            Ok(tokens)
        };
        parse.parse2(tokens)
    }

    fn unchanged(&self) -> TokenStream {
        let mut tokens = TokenStream::new();
        tokens.append_all(&self.attrs);
        tokens.extend(self.head.clone());
        tokens.append(self.body.clone());
        tokens
    }
}

/// True if the braces just read were the members, not a constant in the head.
///
/// Inside a module another item may follow, which never begins with what can follow a constant argument.
fn ends_here(input: ParseStream<'_>) -> bool {
    let goes_on = input.peek(Token![>])
        || input.peek(Token![,])
        || input.peek(Token![+])
        || input.peek(Token![;])
        || input.peek(Token![for])
        || input.peek(Token![where])
        || input.peek(syn::token::Brace);
    !goes_on
}

/// The attribute of ours, if there is one, and the others. A second one stays, to be reported.
fn split_ours(mut attrs: Vec<Attribute>) -> (Option<Attribute>, Vec<Attribute>) {
    let at = attrs.iter().position(validate::is_ours);
    let own = at.map(|at| attrs.remove(at));
    (own, attrs)
}

/// A member's own options over those of its block.
fn own_options(attr: &Attribute, block: &Options) -> Result<Options> {
    let mut options = match &attr.meta {
        syn::Meta::Path(_) => Options::default(),
        syn::Meta::List(list) => Options::parse(list.tokens.clone())?,
        syn::Meta::NameValue(it) => {
            let text = "options go into parentheses: `#[bottleneck(name = \"...\")]`";
            return Err(Error::new(it.eq_token.span, text));
        }
    };
    options.kind = options.kind.or_else(|| block.kind.clone());
    options.runtime = options.runtime.or_else(|| block.runtime.clone());
    Ok(options)
}

fn impl_owner(mut head: TokenStream) -> Result<String> {
    head.append(Group::new(proc_macro2::Delimiter::Brace, TokenStream::new()));
    let block = ItemImpl::parse.parse2(head)?;
    let ty = block.self_ty.to_token_stream();
    Ok(match block.trait_ {
        Some((path, _)) => format!("<{} as {}>", written(ty), written(path.into_token_stream())),
        None => written(ty),
    })
}

fn trait_name(mut head: TokenStream) -> Result<String> {
    head.append(Group::new(proc_macro2::Delimiter::Brace, TokenStream::new()));
    Ok(ItemTrait::parse.parse2(head)?.ident.to_string())
}

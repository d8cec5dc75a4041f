//! From the two token streams that the compiler hands over to the one that it gets back.

use proc_macro2::TokenStream;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Result, Token, Visibility};

use crate::args::Options;
use crate::function::{self, Function};
use crate::members::{self, Members};
use crate::owner::Owner;
use crate::{expand, fallback, validate};

/// Expands the attribute; a mistake becomes its errors and the item as it was.
pub(crate) fn expand(args: TokenStream, item: &TokenStream) -> TokenStream {
    try_expand(args, item.clone()).unwrap_or_else(|error| fallback::with_item(&error, item))
}

fn try_expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options = Options::parse(args)?;
    if options.skip.is_some() {
        return Ok(item);
    }
    match Target::parse.parse2(item)? {
        Target::Function(function) => {
            expand::function(&options, Owner::of(&function.sig), &function)
        }
        Target::Members(members) => members.expand(&options),
    }
}

enum Target {
    Function(Box<Function>),
    Members(Members),
}

impl Parse for Target {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis: Visibility = input.parse()?;
        if function::is_next(input) {
            return Ok(Self::Function(Box::new(Function::parse_rest(attrs, vis, input)?)));
        }
        if members::is_next(input) {
            return Ok(Self::Members(Members::parse_rest(attrs, &vis, input)?));
        }
        let error = validate::misplaced(input.span(), what_is_next(input));
        // The rest has to be taken, or the parser would complain about it instead.
        input.parse::<TokenStream>()?;
        Err(error)
    }
}

fn what_is_next(input: ParseStream<'_>) -> &'static str {
    if input.peek(Token![struct]) {
        "a struct"
    } else if input.peek(Token![enum]) {
        "an enum"
    } else if input.peek(Token![mod]) {
        "a module in another file"
    } else if input.peek(Token![extern]) {
        "foreign functions, whose code is elsewhere"
    } else if input.peek(Token![const]) || input.peek(Token![static]) {
        "a constant or static"
    } else if input.peek(Token![type]) {
        "a type"
    } else if input.peek(Token![use]) {
        "an import"
    } else {
        "this item"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expansion with the parts that are the same everywhere named: `SITE` for the site, `P` for the private path.
    fn expanded(args: &str, item: &str) -> String {
        let tokens = expand(args.parse().unwrap(), &item.parse().unwrap());
        let text = tokens.to_string().replace([' ', '\n'], "");
        text.replace("::bottleneck_runtime::__private", "P").replace("::core::option::Option::", "")
    }

    fn has(text: &str, part: &str) {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }

    #[test]
    fn a_function_gets_one_static_and_one_call_in_front_of_its_statements() {
        let text = expanded("", "pub fn f(x: u8) -> u8 { x + 1 }");
        assert_eq!(
            text,
            "pubfnf(x:u8)->u8{let__bottleneck_guard=P::enter({staticSITE:P::Site=P::Site::new(\
             \"f\",::core::module_path!(),\"\",\"\",0u32,0u32,P::SiteOptions::DEFAULT);&SITE});x+1}"
        );
    }

    #[test]
    fn methods_name_their_type() {
        let text = expanded("", "fn f(&self) {}");
        has(&text, "P::enter_method({static");
        has(&text, "&SITE},::core::any::type_name::<Self>)");
        let text = expanded("", "impl<T> Matrix<T> { fn f(&self) {} const fn g() {} }");
        has(&text, "P::enter({static");
        has(&text, "\"Matrix<T>\"");
        has(&text, "constfng(){}");
        let text = expanded("", "impl Debug for A { fn fmt(&self) {} }");
        has(&text, "\"<A as Debug>\"".replace(' ', "").as_str());
    }

    #[test]
    fn options_reach_the_site_and_the_call() {
        let text = expanded(
            "name = \"x y\", request, kind = \"io\", dtype = i8, flops = 2 * n, key = phase",
            "fn f(n: usize) {}",
        );
        has(
            &text,
            "request:true,asserted:P::Asserted::Io,dtype:::bottleneck_runtime::Dtype::I8,..",
        );
        has(
            &text,
            "&SITE},None,||P::Call{key:Some(P::key(phase)),flops:2f64*P::amount(n),bytes:0f64})",
        );
    }

    #[test]
    fn an_async_body_becomes_one_future() {
        let text = expanded("", "async fn f() -> Option<u8> { g().await }");
        has(&text, "let__bottleneck_call=P::async_call({static");
        has(&text, "asynchronous:true,..P::SiteOptions::DEFAULT");
        has(&text, "asyncmove{ifletSome(__bottleneck_returned)=None::<Option<u8>>{return");
        has(&text, ";}g().await}).await}");
    }

    #[test]
    fn returned_futures_are_wrapped_at_every_return() {
        let text = expanded(
            "",
            "fn f(x: bool) -> impl Future<Output = u8> { if x { return a(); } b(|| { return 1; }) }",
        );
        has(&text, "returnP::future(__bottleneck_call,a());");
        has(&text, "P::future(__bottleneck_call,b(||{return1;}))}");
        let text =
            expanded("", "fn f() -> Pin<Box<dyn Future<Output = u8>>> { Box::pin(async { 1 }) }");
        has(&text, "Box::pin(P::future(__bottleneck_call,");
        let text = expanded("", "fn f() -> BoxFuture<'static, u8> { g() }");
        has(
            &text,
            "{let__bottleneck_future:BoxFuture<'static,u8>=g();::std::boxed::Box::pin(P::future(",
        );
    }

    #[test]
    fn members_can_be_left_out_or_described() {
        let text = expanded(
            "crate = rt",
            "mod m { #[bottleneck(skip)] fn a() {} mod n { #[bottleneck(name = \"bee\")] fn b() {} } struct S; }",
        );
        has(&text, "fna(){}");
        has(&text, "rt::__private::enter({static");
        has(&text, "\"bee\"");
        assert_eq!(text.matches("static").count(), 1, "{text}");
        assert!(!text.contains("skip"), "{text}");
    }

    #[test]
    fn a_mistake_keeps_the_item() {
        for (args, item, says) in [
            ("", "const fn f() {}", "remove `const`"),
            ("", "struct S;", "does not go on a struct"),
            ("", "fn f();", "nothing to measure"),
            ("flop = 1", "fn f() {}", "did you mean `flops`"),
            ("dtype = f32", "fn f() {}", "add `flops = ...`"),
            ("flops = g()?", "fn f() {}", "`?` cannot be used in an option"),
            ("name = \"x\"", "impl S {}", "belongs on a single function"),
            ("", "#[bottleneck] fn f() {}", "twice"),
        ] {
            let text = expanded(args, item);
            has(&text, &says.replace(' ', ""));
            has(&text, &item.replace(' ', ""));
            assert_eq!(text.matches("compile_error").count(), 1, "{text}");
        }
    }
}

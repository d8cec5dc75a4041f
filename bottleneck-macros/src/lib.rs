//! The `#[bottleneck]` attribute of `cargo bottleneck`.
//!
//! Use it through the crate `bottleneck-runtime`, which re-exports it and whose names the generated code calls.
//!
//! This crate turns tokens into tokens. It never changes a signature, an attribute or a type, never emits `unsafe`, and
//! names nothing but `::core`, `::std::boxed::Box` (for some boxed futures) and `__private` of the runtime.

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

/// Measures a function: how often it is called, how long it runs, what it waits for.
///
/// It goes on functions of every kind (`async`, `unsafe`, `extern "C"`, generic, methods with any receiver, trait methods
/// with a body), and on whole `impl` blocks, traits and inline modules. A `?`, a `return`, a panic and an early drop all
/// end the span. Nothing but the body changes, so `#[must_use]`, `#[track_caller]`, `#[inline]` and lints keep their
/// meaning, in any order of attributes.
///
/// While nothing records, a call costs one load and a predicted branch; the runtime's documentation has the numbers.
///
/// # Options
///
/// | option | meaning |
/// |---|---|
/// | `name = "..."` | shown instead of the name of the function |
/// | `key = expr` | a small class of call, such as prefill or decode: each value is counted for itself; a string, an integer, a `bool` or a `char` |
/// | `request` | a user waits for this span |
/// | `flops = expr` | floating point operations of this call |
/// | `bytes = expr` | bytes that this call has to move between memory and the processor, at least |
/// | `dtype = f32` | what `flops` counts: `f32`, `f16`, `bf16` or `i8` |
/// | `kind = "io"` | your own word for it, shown as asserted: `"memory"`, `"compute"`, `"io"` or `"scheduling"` |
/// | `crate = path` | where the runtime is, if not at `::bottleneck_runtime` |
/// | `skip` | leaves out this member of an annotated block |
///
/// `key`, `flops` and `bytes` may use the parameters. In `flops` and `bytes`, the operators `+ - * /` and numbers are
/// computed in `f64`, so a product of many sizes does not overflow, and `7 / 2` is 3.5. All else in them, such as `a % b` or
/// `x.len()`, keeps its own type. They are evaluated at the start of a call, and only while recording.
///
/// On a block only `kind` and `crate` are allowed, for all its members. A member may have a `#[bottleneck(...)]` of its own.
/// In a block, `const fn`, methods without a body, foreign and naked functions are left alone. What stands outside of a block
/// but cannot be measured is an error that says what to do instead.
///
/// # What it becomes
///
/// A function gets one `static` and one call in front of its statements (behind the items it begins with):
///
/// ```ignore
/// #[bottleneck]
/// fn decode(n: usize) -> usize { n + 1 }
/// // becomes
/// fn decode(n: usize) -> usize {
///     let __bottleneck_guard = ::bottleneck_runtime::__private::enter({
///         static SITE: ::bottleneck_runtime::__private::Site = ::bottleneck_runtime::__private::Site::new(
///             "decode", ::core::module_path!(), "", "src/model.rs", 12, 4,
///             ::bottleneck_runtime::__private::SiteOptions::DEFAULT,
///         );
///         &SITE
///     });
///     n + 1
/// }
/// ```
///
/// From here on `SITE` stands for that block, and `rt` for `::bottleneck_runtime::__private`. The local cannot meet one of
/// yours. A method also hands over its type, which the runtime asks for once; in an annotated `impl` block it is known as text:
///
/// ```ignore
/// let __bottleneck_guard = rt::enter_method(SITE, ::core::any::type_name::<Self>);
/// ```
///
/// With `key = phase, flops = 2 * rows * cols`:
///
/// ```ignore
/// let __bottleneck_guard = rt::enter_with(SITE, ::core::option::Option::None, || rt::Call {
///     key: ::core::option::Option::Some(rt::key(phase)),
///     flops: 2f64 * rt::amount(rows) * rt::amount(cols),
///     bytes: 0f64,
/// });
/// ```
///
/// An `async fn` (with options: `rt::async_call_with(SITE, owner, || rt::Call { .. })`) is measured from its first poll until it is ready or dropped: every poll is busy time, what lies between
/// polls is waiting. The `if let` never runs; it tells the compiler the return type before it reads your code:
///
/// ```ignore
/// #[bottleneck]
/// async fn load(&self) -> Option<&[u8]> { Some(&self.weights) }
/// // becomes
/// async fn load(&self) -> Option<&[u8]> {
///     let __bottleneck_call = rt::async_call(SITE, owner);
///     rt::future(__bottleneck_call, async move {
///         if let ::core::option::Option::Some(r) = ::core::option::Option::None::<Option<&[u8]>> { return r; }
///         Some(&self.weights)
///     }).await
/// }
/// ```
///
/// A function whose return type reads `impl Future`, `Pin<Box<dyn Future>>`, `Box<dyn Future>`, `BoxFuture` or
/// `LocalBoxFuture` is measured as the future that it returns, which includes methods that `#[async_trait]` made. Every
/// `return` and the last expression are wrapped, inside the box where the text is `Box::pin(...)`, else in a box around it:
///
/// ```ignore
/// #[bottleneck]
/// fn load(n: u8) -> BoxFuture<'static, u8> {
///     if n == 0 { return cached(); }
///     Box::pin(async move { n })
/// }
/// // becomes
/// fn load(n: u8) -> BoxFuture<'static, u8> {
///     let __bottleneck_call = rt::async_call(SITE, owner);
///     if n == 0 {
///         return {
///             let f: BoxFuture<'static, u8> = cached();
///             ::std::boxed::Box::pin(rt::future(__bottleneck_call, f))
///         };
///     }
///     Box::pin(rt::future(__bottleneck_call, async move { n }))
/// }
/// ```
///
/// # Limits
///
/// * Any other return type is a value: `Result<impl Future, E>` or a future behind an alias of your own is measured while it
///   is made, not while it runs. Make the function an `async fn`, or put the attribute on the one inside.
/// * A `return` in the tokens of a macro, in a function that returns a future, is refused, since it could not be wrapped.
/// * In an `async fn`, parameters that the body uses are dropped in the order of their first use.
/// * One `static` serves all instances of a generic function, and all implementations that share a default method: they
///   are one site, under the type that came first.
#[proc_macro_attribute]
pub fn bottleneck(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute::expand(args.into(), &item.into()).into()
}

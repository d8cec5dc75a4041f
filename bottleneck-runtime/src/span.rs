//! Spans: opened by a call, closed by dropping its guard. The hot path; see `record::recorder` for what it must never do.

use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

use crate::format::Node;
use crate::key::Key;
use crate::record::recorder::{Recorder, add, add_f64};
use crate::record::{process, thread};
use crate::site::{Owner, Site};
use crate::work::Work;

/// An open span. Dropping it closes the span; it cannot leave its thread.
#[must_use = "a span lasts until its guard is dropped: `let _span = span!(..);`"]
#[derive(Debug)]
pub struct SpanGuard {
    /// Null where nothing is recorded. One word: the node knows when it was opened.
    node: *const Node,
}

/// What a call says of itself: evaluated while recording only.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The class of call.
    pub key: Option<Key<'a>>,
    /// Operations; 0 or NaN for none declared.
    pub flops: f64,
    /// Compulsory bytes; 0 or NaN for none declared.
    pub bytes: f64,
}

impl SpanGuard {
    pub(crate) const INERT: Self = Self { node: ptr::null() };

    #[inline(always)]
    pub(crate) fn new(node: &Node) -> Self {
        Self { node }
    }

    /// Whether nothing is recorded through it.
    pub(crate) fn is_inert(&self) -> bool {
        self.node.is_null()
    }

    /// The node and the first tick of an open span; the caller closes it in the guard's place.
    #[inline(always)]
    pub(crate) fn into_parts(self) -> Option<(&'static Node, u64)> {
        let this = core::mem::ManuallyDrop::new(self);
        // SAFETY: null, or a node of a mapping that stays for good.
        unsafe { this.node.as_ref() }.map(|node| (node, node.open_since.load(Relaxed)))
    }
}

/// Opens a span.
#[inline]
pub fn enter(site: &'static Site) -> SpanGuard {
    if cfg!(bottleneck_disabled) || process::is_off() {
        return SpanGuard::INERT;
    }
    open(site)
}

/// Opens a span of a method. `owner` names the type; it is called at the site's first use only.
#[inline]
pub fn enter_method(site: &'static Site, owner: fn() -> &'static str) -> SpanGuard {
    if cfg!(bottleneck_disabled) || process::is_off() {
        return SpanGuard::INERT;
    }
    open_method(site, owner)
}

/// Opens a span of a call with a key or declared work. `call` runs while recording only.
#[inline]
pub fn enter_with<'a>(
    site: &'static Site,
    owner: Option<fn() -> &'static str>,
    call: impl FnOnce() -> Call<'a>,
) -> SpanGuard {
    if cfg!(bottleneck_disabled) || process::is_off() {
        return SpanGuard::INERT;
    }
    let Some(recorder) = thread::attached().or_else(thread::attach) else {
        return open_unrecorded(site);
    };
    let call = call();
    let guard = recorder.open(site, owner, known_key(recorder, call.key.as_ref()));
    // SAFETY: null, or a node of a mapping that stays for good.
    if let Some(node) = unsafe { guard.node.as_ref() } {
        declare(node, call.flops, call.bytes, None);
    }
    guard
}

/// Adds work to the innermost open span of this thread: for what is known only inside of a function.
///
/// Without a span, or while nothing is recorded, it does nothing.
#[inline]
pub fn work(work: Work) {
    if cfg!(bottleneck_disabled) || process::is_off() {
        return;
    }
    if let Some(recorder) = thread::attached() {
        declare(recorder.current(), work.flops, work.bytes, Some(work.dtype as u32));
    }
}

/// Out of line, as `close` is: an annotated function holds two calls and nothing else. Without an owner, which would have to
/// be kept on the stack while the thread-local variable is looked up.
#[inline(never)]
pub(crate) fn open(site: &'static Site) -> SpanGuard {
    match thread::attached() {
        Some(recorder) => recorder.open(site, None, None),
        None => open_first(site, None),
    }
}

/// The same for a method.
#[inline(never)]
fn open_method(site: &'static Site, owner: fn() -> &'static str) -> SpanGuard {
    match thread::attached() {
        Some(recorder) => recorder.open(site, Some(owner), None),
        None => open_first(site, Some(owner)),
    }
}

/// The first span of a thread.
#[cold]
#[inline(never)]
fn open_first(site: &'static Site, owner: Owner) -> SpanGuard {
    match thread::attach() {
        Some(recorder) => recorder.open(site, owner, None),
        None => open_unrecorded(site),
    }
}

/// A span that is not recorded; a range for a tool, where one listens.
#[cold]
#[inline(never)]
fn open_unrecorded(site: &'static Site) -> SpanGuard {
    #[cfg(all(feature = "cuda", not(bottleneck_injection)))]
    if let Some(tool) = process::listener() {
        tool.begin(site);
        return SpanGuard::new(crate::cuda::nvtx::range());
    }
    let _ = site;
    SpanGuard::INERT
}

/// The end of what [`open_unrecorded`] has opened; nothing for a span of the parent in a forked child.
#[cold]
#[inline(never)]
fn close_unrecorded(node: &Node) {
    #[cfg(all(feature = "cuda", not(bottleneck_injection)))]
    if ptr::eq(node, crate::cuda::nvtx::range())
        && let Some(tool) = crate::cuda::nvtx::listener()
    {
        tool.end();
    }
    let _ = node;
}

impl Drop for SpanGuard {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: null, or a node of a mapping that stays for good.
        if let Some(node) = unsafe { self.node.as_ref() } {
            close(node);
        }
    }
}

/// Closes a span. Out of line: one copy of it serves every annotated function.
#[inline(never)]
pub(crate) fn close(node: &Node) {
    // Not by way of the thread-local variable, whose address costs a call in position-independent code. In a forked child
    // the node is zeros; at the very end of a thread the recorder finds the span closed.
    // SAFETY: null, or the address of a recorder, which is never freed.
    if let Some(recorder) = unsafe { (node.own_recorder.load(Relaxed) as *const Recorder).as_ref() }
    {
        recorder.close_and_count(node);
    } else {
        close_unrecorded(node);
    }
}

/// The hash of a key, whose text is written into the profile at first sight.
#[inline]
pub(crate) fn known_key(recorder: &Recorder, key: Option<&Key<'_>>) -> Option<u64> {
    let key = key?;
    recorder.see_key(key);
    Some(key.hash())
}

/// Adds declared work to a node.
#[inline]
pub(crate) fn declare(node: &Node, flops: f64, bytes: f64, dtype: Option<u32>) {
    // NaN, infinite and negative amounts are no declarations; one of them must not spoil the sum of all.
    let flops = if flops.is_finite() { flops.max(0.0) } else { 0.0 };
    let bytes = if bytes.is_finite() { bytes.max(0.0) } else { 0.0 };
    if flops == 0.0 && bytes == 0.0 {
        return;
    }
    add_f64(&node.flops, flops);
    add_f64(&node.bytes, bytes);
    add(&node.work_count, 1);
    if let Some(dtype) = dtype {
        node.work_dtype.store(dtype + 1, Relaxed);
    }
}

/// Opens a span for the rest of the block: `let _span = span!("layer");`, with a class of call
/// `span!("forward", key = phase)`, and, where a user waits for it, `span!("answer", request)`.
///
/// With the feature `cuda`, `span!("layers", cuda_stream = stream)` names the stream that the block gives its work to, behind
/// all other options.
#[macro_export]
macro_rules! span {
    ($name:expr, cuda_stream = $stream:expr $(,)?) => {
        $crate::cuda::TimedSpan::new($crate::span!($name), &$stream)
    };
    ($name:expr, request, cuda_stream = $stream:expr $(,)?) => {
        $crate::cuda::TimedSpan::new($crate::span!($name, request), &$stream)
    };
    ($name:expr, key = $key:expr, cuda_stream = $stream:expr $(,)?) => {
        $crate::cuda::TimedSpan::new($crate::span!($name, key = $key), &$stream)
    };
    ($name:expr, request, key = $key:expr, cuda_stream = $stream:expr $(,)?) => {
        $crate::cuda::TimedSpan::new($crate::span!($name, request, key = $key), &$stream)
    };
    ($name:expr, request $(, key = $key:expr)? $(,)?) => {
        $crate::span!(@site $name, $crate::__private::SiteOptions::REQUEST $(, $key)?)
    };
    ($name:expr $(, key = $key:expr)? $(,)?) => {
        $crate::span!(@site $name, $crate::__private::SiteOptions::DEFAULT $(, $key)?)
    };
    (@site $name:expr, $options:expr $(, $key:expr)?) => {{
        static SITE: $crate::__private::Site = $crate::__private::Site::new(
            $name,
            ::core::module_path!(),
            "",
            ::core::file!(),
            ::core::line!(),
            ::core::column!(),
            $options,
        );
        $crate::span!(@enter SITE $(, $key)?)
    }};
    (@enter $site:ident) => { $crate::__private::enter(&$site) };
    (@enter $site:ident, $key:expr) => {
        $crate::__private::enter_with(&$site, ::core::option::Option::None, || $crate::__private::Call {
            key: ::core::option::Option::Some($crate::__private::key($key)),
            flops: 0.0,
            bytes: 0.0,
        })
    };
}

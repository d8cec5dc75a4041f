//! Records where the time of a program goes: spans, waits and declared work, for `cargo bottleneck`.
//!
//! Put `#[bottleneck]` on functions, or `let _span = span!("name");` into a block, and run the program with
//! `cargo bottleneck run`. What a call is worth can be declared: `#[bottleneck(flops = 2 * m * n * k, bytes = ...)]`.
//!
//! # Cost
//!
//! * Not switched on (no `BOTTLENECK_RUN_DIR` in the environment): one relaxed load and a predicted branch.
//! * Built with `--cfg bottleneck_disabled`: nothing.
//! * Recording: about the cost of reading the time-stamp counter twice. A thread's first span, and the first call on a new
//!   path, cost microseconds. Nothing is allocated, locked or formatted otherwise.
//! * While recording there is one more thread, which looks at what all others do. It takes at most 0.4 % of one core.
//!
//! Recording never breaks the program: no panic, no error, no change of signature. What is lost is counted and shown.
#![expect(
    clippy::cast_ptr_alignment,
    reason = "chunks of the mapped file are 64-aligned and rings page-aligned, as the note at each place says"
)]

mod clock;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod format;
mod future;
#[cfg(all(test, target_arch = "x86_64"))]
mod hot_path_test;
#[cfg(bottleneck_injection)]
mod injection;
mod key;
mod os;
mod record;
mod site;
#[cfg(feature = "sources")]
#[doc(hidden)]
pub mod sources;
mod span;
#[cfg(target_arch = "x86_64")]
mod time_load;
mod work;

#[cfg(not(bottleneck_injection))]
pub use bottleneck_macros::bottleneck;
pub use span::{SpanGuard, work};
pub use work::{Dtype, Work};

/// Names for generated code. Not a public interface: it changes with every release.
#[doc(hidden)]
pub mod __private {
    pub use crate::future::{AsyncCall, Instrumented, async_call, async_call_with, future};
    pub use crate::key::{AsKey, Key, key};
    pub use crate::site::{Asserted, Site, SiteOptions};
    pub use crate::span::{Call, SpanGuard, enter, enter_method, enter_with};
    #[cfg(target_arch = "x86_64")]
    pub use crate::time_load::{faulted, time_load};
    pub use crate::work::{Amount, Dtype, amount};
}

/// The examples of the page of this crate, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! No form of the attribute makes a warning. `tests/lints.rs` asks clippy the same.

#![deny(warnings, unused, future_incompatible, let_underscore, nonstandard_style, rust_2018_idioms)]
#![deny(missing_docs, unreachable_pub, unused_qualifications, unused_lifetimes, single_use_lifetimes)]
#![forbid(unreachable_code, unused_variables, unused_mut, unused_must_use, unused_braces)]

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

#[bottleneck(key = (n), flops = (2 * n), bytes = 4 * (n + 1), dtype = bf16, request, kind = "memory")]
fn plain(n: usize) -> usize {
    n
}

#[bottleneck(flops = 2)]
fn nothing() {}

#[bottleneck]
async fn later(n: usize) -> Result<usize, std::num::ParseIntError> {
    "1".parse::<usize>().map(|it| it + n)
}

#[bottleneck]
async fn nothing_later() {}

#[bottleneck]
async fn same(n: usize) -> usize {
    n
}

#[bottleneck]
async unsafe fn read(at: &usize) -> usize {
    *at
}

#[bottleneck]
async fn block(n: usize) -> usize {
    unsafe { read(&n).await }
}

#[bottleneck]
fn returned(n: usize) -> std::pin::Pin<Box<dyn Future<Output = usize>>> {
    if n == 0 {
        return Box::pin(async { 0 });
    }
    let future = Box::pin(async move { n });
    future
}

fn main() {
    nothing();
    block_on(nothing_later());
    assert_eq!(block_on(same(1)) + block_on(block(1)), 2);
    assert_eq!(plain(1) + block_on(later(1)).unwrap_or(0) + block_on(returned(1)), 4);
}

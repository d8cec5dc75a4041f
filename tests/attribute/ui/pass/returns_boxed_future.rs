//! `Pin<Box<dyn Future>>` and its aliases, also where the boxes hold different futures.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

use std::future::Future;
use std::pin::Pin;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[bottleneck]
fn plain<'a>(text: &'a str) -> Pin<Box<dyn Future<Output = usize> + Send + 'a>> {
    Box::pin(async move { text.len() })
}

#[bottleneck]
fn alias(n: u8) -> BoxFuture<'static, u8> {
    if n == 0 {
        return Box::pin(async { 100 });
    }
    if n == 1 { Box::pin(async { 101 }) } else { Box::pin(std::future::ready(n)) }
}

#[bottleneck]
fn passed_on(n: u8) -> BoxFuture<'static, u8> {
    let future = alias(n);
    future
}

#[bottleneck]
fn unpinned(n: u8) -> Box<dyn Future<Output = u8> + Unpin> {
    Box::new(std::future::ready(n))
}

#[bottleneck]
fn not_yet() -> BoxFuture<'static, u8> {
    todo!()
}

fn main() {
    assert_eq!(block_on(plain("abc")), 3);
    for (n, result) in [(0, 100), (1, 101), (2, 2)] {
        assert_eq!(block_on(alias(n)), result);
        assert_eq!(block_on(passed_on(n)), result);
    }
    assert_eq!(block_on(unpinned(4)), 4);
    assert!(std::panic::catch_unwind(not_yet).is_err());
}

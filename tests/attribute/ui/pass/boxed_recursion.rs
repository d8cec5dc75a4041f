//! Recursion, direct and through boxed futures.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

use std::pin::Pin;

#[bottleneck]
fn fibonacci(n: u32) -> u32 {
    if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) }
}

#[bottleneck]
async fn factorial(n: u32) -> u32 {
    if n == 0 { 1 } else { n * Box::pin(factorial(n - 1)).await }
}

#[bottleneck]
fn sum(n: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(async move { if n == 0 { 0 } else { n + sum(n - 1).await } })
}

fn main() {
    assert_eq!(fibonacci(10), 55);
    assert_eq!(block_on(factorial(5)), 120);
    assert_eq!(block_on(sum(10)), 55);
}

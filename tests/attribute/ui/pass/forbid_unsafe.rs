//! Generated code holds no `unsafe`, whatever the options.

#![forbid(unsafe_code)]

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

#[bottleneck(name = "named", key = n, flops = n, bytes = n, dtype = i8, kind = "compute", request)]
fn plain(n: usize) -> usize {
    n
}

#[bottleneck(name = "named later", key = n, flops = n)]
async fn later(n: usize) -> usize {
    n
}

#[bottleneck]
fn returned(n: usize) -> impl Future<Output = usize> {
    async move { n }
}

fn main() {
    assert_eq!(plain(1) + block_on(later(1)) + block_on(returned(1)), 3);
}

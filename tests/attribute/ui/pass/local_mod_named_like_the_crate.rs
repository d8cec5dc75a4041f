//! A local module with the name of the runtime is not mistaken for it.

use ::bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

mod bottleneck_runtime {
    pub mod __private {}
}

mod bottleneck_macros {}

#[bottleneck(key = "a", flops = 2 * n)]
fn plain(n: u64) -> u64 {
    n
}

#[bottleneck]
async fn later(n: u64) -> u64 {
    n
}

fn main() {
    assert_eq!(plain(1) + block_on(later(1)), 2);
}

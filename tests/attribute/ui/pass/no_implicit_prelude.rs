//! Nothing of the prelude is needed.

#![no_implicit_prelude]

use ::bottleneck_runtime::bottleneck;
use ::bottleneck_attribute::executor::block_on;

struct Model;

#[bottleneck]
impl Model {
    #[bottleneck(key = n, flops = 2 * n, request)]
    fn plain(&self, n: usize) -> usize {
        n
    }

    async fn later(&self, n: usize) -> usize {
        n
    }

    fn returned(&self, n: usize) -> impl ::std::future::Future<Output = usize> {
        ::std::future::ready(n)
    }
}

trait Named {
    #[bottleneck]
    fn name(&self) -> usize {
        1
    }
}

impl Named for Model {}

fn main() {
    let n = Model.plain(1) + block_on(Model.later(1)) + block_on(Model.returned(1)) + Model.name();
    ::std::assert_eq!(n, 4);
}

//! Local modules that hide the standard library.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

mod std {}
mod core {}
mod alloc {}

#[derive(Clone, Copy)]
#[expect(dead_code, reason = "it only hides the real one")]
enum Option {
    None,
}

#[bottleneck(key = "a", flops = n, bytes = n)]
fn plain(n: u64) -> u64 {
    n
}

struct Model;

impl Model {
    #[bottleneck]
    async fn later(&self, n: u64) -> u64 {
        n
    }

    #[bottleneck]
    fn boxed(&self, n: u64) -> ::std::pin::Pin<Box<dyn Future<Output = u64>>> {
        let future = Box::pin(async move { n });
        future
    }
}

fn main() {
    assert_eq!(plain(1) + block_on(Model.later(1)) + block_on(Model.boxed(1)), 3);
}

//! Nothing is asked of the arguments: no `Debug`, no `Clone`, no name.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

struct Opaque;

impl Opaque {
    #[bottleneck]
    fn by_value(self, _: Opaque, other: impl FnOnce() -> Opaque) -> Opaque {
        other()
    }

    #[bottleneck]
    async fn later(&self, other: impl Future<Output = Opaque>) -> Opaque {
        other.await
    }
}

fn main() {
    let opaque = Opaque.by_value(Opaque, || Opaque);
    let Opaque = block_on(opaque.later(async { Opaque }));
}

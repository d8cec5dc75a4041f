//! The runtime under another name, and as a re-export of a library.

extern crate bottleneck_runtime as renamed;

use bottleneck_attribute::executor::block_on;
use renamed::bottleneck;

mod library {
    pub mod reexport {
        pub use renamed::*;
    }
}

#[bottleneck(crate = ::renamed, dtype = f16, flops = n)]
fn by_other_name(n: u64) -> u64 {
    n
}

#[bottleneck(crate = crate::library::reexport, key = n)]
async fn by_reexport(n: usize) -> usize {
    n
}

struct Model;

#[bottleneck(crate = renamed)]
impl Model {
    fn forward(&self) -> u64 {
        1
    }

    #[bottleneck(name = "backward pass")]
    fn backward(&self) -> u64 {
        1
    }
}

fn main() {
    assert_eq!(by_other_name(1), 1);
    assert_eq!(block_on(by_reexport(1)), 1);
    assert_eq!(Model.forward() + Model.backward(), 2);
}

//! `Some(&vec)` is an `Option<&[u8]>` only if the return type is known before the body.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

struct Model {
    weights: Vec<u8>,
}

impl Model {
    #[bottleneck]
    async fn weights(&self, some: bool) -> Option<&[u8]> {
        if !some {
            return None;
        }
        Some(&self.weights)
    }

    #[bottleneck]
    async fn early(&self, early: bool) -> Option<&[u8]> {
        if early {
            return Some(&self.weights);
        }
        None
    }
}

fn main() {
    let model = Model { weights: vec![1, 2] };
    assert_eq!(block_on(model.weights(true)), Some(&[1, 2][..]));
    assert_eq!(block_on(model.weights(false)), None);
    assert_eq!(block_on(model.early(true)), Some(&[1, 2][..]));
    assert_eq!(block_on(model.early(false)), None);
}

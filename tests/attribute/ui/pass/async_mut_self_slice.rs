//! `async fn(&mut self, &[u8]) -> &[u8]`, with a coercion, of a type without `Debug`.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

struct Cache {
    bytes: Vec<u8>,
}

impl Cache {
    #[bottleneck]
    async fn fill(&mut self, from: &[u8]) -> &[u8] {
        self.bytes.extend_from_slice(from);
        &self.bytes
    }

    #[bottleneck]
    async fn either<'a>(&'a mut self, other: &'a Vec<u8>, own: bool) -> &'a [u8] {
        if own {
            return &self.bytes;
        }
        other
    }
}

fn main() {
    let mut cache = Cache { bytes: Vec::new() };
    assert_eq!(block_on(cache.fill(&[1])), &[1]);
    assert_eq!(block_on(cache.fill(&[2])), &[1, 2]);
    assert_eq!(block_on(cache.either(&vec![3], true)), &[1, 2]);
    assert_eq!(block_on(cache.either(&vec![3], false)), &[3]);
}

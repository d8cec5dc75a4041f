//! Constant parameters, also with braces in the head of an `impl`.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

#[bottleneck(flops = N * M)]
fn flat<const N: usize, const M: usize>(rows: [[u8; N]; M]) -> usize {
    rows.iter().flatten().map(|it| usize::from(*it)).sum()
}

struct Block<const N: usize>;

trait Size {
    fn size(&self) -> usize;
}

#[bottleneck]
impl Block<{ 1 + 1 }> {
    fn two(&self) -> usize {
        2
    }
}

#[bottleneck]
impl Size for Block<{ 2 + 1 }> {
    fn size(&self) -> usize {
        3
    }
}

#[bottleneck]
async fn later<const N: usize>(all: [u8; N]) -> [u8; N] {
    all
}

fn main() {
    assert_eq!(flat([[1, 2], [3, 4]]), 10);
    assert_eq!(Block::<2>.two() + Block::<3>.size(), 5);
    assert_eq!(block_on(later([1, 2])), [1, 2]);
}

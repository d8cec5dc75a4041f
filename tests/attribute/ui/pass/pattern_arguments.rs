//! Arguments taken apart in the signature.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

struct Shape {
    rows: usize,
    cols: usize,
}

#[bottleneck(flops = 2 * rows * cols * k)]
fn plain(Shape { rows, cols }: Shape, (k, _): (usize, u8), [a, ..]: [u8; 3], mut n: usize) -> usize {
    n += usize::from(a);
    rows * cols * k + n
}

#[bottleneck(flops = 2 * rows * cols)]
async fn later(Shape { rows, cols }: Shape, &n: &usize, _: u8, mut m: usize) -> usize {
    m += n;
    rows * cols + m
}

fn main() {
    assert_eq!(plain(Shape { rows: 2, cols: 3 }, (4, 0), [1, 2, 3], 5), 30);
    assert_eq!(block_on(later(Shape { rows: 2, cols: 3 }, &1, 0, 2)), 9);
}

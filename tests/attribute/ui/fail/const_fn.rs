use bottleneck_runtime::bottleneck;

#[bottleneck]
pub const fn width() -> usize {
    4
}

const WIDTH: usize = width();

fn main() {
    assert_eq!(WIDTH, 4);
}

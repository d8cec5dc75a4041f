use bottleneck_runtime::bottleneck;

#[bottleneck(flop = 2 * n, nmae = "x", color = "red")]
fn forward(n: u64) -> u64 {
    n
}

fn main() {
    assert_eq!(forward(1), 1);
}

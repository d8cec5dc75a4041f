use bottleneck_runtime::bottleneck;

#[bottleneck(flops = 2 * name)]
fn forward(name: &str) -> usize {
    name.len()
}

fn main() {
    assert_eq!(forward("a"), 1);
}

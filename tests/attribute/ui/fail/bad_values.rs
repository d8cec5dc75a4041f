use bottleneck_runtime::bottleneck;

#[bottleneck(kind = "gpu", dtype = f64, name = decode, request = true)]
fn forward(n: u64) -> u64 {
    n
}

#[bottleneck(key, name = "a", name = "b")]
fn backward(n: u64) -> u64 {
    n
}

#[bottleneck(crate = "bottleneck_runtime")]
fn both(n: u64) -> u64 {
    n
}

fn main() {
    assert_eq!(forward(1) + backward(1) + both(1), 3);
}

use bottleneck_runtime::bottleneck;

#[bottleneck]
#[bottleneck(name = "again")]
fn forward() -> u8 {
    1
}

fn main() {
    assert_eq!(forward(), 1);
}

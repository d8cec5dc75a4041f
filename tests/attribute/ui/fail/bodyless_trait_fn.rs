use bottleneck_runtime::bottleneck;

trait Model {
    #[bottleneck]
    fn forward(&self) -> u8;
}

struct One;

impl Model for One {
    fn forward(&self) -> u8 {
        1
    }
}

fn main() {
    assert_eq!(One.forward(), 1);
}

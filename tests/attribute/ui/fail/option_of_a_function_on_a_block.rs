use bottleneck_runtime::bottleneck;

struct Model;

#[bottleneck(name = "model")]
impl Model {
    fn forward(&self) -> u8 {
        1
    }
}

#[bottleneck]
impl Model {
    #[bottleneck(flop = 1)]
    fn backward(&self) -> u8 {
        1
    }

    #[bottleneck]
    const fn width(&self) -> u8 {
        1
    }
}

fn main() {
    assert_eq!(Model.forward() + Model.backward() + Model.width(), 3);
}

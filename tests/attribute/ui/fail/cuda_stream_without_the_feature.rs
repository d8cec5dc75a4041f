use bottleneck_runtime::bottleneck;

struct Model {
    stream: (),
}

impl Model {
    #[bottleneck(cuda_stream = self.stream)]
    fn forward(&self) -> u8 {
        1
    }
}

fn main() {
    assert_eq!(Model { stream: () }.forward(), 1);
}

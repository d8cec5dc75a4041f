use bottleneck_runtime::bottleneck;

struct Model {
    stream: (),
}

impl Model {
    #[bottleneck(cuda_stream = self.stream)]
    async fn forward(&self) -> u8 {
        1
    }
}

fn main() {
    let _ = Model { stream: () }.forward();
}

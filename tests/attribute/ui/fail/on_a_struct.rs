use bottleneck_runtime::bottleneck;

#[bottleneck]
struct Model {
    width: usize,
}

fn main() {
    let model = Model { width: 4 };
    assert_eq!(model.width, 4);
}

use bottleneck_runtime::bottleneck;

#[bottleneck]
async fn wrong() -> Option<u8> {
    Some("text")
}

#[bottleneck]
async fn not_send(n: u8) -> u8 {
    let cell = std::rc::Rc::new(n);
    std::future::ready(()).await;
    *cell
}

fn is_send<F: Send>(_: F) {}

fn main() {
    drop(wrong());
    is_send(not_send(1));
}

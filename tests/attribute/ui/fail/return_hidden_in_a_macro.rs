use bottleneck_runtime::bottleneck;

macro_rules! leave {
    ($it:stmt) => {
        $it
    };
}

#[bottleneck]
fn later(n: u8) -> impl Future<Output = u8> {
    if n == 0 {
        leave!(return std::future::ready(0));
    }
    std::future::ready(n)
}

fn main() {
    drop(later(1));
}

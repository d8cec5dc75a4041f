//! Functions that never return.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

#[bottleneck]
fn fails(why: &str) -> ! {
    panic!("{why}")
}

#[bottleneck]
async fn fails_later(why: &str) -> ! {
    std::future::ready(()).await;
    panic!("{why}")
}

#[bottleneck]
async fn always_panics() {
    panic!("always")
}

#[bottleneck]
fn turns(n: u8) -> u8 {
    if n == 0 { fails("zero") } else { n }
}

fn main() {
    assert!(std::panic::catch_unwind(|| fails("now")).is_err());
    assert!(std::panic::catch_unwind(|| block_on(fails_later("later"))).is_err());
    assert!(std::panic::catch_unwind(|| block_on(always_panics())).is_err());
    assert_eq!(turns(1), 1);
}

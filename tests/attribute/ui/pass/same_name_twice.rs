//! Two functions may have one name: a site is known by its address.

use bottleneck_runtime::bottleneck;

struct A;
struct B;

impl A {
    #[bottleneck(name = "run")]
    fn run(&self) -> u8 {
        1
    }
}

impl B {
    #[bottleneck(name = "run")]
    fn run(&self) -> u8 {
        2
    }
}

#[bottleneck(name = "run")]
fn run() -> u8 {
    3
}

fn main() {
    assert_eq!(A.run() + B.run() + run(), 6);
}

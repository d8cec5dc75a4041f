//! Hints to the compiler may stand on either side.

#![deny(warnings)]

use bottleneck_runtime::bottleneck;

#[bottleneck]
#[inline(always)]
fn hot(n: u8) -> u8 {
    n
}

#[inline(never)]
#[bottleneck]
#[cold]
fn cold(n: u8) -> u8 {
    n
}

fn main() {
    assert_eq!(hot(1) + cold(1), 2);
}

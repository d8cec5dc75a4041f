//! `#[must_use]` still warns where the result is dropped.

#![deny(unused_must_use)]

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

#[bottleneck]
#[must_use]
fn answer() -> u8 {
    42
}

#[must_use = "it is the answer"]
#[bottleneck]
async fn later() -> u8 {
    42
}

#[expect(unused_must_use, reason = "the expectation fails if the attribute was lost")]
fn dropped() {
    answer();
}

#[expect(unused_must_use, reason = "the expectation fails if the attribute was lost")]
async fn dropped_later() {
    later().await;
}

fn main() {
    dropped();
    block_on(dropped_later());
}

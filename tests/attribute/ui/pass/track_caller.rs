//! `#[track_caller]` still names the caller, also where a future is returned.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

use std::panic::Location;

#[bottleneck]
#[track_caller]
fn line() -> u32 {
    Location::caller().line()
}

#[track_caller]
#[bottleneck]
fn line_later() -> impl Future<Output = u32> {
    let line = Location::caller().line();
    async move { line }
}

fn main() {
    assert_eq!(line(), line!());
    assert_eq!(block_on(line_later()), line!());
}

//! An `async fn` that returns a trait object made of different types.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

use std::fmt::Display;

#[bottleneck]
async fn shown(number: bool) -> Box<dyn Display + Send> {
    if number {
        return Box::new(1);
    }
    Box::new("one")
}

#[bottleneck]
async fn tried(number: bool) -> Result<Box<dyn Display>, Box<dyn std::error::Error>> {
    let parsed: u8 = if number { "7".parse()? } else { "seven".parse()? };
    Ok(Box::new(parsed))
}

fn main() {
    assert_eq!(block_on(shown(true)).to_string(), "1");
    assert_eq!(block_on(shown(false)).to_string(), "one");
    assert_eq!(block_on(tried(true)).ok().map(|it| it.to_string()).as_deref(), Some("7"));
    assert!(block_on(tried(false)).is_err());
}

//! `?` on results and options, with conversion of the error.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

use std::error::Error;

#[bottleneck]
fn parse(text: &str) -> Result<u8, Box<dyn Error>> {
    let number: u8 = text.parse()?;
    Ok(number)
}

#[bottleneck]
fn first(all: &[u8]) -> Option<u8> {
    Some(*all.first()? + 1)
}

#[bottleneck]
async fn parse_later(text: &str) -> Result<u8, Box<dyn Error + Send + Sync>> {
    let number = text.parse::<u8>()?;
    if number == 0 {
        Err("zero")?;
    }
    Ok(number)
}

fn main() {
    assert!(parse("1").is_ok() && parse("x").is_err());
    assert_eq!((first(&[1]), first(&[])), (Some(2), None));
    assert!(block_on(parse_later("1")).is_ok() && block_on(parse_later("0")).is_err());
}

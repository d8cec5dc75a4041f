//! Every way out of a function.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

#[bottleneck]
fn sign(n: i32) -> &'static str {
    if n < 0 {
        return "negative";
    }
    let kind = 'found: {
        if n == 0 {
            break 'found "zero";
        }
        return "positive";
    };
    kind
}

#[bottleneck]
fn nothing(n: i32) {
    if n == 0 {
        return;
    }
    assert_ne!(n, 0);
}

#[bottleneck]
async fn later(n: i32) -> &'static str {
    loop {
        if n < 0 {
            return "negative";
        }
        break;
    }
    "other"
}

#[bottleneck]
async fn nothing_later(n: i32) {
    if n == 0 {
        return;
    }
    assert_ne!(n, 0);
}

fn main() {
    assert_eq!([sign(-1), sign(0), sign(1)], ["negative", "zero", "positive"]);
    nothing(0);
    assert_eq!([block_on(later(-1)), block_on(later(1))], ["negative", "other"]);
    block_on(nothing_later(0));
}

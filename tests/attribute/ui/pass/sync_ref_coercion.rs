//! The body keeps its place, so that its last expression coerces to the return type.

use bottleneck_runtime::bottleneck;

#[bottleneck]
fn weights(all: &Vec<u8>, early: bool) -> Option<&[u8]> {
    if early {
        return Some(all);
    }
    Some(all)
}

#[bottleneck]
fn pick(negate: bool) -> fn(i32) -> i32 {
    if negate { |it| -it } else { |it| it }
}

fn main() {
    let all = vec![1, 2];
    assert_eq!(weights(&all, true), Some(&[1, 2][..]));
    assert_eq!(weights(&all, false), Some(&[1, 2][..]));
    assert_eq!(pick(true)(1), -1);
}

//! A function that returns a future: the future is wrapped, on every way out.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

use std::future::{Future, ready};

#[bottleneck]
fn plain(n: u8) -> impl Future<Output = u8> {
    async move { n }
}

#[bottleneck]
fn early(n: u8) -> impl Future<Output = u8> + Unpin {
    use std::convert::identity;
    if n == 0 {
        return ready(identity(100));
    }
    let add = |it: u8| return it + 1;
    ready(add(n))
}

#[bottleneck]
fn borrowing<'a>(text: &'a str) -> impl Future<Output = usize> + Send + 'a {
    async move {
        if text.is_empty() {
            return 0;
        }
        text.len()
    }
}

#[bottleneck]
fn looping(n: u8) -> impl Future<Output = u8> {
    let mut i = 0;
    loop {
        i += n;
        if i > 10 {
            return ready(i);
        }
    }
}

#[bottleneck]
fn matched(n: Option<u8>) -> impl Future<Output = u8> {
    match n {
        Some(n) => ready(n),
        None => ready(0),
    }
}

struct Layer(u8);

impl Layer {
    #[bottleneck(key = "forward", flops = 2 * scale)]
    fn forward(&self, scale: u8) -> impl Future<Output = u8> + '_ {
        async move { self.0 * scale }
    }
}

fn main() {
    assert_eq!(block_on(plain(1)), 1);
    assert_eq!(block_on(early(0)), 100);
    assert_eq!(block_on(early(1)), 2);
    assert_eq!(block_on(borrowing("abc")), 3);
    assert_eq!(block_on(looping(6)), 12);
    assert_eq!(block_on(matched(Some(3))), 3);
    assert_eq!(block_on(matched(None)), 0);
    assert_eq!(block_on(Layer(3).forward(2)), 6);
}

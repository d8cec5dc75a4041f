//! Named, elided, higher-ranked and captured lifetimes.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

struct View<'a>(&'a [u8]);

#[bottleneck]
impl<'a> View<'a> {
    fn first<'b: 'a>(&self, other: &'b [u8]) -> &'a [u8] {
        if self.0.is_empty() { other } else { self.0 }
    }

    async fn later(&mut self, other: &'a [u8]) -> &mut View<'a> {
        self.0 = other;
        self
    }
}

#[bottleneck]
fn apply(f: impl for<'x> Fn(&'x u8) -> &'x u8) -> u8 {
    *f(&7)
}

#[bottleneck]
fn captured<'a>(text: &'a mut String) -> impl Iterator<Item = char> + use<'a> {
    text.push('b');
    text.chars()
}

fn main() {
    let own = [1];
    let mut view = View(&[]);
    assert_eq!(view.first(&own), &[1]);
    assert_eq!(block_on(view.later(&own)).0, &[1]);
    assert_eq!(apply(|it| it), 7);
    assert_eq!(captured(&mut String::from("a")).count(), 2);
}

//! Every kind of receiver.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

struct Node(u8);

impl Node {
    #[bottleneck]
    fn boxed(self: Box<Self>) -> u8 {
        self.0
    }

    #[bottleneck]
    fn counted(self: Rc<Self>) -> u8 {
        self.0
    }

    #[bottleneck]
    fn pinned(self: Pin<&mut Self>) -> u8 {
        self.0
    }

    #[bottleneck]
    async fn boxed_later(self: Box<Self>) -> u8 {
        self.0
    }

    #[bottleneck]
    fn consumed(mut self) -> Self {
        self.0 += 1;
        self
    }
}

impl Future for Node {
    type Output = u8;

    #[bottleneck]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u8> {
        Poll::Ready(self.0)
    }
}

fn main() {
    assert_eq!(Box::new(Node(1)).boxed(), 1);
    assert_eq!(Rc::new(Node(1)).counted(), 1);
    assert_eq!(pin!(Node(1)).pinned(), 1);
    assert_eq!(block_on(Box::new(Node(1)).boxed_later()), 1);
    assert_eq!(block_on(Node(1).consumed()), 2);
}

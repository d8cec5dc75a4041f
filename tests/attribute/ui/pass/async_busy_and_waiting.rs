//! A future that is polled several times, between which it waits.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

use std::future::poll_fn;
use std::task::Poll;

#[bottleneck]
async fn waits(times: u32) -> u32 {
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    times
}

fn main() {
    assert_eq!(block_on(waits(3)), 3);
}

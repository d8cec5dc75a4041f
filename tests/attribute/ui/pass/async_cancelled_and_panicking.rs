//! Dropped before the end, dropped before the first poll, and a panic inside.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

use std::future::pending;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};

static DROPPED: AtomicU32 = AtomicU32::new(0);

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

#[bottleneck]
async fn never_done(_unused: Counted, used: Counted) {
    let _used = used;
    pending::<()>().await;
}

#[bottleneck]
async fn panics(left: u32) -> u32 {
    assert!(left > 0, "nothing left");
    left
}

fn main() {
    drop(never_done(Counted, Counted));
    assert_eq!(DROPPED.load(Ordering::Relaxed), 2);
    {
        let future = pin!(never_done(Counted, Counted));
        assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!(DROPPED.load(Ordering::Relaxed), 4);
    assert!(std::panic::catch_unwind(|| block_on(panics(0))).is_err());
    assert_eq!(block_on(panics(1)), 1);
}

//! Unsafe functions stay unsafe to call and free to call others.

#![expect(unsafe_op_in_unsafe_fn, reason = "the body of an unsafe function is an unsafe block here")]

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

#[bottleneck]
unsafe fn read(at: *const u8) -> u8 {
    *at
}

#[bottleneck]
async unsafe fn read_later(at: &u8) -> u8 {
    read(at)
}

#[bottleneck(key = read(at))]
unsafe fn read_by_key(at: *const u8) -> u8
where
    u8: Copy,
{
    *at
}

fn main() {
    let value = 5;
    // SAFETY: all three read a local that lives.
    unsafe {
        assert_eq!(read(&value), 5);
        assert_eq!(block_on(read_later(&value)), 5);
        let _: unsafe fn(*const u8) -> u8 = read_by_key;
    }
}

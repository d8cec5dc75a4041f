//! An exported C function keeps its name and its calling convention.

use bottleneck_runtime::bottleneck;

#[bottleneck]
#[unsafe(no_mangle)]
pub extern "C" fn exported_add(left: i32, right: i32) -> i32 {
    left + right
}

/// # Safety
/// `at` points to a number.
#[bottleneck]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn exported_read(at: *const i32) -> i32 {
    // SAFETY: the caller promises it.
    unsafe { *at }
}

mod elsewhere {
    unsafe extern "C" {
        pub safe fn exported_add(left: i32, right: i32) -> i32;
    }
}

fn main() {
    assert_eq!(elsewhere::exported_add(1, 2), 3);
    let function: unsafe extern "C" fn(*const i32) -> i32 = exported_read;
    // SAFETY: the reference is valid.
    assert_eq!(unsafe { function(&7) }, 7);
}

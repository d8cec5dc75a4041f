//! Documentation and deprecation stay on the function.

#![deny(missing_docs)]

use bottleneck_runtime::bottleneck;

/// Old.
#[bottleneck]
#[deprecated(note = "use `new`")]
pub fn old() -> u8 {
    1
}

#[bottleneck]
/// New.
pub fn new() -> u8 {
    2
}

#[expect(deprecated, reason = "the expectation fails if the attribute was lost")]
fn main() {
    assert_eq!(old() + new(), 3);
}

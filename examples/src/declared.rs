//! Whether spans declare their work: a profile must be right without it too, and that is tried with the same program.

use std::sync::atomic::{AtomicBool, Ordering};

static IS_WITHHELD: AtomicBool = AtomicBool::new(false);

/// From now on no span of this process declares what passes through [`amount`].
pub fn withhold() {
    IS_WITHHELD.store(true, Ordering::Relaxed);
}

/// The operations or bytes to declare: `amount`, or none, which declares nothing.
#[inline]
#[must_use]
pub fn amount(amount: usize) -> usize {
    if IS_WITHHELD.load(Ordering::Relaxed) { 0 } else { amount }
}

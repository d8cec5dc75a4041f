//! Arithmetic at nearly the peak of the core, on data of the first caches.

use std::time::Duration;

use bottleneck_examples::portion::{Portion, Products};

/// The compute of one thread.
#[derive(Clone, Debug)]
pub(crate) struct Compute {
    products: Products,
    portion: Portion,
    time: Duration,
}

impl Compute {
    /// What an undisturbed core does in `time`. The first one of a process measures the core, for 40 ms.
    pub(crate) fn taking(time: Duration) -> Self {
        Self { products: Products::new(), portion: Portion::taking(time), time }
    }

    /// Does so many times as much from now on.
    pub(crate) fn scale(&mut self, factor: f64) {
        *self = Self::taking(self.time.mul_f64(factor));
    }

    /// Does it once.
    #[inline(never)]
    pub(crate) fn run(&mut self) {
        self.products.compute(self.portion);
    }
}

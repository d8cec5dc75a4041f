//! Arithmetic at nearly the peak of the core, on data of the first caches.

use std::time::Duration;

use bottleneck_examples::portion::{Portion, Products};

/// The compute of one thread.
#[derive(Clone, Debug)]
pub(crate) struct Compute {
    products: Products,
    portion: Portion,
}

impl Compute {
    /// What an undisturbed core does in `time`. The first one of a process measures the core, for 40 ms.
    pub(crate) fn taking(time: Duration) -> Self {
        Self { products: Products::new(), portion: Portion::taking(time) }
    }

    /// Does it once.
    #[inline(never)]
    pub(crate) fn run(&mut self) {
        self.products.compute(self.portion);
    }
}

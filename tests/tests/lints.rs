//! Every form of the attribute under every group of lints: generated code must not set one off in the user's crate.
//!
//! The compiler checks its own lints when this test is built; clippy's are checked by `cargo clippy --all-targets`.

#![forbid(unsafe_code)]
#![deny(warnings, unused, missing_docs, unused_qualifications)]
#![deny(clippy::all, clippy::pedantic, clippy::nursery)]
#![deny(clippy::absolute_paths, clippy::default_numeric_fallback, clippy::float_arithmetic)]
#![deny(clippy::shadow_unrelated, clippy::shadow_reuse, clippy::shadow_same, clippy::str_to_string)]
#![deny(clippy::unseparated_literal_suffix, clippy::separated_literal_suffix)]
#![deny(clippy::lossy_float_literal, clippy::as_conversions, clippy::allow_attributes)]

use std::future::ready;
use std::num::ParseIntError;
use std::pin::Pin;

use bottleneck_attribute::executor::block_on;
use bottleneck_runtime::bottleneck;

/// Begins with items, which clippy wants in front of statements.
#[bottleneck]
fn with_items(n: usize) -> usize {
    use std::mem::size_of;
    const WIDTH: usize = 2;
    const fn double(n: usize) -> usize {
        WIDTH * n
    }

    double(n) + size_of::<u8>()
}

#[bottleneck(
    name = "all options", key = n, request, flops = (2 * n * n), bytes = 3 * (n + 1) / 4,
    dtype = bf16, kind = "memory"
)]
fn with_options(n: usize) -> usize {
    n.pow(2)
}

struct Model {
    weights: Vec<u8>,
}

#[bottleneck]
impl Model {
    const fn new() -> Self {
        Self { weights: Vec::new() }
    }

    #[bottleneck(flops = self.weights.len(), key = name)]
    async fn load(&mut self, name: &str, from: &[u8]) -> &[u8] {
        ready(name).await;
        self.weights.extend_from_slice(from);
        &self.weights
    }

    fn sum(&self) -> u64 {
        self.weights.iter().copied().map(u64::from).sum()
    }

    fn later(&self, early: bool) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
        if early {
            return Box::pin(ready(0));
        }
        Box::pin(async move { self.sum() })
    }

    fn last(&self) -> impl Future<Output = Option<u8>> + '_ {
        async move { self.weights.last().copied() }
    }
}

#[bottleneck]
async fn with_items_later(n: usize) -> Result<usize, ParseIntError> {
    use std::mem::size_of;

    let one: usize = "1".parse()?;
    ready(()).await;
    Ok(one + n + size_of::<u8>())
}

#[test]
fn they_do_what_they_say() {
    assert_eq!(with_items(1), 3);
    assert_eq!(with_options(2), 4);
    assert_eq!(block_on(with_items_later(1)), Ok(3));
    let mut model = Model::new();
    assert_eq!(block_on(model.load("name", &[1, 2])), &[1, 2]);
    assert_eq!(block_on(model.later(true)) + block_on(model.later(false)), 3);
    assert_eq!(block_on(model.last()), Some(2));
}

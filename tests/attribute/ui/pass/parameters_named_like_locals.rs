//! Names that the generated code uses are free for the user.

use bottleneck_runtime::bottleneck;
use bottleneck_attribute::executor::block_on;

const SITE: usize = 40;

#[bottleneck(key = SITE, flops = SITE * __bottleneck_guard)]
fn plain(__bottleneck_guard: usize, _guard: &str) -> usize {
    let __bottleneck_site = SITE + __bottleneck_guard + _guard.len();
    __bottleneck_site
}

#[bottleneck(key = SITE, bytes = __bottleneck_call)]
async fn later(__bottleneck_call: usize, __bottleneck_returned: usize) -> usize {
    SITE + __bottleneck_call + __bottleneck_returned
}

#[bottleneck(key = SITE)]
fn returned(__bottleneck_site: usize, __bottleneck_future: usize) -> impl Future<Output = usize> {
    let __bottleneck_call = SITE;
    async move { __bottleneck_call + __bottleneck_site + __bottleneck_future }
}

#[bottleneck]
fn r#match(r#type: usize) -> usize {
    r#type
}

fn main() {
    assert_eq!(plain(1, "a"), 42);
    assert_eq!(block_on(later(1, 1)), 42);
    assert_eq!(block_on(returned(1, 1)), 42);
    assert_eq!(r#match(42), 42);
}

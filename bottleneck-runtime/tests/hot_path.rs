//! What a span costs in facts that repeat: allocations. Counted, not timed; instructions are counted in `src/hot_path_test.rs`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use bottleneck_runtime::span;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands every request to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Makes this test binary run only the named test again, as a child that records.
fn child(test: &str, directory: &std::path::Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test has a path"));
    command
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env("BOTTLENECK_RUN_DIR", directory)
        .env("HOT_PATH_CHILD", "1");
    command
}

fn is_child() -> bool {
    std::env::var_os("HOT_PATH_CHILD").is_some()
}

#[inline(never)]
fn spans(n: u64) {
    for _ in 0..n {
        let _outer = span!("outer");
        let _inner = span!("inner");
    }
}

#[test]
fn a_span_allocates_nothing() {
    if !is_child() {
        let directory = tempfile::tempdir().unwrap();
        let status = child("a_span_allocates_nothing", directory.path()).status().unwrap();
        assert!(status.success());
        return;
    }
    // The first spans attach the thread, register the sites, and give the paths their histograms.
    spans(3);
    // Other threads of the test's harness may allocate at the same time: the least of several counts is ours.
    let least = (0..20)
        .map(|_| {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            spans(1000);
            ALLOCATIONS.load(Ordering::Relaxed) - before
        })
        .min();
    assert_eq!(least, Some(0));
}

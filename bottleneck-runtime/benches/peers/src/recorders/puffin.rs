//! puffin: a scope per call below one scope per batch, a frame every ten batches. A sink counts the scopes of the frames.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use puffin::{FrameData, GlobalProfiler};

use super::{Recorder, Spans};
use crate::functions::functions;

functions!(puffin::profile_scope_custom!("call"));

thread_local! {
    /// Batches that this thread has run.
    static BATCHES: Cell<u32> = const { Cell::new(0) };
}

/// Switches the scopes on, with a sink that counts.
#[expect(clippy::unnecessary_wraps, reason = "the signature that all recorders share")]
pub fn start(_: &Path) -> Result<Recorder, String> {
    let scopes = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&scopes);
    GlobalProfiler::lock().add_sink(Box::new(move |frame: Arc<FrameData>| {
        seen.fetch_add(frame.meta().num_scopes as u64, Ordering::Relaxed);
    }));
    puffin::set_scopes_on(true);
    Ok(Recorder {
        spans: Spans {
            around: |batch| {
                {
                    // Without it every call would be a top-level scope, whose end takes the lock of the global profiler.
                    let _around = puffin::profile_scope_custom!("batch");
                    batch();
                }
                let batches = BATCHES.get() + 1;
                BATCHES.set(batches);
                if batches.is_multiple_of(10) {
                    GlobalProfiler::lock().new_frame();
                }
            },
            added: 1,
            ..Spans::plain(flat, d1)
        },
        finish: Box::new(move || {
            GlobalProfiler::lock().new_frame();
            Ok(Some(scopes.load(Ordering::Relaxed)))
        }),
    })
}

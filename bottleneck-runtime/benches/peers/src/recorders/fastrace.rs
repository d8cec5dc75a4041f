//! fastrace: `#[fastrace::trace]` below a root span per batch. Its reporter counts what reaches it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrace::collector::{Config, Reporter};
use fastrace::prelude::{Span, SpanContext, SpanRecord};

use super::{Recorder, Spans};
use crate::functions::functions;

functions!(#[fastrace::trace]);

struct Counting(Arc<AtomicU64>);

impl Reporter for Counting {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        self.0.fetch_add(spans.len() as u64, Ordering::Relaxed);
    }
}

/// Starts the collector with a reporter that counts.
#[expect(clippy::unnecessary_wraps, reason = "the signature that all recorders share")]
pub fn start(_: &Path) -> Result<Recorder, String> {
    let reported = Arc::new(AtomicU64::new(0));
    fastrace::set_reporter(Counting(Arc::clone(&reported)), Config::default());
    Ok(Recorder {
        spans: Spans {
            around: |batch| {
                let root = Span::root("batch", SpanContext::random());
                let _parent = root.set_local_parent();
                batch();
            },
            added: 1,
            ..Spans::plain(flat, d1)
        },
        finish: Box::new(move || {
            fastrace::flush();
            Ok(Some(reported.load(Ordering::Relaxed)))
        }),
    })
}

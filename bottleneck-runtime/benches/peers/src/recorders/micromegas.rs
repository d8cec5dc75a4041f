//! micromegas-tracing: `#[span_fn]` into blocks of 10 MiB a thread. A sink counts the events of the blocks it is given.

use std::collections::HashMap;
use std::fmt::Arguments;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use micromegas_tracing::event::{EventSink, TracingBlock};
use micromegas_tracing::guards::{TracingSystemGuard, TracingThreadGuard};
use micromegas_tracing::logs::{LogBlock, LogMetadata, LogStream};
use micromegas_tracing::metrics::{MetricsBlock, MetricsStream};
use micromegas_tracing::prelude::{DynProperty, ProcessInfo, span_fn, span_scope};
use micromegas_tracing::spans::{ThreadBlock, ThreadStream};

use super::{Recorder, Spans};
use crate::functions::functions;

/// What its telemetry guard gives a thread by default.
const BLOCK_BYTES: usize = 10 * 1024 * 1024;

functions!(#[span_fn]);

/// Counts the events of threads and drops them.
struct Counting(Arc<AtomicU64>);

impl EventSink for Counting {
    fn on_startup(&self, _: Arc<ProcessInfo>) {}
    fn on_shutdown(&self) {}
    fn on_log_enabled(&self, _: &LogMetadata) -> bool {
        false
    }
    fn on_log(&self, _: &LogMetadata, _: &[DynProperty<'_>], _: i64, _: Arguments<'_>) {}
    fn on_init_log_stream(&self, _: &LogStream) {}
    fn on_process_log_block(&self, _: Arc<LogBlock>) {}
    fn on_init_metrics_stream(&self, _: &MetricsStream) {}
    fn on_process_metrics_block(&self, _: Arc<MetricsBlock>) {}
    fn on_init_thread_stream(&self, _: &ThreadStream) {}
    fn on_process_thread_block(&self, block: Arc<ThreadBlock>) {
        self.0.fetch_add(block.nb_objects() as u64, Ordering::Relaxed);
    }
    fn is_busy(&self) -> bool {
        false
    }
}

/// Starts the system with a sink that counts.
pub fn start(_: &Path) -> Result<Recorder, String> {
    let events = Arc::new(AtomicU64::new(0));
    let sink = Arc::new(Counting(Arc::clone(&events)));
    let guard =
        TracingSystemGuard::new(BLOCK_BYTES, BLOCK_BYTES, BLOCK_BYTES, sink, HashMap::new(), true)
            .map_err(|error| error.to_string())?;
    Ok(Recorder {
        spans: Spans {
            on_thread: || Box::new(TracingThreadGuard::new()),
            ..Spans::plain(flat, d1)
        },
        finish: Box::new(move || {
            drop(guard);
            // An event at each end of a span.
            Ok(Some(events.load(Ordering::Relaxed) / 2))
        }),
    })
}

//! Which time counts: something was asked of the program. The rest is idle, and in no share.
//!
//! Where a site is marked `request`, only time inside its spans counts (on threads that have such spans; a thread without
//! any, such as one that serves a model to others, counts as a whole: whom it works for is not recorded). Where none is
//! marked, every span counts. With spans on one thread, or requests on one thread, all of this is exact.

use crate::profile::{Profile, RowIdx, SpanIdx, ThreadIdx};

use super::{Column, SelfTime};

/// The time in flight.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// Whether the self time of a path counts.
    pub counts: Column<SpanIdx, bool>,
    /// Threads whose time counts.
    pub threads: usize,
    /// Thread time that counts, in ns.
    pub thread_ns: u64,
    /// Wall time in flight, in ns: exact with one thread; with several the time of the busiest, which it is at least.
    pub wall_ns: u64,
    /// The rest of the run, in ns.
    pub idle_ns: u64,
    /// Sites are marked as requests.
    pub has_requests: bool,
    /// The only thread with requests, if there is one.
    pub asks: Option<ThreadIdx>,
}

impl InFlight {
    /// Finds the time in flight of a run.
    pub fn of(profile: &Profile, times: &Column<SpanIdx, SelfTime>) -> Self {
        let mut res = Self {
            counts: Column::filled(profile.spans.len(), false),
            threads: 0,
            thread_ns: 0,
            wall_ns: 0,
            idle_ns: 0,
            has_requests: profile
                .spans
                .values()
                .iter()
                .any(|path| profile.sites[path.site].is_request),
            asks: None,
        };
        let mut asking = Vec::new();
        for (index, thread) in profile.program_threads() {
            let spans = || thread.spans.clone().map(SpanIdx::from_position);
            let is_request = |span: SpanIdx| profile.sites[profile.spans[span].site].is_request;
            let counts_whole = !spans().any(is_request);
            if !counts_whole {
                asking.push(index);
            }
            let mut thread_ns = 0;
            for span in spans() {
                let is_inside = profile.spans[span].parent.is_some_and(|parent| res.counts[parent]);
                res.counts[span] = counts_whole || is_inside || is_request(span);
                if res.counts[span] {
                    thread_ns += times[span].wall_ns;
                }
            }
            res.threads += usize::from(thread_ns > 0);
            res.thread_ns += thread_ns;
            res.wall_ns = res.wall_ns.max(thread_ns);
        }
        if let [only] = asking[..] {
            res.asks = Some(only);
        }
        res.idle_ns = profile.life_ns.saturating_sub(res.wall_ns);
        res
    }

    /// The time lies on one thread, so that thread time and wall time are the same.
    pub fn is_exact(&self) -> bool {
        self.threads <= 1 || self.asks.is_some()
    }

    /// Whether the self time of a path is wall time in flight, where [`InFlight::is_exact`].
    pub fn is_wall_time(&self, profile: &Profile, span: SpanIdx) -> bool {
        self.counts[span] && self.asks.is_none_or(|thread| profile.spans[span].thread == thread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::attribution::attribute;
    use crate::profile::builder::ProfileBuilder;

    #[track_caller]
    fn check(builder: &ProfileBuilder, threads: usize, wall: u64, thread: u64, idle: u64) {
        let profile = builder.build();
        let found = InFlight::of(&profile, &attribute(&profile));
        assert_eq!(
            (found.threads, found.wall_ns, found.thread_ns, found.idle_ns),
            (threads, wall, thread, idle)
        );
    }

    #[test]
    fn without_requests_every_span_counts() {
        // main  |-a--|..|-b-|......   100
        let builder = ProfileBuilder::new(100).span("a", 0..40, |_| ()).span("b", 50..60, |_| ());
        check(&builder, 1, 50, 50, 50);
    }

    #[test]
    fn with_requests_only_the_time_inside_them_counts() {
        // main  |-load-|  |-serve--------------|    load is not in flight, nor is serve's own time
        //                   |-ask-|  |-ask-|
        let builder =
            ProfileBuilder::new(100).span("load", 0..20, |_| ()).span("serve", 30..90, |serve| {
                serve.span("ask", 40..50, |ask| {
                    ask.request();
                });
                serve.span("ask", 60..75, |_| ());
            });
        check(&builder, 1, 25, 25, 75);
    }

    #[test]
    fn several_threads_count_as_thread_time_and_the_busiest_bounds_the_wall_time() {
        // main      |-ask------|          50
        // model       |-forward---|       70
        // recorder  |-------------|       no part of the program
        let builder = ProfileBuilder::new(100)
            .span("ask", 0..50, |ask| {
                ask.request();
            })
            .thread("model", |model| {
                model.span("forward", 10..80, |_| ());
            })
            .thread("recorder", |recorder| {
                recorder.recorder().span("calibrate", 0..100, |_| ());
            });
        check(&builder, 2, 70, 120, 30);
    }
}

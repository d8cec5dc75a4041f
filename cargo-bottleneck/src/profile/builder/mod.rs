//! Test kit: profiles from nested closures that read like the timeline they stand for.
//!
//! ```text
//! main  |--decode----------|      decode 0..50, of it copy 10..30
//!           |-copy-|
//! ProfileBuilder::new(100).span("decode", 0..50, |decode| { decode.span("copy", 10..30, |_| ()); })
//! ```
//!
//! What several threads did from moment to moment is drawn in lanes, one character for each moment:
//!
//! ```text
//! ProfileBuilder::new(0).lanes(2_000_000, vec![
//!     Lane::new("main",  "aaaa WWWW aaaa", &[('a', runs(&["ask"])), ('W', waits(&["ask"], futex(0x10)))]),
//!     Lane::new("model", "wwww mmmm wwww", &[('w', waits(&[], futex(0x20))), ('m', runs(&["serve", "forward"]))]),
//!     Lane::new("rayon", "....rrrr....",   &[('r', runs(&[]))]),
//! ])
//! ```
//!
//! Every profile is written as a file and read back, so that tests see what the loader makes of it.

mod drawing;
mod lane;
mod names;
mod sampling;
mod span;
#[cfg(test)]
mod tests;
mod thread;

use std::ops::Range;

use bottleneck_runtime::format::ChunkKind;

pub use drawing::Mark;
pub use lane::{
    Activity, Lane, Wait, accept, call, child, connect, fault, futex, joins, mutex, parked, poll,
    preempted, read, receive, runnable, runs, sleep, sync, timed_futex, timed_poll, waits, woken,
    write,
};
pub use sampling::AccessBuilder;
pub use span::SpanBuilder;
pub use thread::ThreadBuilder;

use super::image::Image;
use super::snapshots::Throttling;
use super::{Dtype, Profile, load};
use crate::kind::Kind;
use drawing::{Declaration, Drawing, Rooted, tid};
use names::Names;
use sampling::SamplingSpec;
use span::Label;

/// `CLOCK_MONOTONIC` at the start, in ns: not zero, so that a forgotten subtraction shows.
const START_NS: u64 = 1_000_000_000;

/// A process being described. Times are in ns since its start.
#[derive(Clone, Debug)]
pub struct ProfileBuilder {
    life_ns: u64,
    is_cut: bool,
    threads: Vec<ThreadBuilder>,
    capabilities: Vec<String>,
    losses: (u64, u64),
    cpus: (u32, u64),
    span_cost_ns: u64,
    drawing: Drawing,
    sampling: SamplingSpec,
}

impl ProfileBuilder {
    /// A process that ended by itself after `life_ns`.
    pub fn new(life_ns: u64) -> Self {
        Self {
            life_ns,
            is_cut: false,
            threads: Vec::new(),
            capabilities: Vec::new(),
            losses: (0, 0),
            span_cost_ns: 30,
            cpus: (0, 0),
            drawing: Drawing::default(),
            sampling: SamplingSpec::default(),
        }
    }

    /// CPUs that the process could use, and the CPU time that it took; 0 for not recorded.
    #[must_use]
    pub fn cpus(mut self, cpus: u32, process_cpu_ns: u64) -> Self {
        self.cpus = (cpus, process_cpu_ns);
        self
    }

    /// The process was killed at the end of its life.
    #[must_use]
    pub fn cut(mut self) -> Self {
        self.is_cut = true;
        self
    }

    /// Adds a call on the main thread.
    #[must_use]
    pub fn span(self, name: &str, at: Range<u64>, inside: impl FnOnce(&mut SpanBuilder)) -> Self {
        self.thread("main", |main| {
            main.span(name, at, inside);
        })
    }

    /// Describes a thread; one of the same name goes on with its tree.
    #[must_use]
    pub fn thread(mut self, name: &str, describe: impl FnOnce(&mut ThreadBuilder)) -> Self {
        let at = self.threads.iter().position(|thread| thread.name == name).unwrap_or_else(|| {
            self.threads.push(ThreadBuilder::new(name, self.threads.is_empty()));
            self.threads.len() - 1
        });
        describe(&mut self.threads[at]);
        self
    }

    /// Something that could be observed, or not and why.
    #[must_use]
    pub fn capability(mut self, name: &str, missing: Option<&str>) -> Self {
        let available = u8::from(missing.is_none());
        self.capabilities.push(format!("{name}\n{available}\n{}", missing.unwrap_or_default()));
        self
    }

    /// What was not recorded.
    #[must_use]
    pub fn lost(mut self, spans: u64, refused: u64) -> Self {
        self.losses = (spans, refused);
        self
    }

    /// Draws what threads did from moment to moment: snapshots are taken every `period_ns`, the first of them one period
    /// after the start, and the process lives at least until the last. Spans of the lanes that their threads do not have
    /// are added: with the time during which they are on the lane, of which the waits and interruptions of the moments
    /// when they are innermost are off the CPU. Takes the place of an earlier drawing.
    ///
    /// # Panics
    /// The lanes are of different lengths, or two have one name.
    #[must_use]
    pub fn lanes(mut self, period_ns: u64, lanes: Vec<Lane>) -> Self {
        drawing::check(&lanes);
        (self.drawing.period_ns, self.drawing.lanes) = (period_ns, lanes);
        self
    }

    /// Asynchronous requests in flight at each moment, a digit each; spaces are ignored.
    ///
    /// # Panics
    /// Something else than a digit or a space.
    #[must_use]
    pub fn async_requests(mut self, digits: &str) -> Self {
        let numbers = digits.chars().filter(|&digit| digit != ' ').map(|digit| {
            let number = digit.to_digit(10).and_then(|number| u16::try_from(number).ok());
            number.unwrap_or_else(|| panic!("not a digit: {digit:?}"))
        });
        self.drawing.async_requests = numbers.collect();
        self
    }

    /// In the period before a moment, counted from 0, the process had no CPU for `ns`.
    ///
    /// # Panics
    /// The file counts microseconds: `ns` is not a multiple of 1 000.
    #[must_use]
    pub fn stalled(mut self, moment: usize, ns: u64) -> Self {
        assert!(ns.is_multiple_of(1_000), "stalls are recorded in microseconds: {ns} ns");
        self.drawing.stalls.push((moment, ns));
        self
    }

    /// Marks the site of a name, on all threads.
    #[must_use]
    pub fn mark(mut self, name: &str, mark: Mark) -> Self {
        self.drawing.marks.push((name.to_owned(), mark));
        self
    }

    /// The author asserts a kind for the site of a name, on all threads.
    #[must_use]
    pub fn assert_kind(mut self, name: &str, kind: Kind) -> Self {
        self.drawing.asserted.push((name.to_owned(), kind));
        self
    }

    /// Declares work on every path that ends with a span of this name, in proportion to its on-CPU time. That of the paths
    /// inside it counts too, except where they declare work or a kind of their own. `forward[decode]` is only the span with
    /// that key.
    #[must_use]
    pub fn declare(self, name: &str, flops_per_ns: f64, bytes_per_ns: f64, dtype: Dtype) -> Self {
        self.declares(name, (flops_per_ns, bytes_per_ns), dtype, false)
    }

    /// Like [`Self::declare`], in proportion to the time with waits and interruptions.
    #[must_use]
    pub fn declare_wall(
        self,
        name: &str,
        flops_per_ns: f64,
        bytes_per_ns: f64,
        dtype: Dtype,
    ) -> Self {
        self.declares(name, (flops_per_ns, bytes_per_ns), dtype, true)
    }

    fn declares(
        mut self,
        name: &str,
        (flops_per_ns, bytes_per_ns): (f64, f64),
        dtype: Dtype,
        is_of_wall: bool,
    ) -> Self {
        let of = Label::of(name);
        self.drawing.declarations.push(Declaration {
            of,
            flops_per_ns,
            bytes_per_ns,
            dtype,
            is_of_wall,
        });
        self
    }

    /// `n` samples of instructions on every path that ends with a span of this name (or `name[key]`), `spinning` of them
    /// next to a spin-wait hint.
    ///
    /// # Panics
    /// More of them spin than there are.
    #[must_use]
    pub fn samples(mut self, name: &str, n: u64, spinning: u64) -> Self {
        assert!(spinning <= n, "{spinning} of {n} samples");
        self.drawing.samples.push((Label::of(name), n, spinning));
        self
    }

    /// What the limit of the control group did.
    #[must_use]
    pub fn throttled(mut self, throttling: Throttling) -> Self {
        self.drawing.conditions.throttling = Some(throttling);
        self
    }

    /// Share of the machine's CPU time that the hypervisor gave to others, in 1/1 000 000.
    #[must_use]
    pub fn steal_ppm(mut self, ppm: u32) -> Self {
        self.drawing.conditions.steal_ppm = Some(ppm);
        self
    }

    /// CPUs of the affinity mask.
    #[must_use]
    pub fn affinity(mut self, cpus: u32) -> Self {
        self.drawing.conditions.affinity = u64::from(cpus);
        self
    }

    /// The bytes of the file.
    pub fn image(&self) -> Vec<u8> {
        let mut described = self.clone();
        described.draw();
        described.write()
    }

    fn write(&self) -> Vec<u8> {
        let mut image = Image::new();
        let end = START_NS + self.life_ns;
        (image.header.last_ticks, image.header.last_ns) = (end, end);
        image.header.end_ns = if self.is_cut { 0 } else { end };
        (image.header.lost, image.header.refused) = self.losses;
        (image.header.cpus, image.header.process_cpu_ns) = self.cpus;
        image.header.span_cost = self.span_cost_ns * 1024;
        image.header.threads = self.threads.len() as u64;
        image.anchors(&[
            (START_NS, START_NS),
            (START_NS + self.life_ns / 2, START_NS + self.life_ns / 2),
            (end, end),
        ]);
        for capability in &self.capabilities {
            image.text(ChunkKind::Capability, capability);
        }
        let mut names = Names::default();
        for thread in &self.threads {
            thread.root.register(&mut names, &mut image);
        }
        let mut roots = Vec::new();
        for (position, thread) in self.threads.iter().enumerate() {
            let tid = tid(position);
            roots.push(Rooted { thread, tid, root: thread.write(tid, &names, &mut image) });
        }
        self.write_drawing(&roots, &mut image);
        self.write_sampling(&roots, &mut image);
        image.finish()
    }

    /// The profile.
    ///
    /// # Panics
    /// The description cannot be: a child that is longer than its parent, for example.
    pub fn build(&self) -> Profile {
        let (profile, warnings) = load(&self.image(), None).expect("the kit writes a profile");
        assert!(warnings.is_empty(), "what was described cannot be: {warnings:?}");
        profile
    }
}

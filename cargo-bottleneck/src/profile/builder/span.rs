//! Test kit: one path of spans, and the paths inside it.

use std::ops::Range;

use bottleneck_runtime::format::node::{FLAG_ASYNC, FLAG_THREAD_CLOCK};
use bottleneck_runtime::format::{GRANULE, NODE_BYTES, NodeData};

use super::START_NS;
use super::names::{Names, hash};
use crate::kind::Kind;
use crate::profile::Dtype;
use crate::profile::image::Image;

/// A path of spans being described. Calls of one name and key under one path are added up, as the runtime does.
#[derive(Clone, Debug, Default)]
pub struct SpanBuilder {
    pub(super) site: SiteSpec,
    pub(super) key: Option<String>,
    data: NodeData,
    durations: Vec<u64>,
    /// Only lanes say that it is there: its times come from them.
    is_drawn: bool,
    pub(super) children: Vec<SpanBuilder>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct SiteSpec {
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) is_request: bool,
    pub(super) is_async: bool,
    pub(super) asserted: u8,
}

/// A span as tests name it: `forward`, or with its key `forward[decode]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Label {
    name: String,
    key: Option<String>,
}

impl Label {
    pub(super) fn of(text: &str) -> Self {
        match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
            Some((name, key)) => Self { name: name.to_owned(), key: Some(key.to_owned()) },
            None => Self { name: text.to_owned(), key: None },
        }
    }
}

impl SpanBuilder {
    /// Adds a call inside.
    pub fn span(
        &mut self,
        name: &str,
        at: Range<u64>,
        inside: impl FnOnce(&mut Self),
    ) -> &mut Self {
        self.keyed(name, None, at, inside)
    }

    /// Adds a call inside, with a key.
    pub fn keyed(
        &mut self,
        name: &str,
        key: Option<&str>,
        at: Range<u64>,
        inside: impl FnOnce(&mut Self),
    ) -> &mut Self {
        let child = self.child(name, key);
        let ticks = at.end - at.start;
        child.add_call(ticks);
        inside(child);
        self
    }

    /// A call that began at `since` and had not ended when the run did.
    pub fn open(&mut self, name: &str, since: u64, inside: impl FnOnce(&mut Self)) -> &mut Self {
        let child = self.child(name, None);
        child.data.open_since = START_NS + since;
        inside(child);
        self
    }

    /// Waits while this path was innermost.
    pub fn blocked(&mut self, ns: u64) -> &mut Self {
        self.data.blocked_ns += ns;
        self.data.blocked_count += 1;
        self
    }

    /// Interruptions while this path was innermost.
    pub fn preempted(&mut self, ns: u64) -> &mut Self {
        self.data.preempted_ns += ns;
        self.data.preempted_count += 1;
        self
    }

    /// The thread's CPU clock said `cpu_ns` in `wall_ns` of calls, children included.
    pub fn cpu(&mut self, wall_ns: u64, cpu_ns: u64) -> &mut Self {
        self.data.flags |= FLAG_THREAD_CLOCK;
        self.data.cpu_ticks += wall_ns;
        self.data.cpu_ns += cpu_ns;
        self
    }

    /// Declares work.
    pub fn work(&mut self, flops: f64, bytes: f64, dtype: Dtype) -> &mut Self {
        self.data.flops = (self.data.declared_flops() + flops).to_bits();
        self.data.bytes = (self.data.declared_bytes() + bytes).to_bits();
        self.data.work_count += 1;
        self.data.work_dtype = dtype as u32 + 1;
        self
    }

    /// The site is marked as a request.
    pub fn request(&mut self) -> &mut Self {
        self.site.is_request = true;
        self
    }

    /// The site is a method of this type.
    pub fn owner(&mut self, owner: &str) -> &mut Self {
        owner.clone_into(&mut self.site.owner);
        self
    }

    /// The author asserts a kind.
    pub fn asserted(&mut self, kind: Kind) -> &mut Self {
        self.site.asserted = match kind {
            Kind::Other => 0,
            Kind::Memory => 1,
            Kind::Compute => 2,
            Kind::Io => 3,
            Kind::Scheduling => 4,
        };
        self
    }

    /// The site is an asynchronous function.
    pub fn polled(&mut self, polls: u64, waiting_ns: u64) -> &mut Self {
        self.site.is_async = true;
        self.data.flags |= FLAG_ASYNC;
        self.data.polls = polls;
        self.data.waiting = waiting_ns;
        self.data.started = 1;
        (self.data.min, self.data.max) =
            (self.data.total + waiting_ns, self.data.total + waiting_ns);
        self
    }

    /// The path below this one, made if it is not there.
    pub(super) fn drawn(&mut self, path: &[&Label]) -> &mut Self {
        path.iter().fold(self, |span, label| {
            span.child_or(
                &label.name,
                label.key.as_deref(),
                Self { is_drawn: true, ..Self::default() },
            )
        })
    }

    /// A call of a path that only lanes describe.
    pub(super) fn call(&mut self, ns: u64) {
        if self.is_drawn {
            self.add_call(ns);
        }
    }

    /// A moment off the CPU on a path that only lanes describe.
    pub(super) fn off(&mut self, could_run: bool, ns: u64, is_first: bool) {
        if !self.is_drawn {
            return;
        }
        let (sum, count) = if could_run {
            (&mut self.data.preempted_ns, &mut self.data.preempted_count)
        } else {
            (&mut self.data.blocked_ns, &mut self.data.blocked_count)
        };
        *sum += ns;
        *count += u64::from(is_first);
    }

    /// The calls so far are the polls of one.
    pub(super) fn polled_once(&mut self) -> &mut Self {
        self.durations.clear();
        let polls = self.data.count;
        self.data.count = polls.min(1);
        self.polled(polls, 0)
    }

    pub(super) fn is_of(&self, name: &str) -> bool {
        self.site.name == name
    }

    pub(super) fn is_labeled(&self, label: &Label) -> bool {
        self.is_of(&label.name) && (label.key.is_none() || label.key == self.key)
    }

    /// Work or a kind is declared.
    pub(super) fn says_something(&self) -> bool {
        self.data.work_count > 0 || self.site.asserted != 0
    }

    /// On-CPU and wall time outside the paths inside.
    pub(super) fn own_times(&self) -> (u64, u64) {
        let inside: u64 = self.children.iter().map(|child| child.data.total).sum();
        let wall = self.data.total.saturating_sub(inside);
        (wall.saturating_sub(self.data.blocked_ns + self.data.preempted_ns), wall)
    }

    /// Hands every path inside to `visit`.
    pub(super) fn each_mut(&mut self, visit: &mut impl FnMut(&mut Self)) {
        for child in &mut self.children {
            visit(child);
            child.each_mut(visit);
        }
    }

    /// Hands every path inside to `visit`, with its position in the tree.
    pub(super) fn each(&self, visit: &mut impl FnMut(usize, &Self)) {
        self.each_from(1, visit);
    }

    fn each_from(&self, mut position: usize, visit: &mut impl FnMut(usize, &Self)) {
        for child in &self.children {
            visit(position, child);
            child.each_from(position + 1, visit);
            position += child.nodes();
        }
    }

    /// Where in the tree the path below this one is, which has position 0: each before the paths inside it.
    pub(super) fn position(&self, path: &[Label]) -> Option<usize> {
        let Some((label, inside)) = path.split_first() else { return Some(0) };
        let is_it = |child: &Self| child.is_of(&label.name) && child.key == label.key;
        let at = self.children.iter().position(is_it)?;
        let before: usize = self.children[..at].iter().map(Self::nodes).sum();
        Some(1 + before + self.children[at].position(inside)?)
    }

    fn add_call(&mut self, ticks: u64) {
        self.data.total += ticks;
        self.data.count += 1;
        self.durations.push(ticks);
    }

    fn child(&mut self, name: &str, key: Option<&str>) -> &mut Self {
        self.child_or(name, key, Self::default())
    }

    fn child_or(&mut self, name: &str, key: Option<&str>, new: Self) -> &mut Self {
        let is_it = |child: &Self| child.site.name == name && child.key.as_deref() == key;
        let at = self.children.iter().position(is_it).unwrap_or_else(|| {
            let site = SiteSpec { name: name.to_owned(), ..SiteSpec::default() };
            self.children.push(Self { site, key: key.map(str::to_owned), ..new });
            self.children.len() - 1
        });
        &mut self.children[at]
    }

    pub(super) fn nodes(&self) -> usize {
        1 + self.children.iter().map(Self::nodes).sum::<usize>()
    }

    pub(super) fn register(&self, names: &mut Names, image: &mut Image) {
        for child in &self.children {
            names.add(child, image);
            child.register(names, image);
        }
    }

    pub(super) fn write(
        &self,
        names: &Names,
        image: &mut Image,
        slab: u32,
        next: &mut u32,
        parent: u32,
        depth: u32,
    ) -> u32 {
        let reference = slab + *next;
        *next += u32::try_from(NODE_BYTES / GRANULE).unwrap_or(0);
        let mut data = NodeData { parent, depth, ..self.data };
        if depth > 0 {
            data.site = names.sites[&self.site];
            data.key = self.key.as_deref().map_or(0, hash);
        }
        if let (Some(&min), Some(&max)) = (self.durations.iter().min(), self.durations.iter().max())
            && !self.site.is_async
        {
            (data.min, data.max) = (min, max);
        }
        if self.durations.len() > 1 {
            data.histogram = image.histogram(&self.durations);
        }
        let mut older = None;
        for child in &self.children {
            let younger = child.write(names, image, slab, next, reference, depth + 1);
            match older.replace(younger) {
                None => data.first_child = younger,
                Some(older) => image.link(older, younger),
            }
        }
        image.node(reference, &data);
        reference
    }
}

//! Test kit: profiles from nested closures that read like the timeline they stand for.
//!
//! ```text
//! main  |--decode----------|      decode 0..50, of it copy 10..30
//!           |-copy-|
//! ProfileBuilder::new(100).span("decode", 0..50, |decode| { decode.span("copy", 10..30, |_| ()); })
//! ```
//!
//! Every profile is written as a file and read back, so that tests see what the loader makes of it.

use std::collections::HashMap;
use std::ops::Range;

use bottleneck_runtime::format::node::{FLAG_ASYNC, FLAG_THREAD_CLOCK};
use bottleneck_runtime::format::{
    ChunkKind, GRANULE, NODE_BYTES, NodeData, SiteRecord, TreeData, tree,
};

use super::image::{Image, thread_name};
use super::{Dtype, Profile, load};
use crate::kind::Kind;

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
}

/// A thread being described.
#[derive(Clone, Debug)]
pub struct ThreadBuilder {
    name: String,
    root: SpanBuilder,
    data: TreeData,
}

/// A path of spans being described. Calls of one name and key under one path are added up, as the runtime does.
#[derive(Clone, Debug, Default)]
pub struct SpanBuilder {
    site: SiteSpec,
    key: Option<String>,
    data: NodeData,
    durations: Vec<u64>,
    children: Vec<SpanBuilder>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct SiteSpec {
    name: String,
    owner: String,
    is_request: bool,
    is_async: bool,
    asserted: u8,
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

    /// The bytes of the file.
    pub fn image(&self) -> Vec<u8> {
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
        for thread in &self.threads {
            thread.write(&names, &mut image);
        }
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

impl ThreadBuilder {
    fn new(name: &str, is_main: bool) -> Self {
        let (name_0, name_1) = thread_name(name);
        let data = TreeData {
            source: tree::SOURCE_SWITCHES,
            flags: tree::FLAG_IN_USE | if is_main { tree::FLAG_MAIN } else { 0 },
            threads: 1,
            name_0,
            name_1,
            first_ns: START_NS,
            attached_ns: START_NS,
            ..TreeData::default()
        };
        Self { name: name.to_owned(), root: SpanBuilder::default(), data }
    }

    /// Adds a call.
    pub fn span(
        &mut self,
        name: &str,
        at: Range<u64>,
        inside: impl FnOnce(&mut SpanBuilder),
    ) -> &mut Self {
        self.root.span(name, at, inside);
        self
    }

    /// A call that began at `since` and had not ended when the run did.
    pub fn open(
        &mut self,
        name: &str,
        since: u64,
        inside: impl FnOnce(&mut SpanBuilder),
    ) -> &mut Self {
        self.root.open(name, since, inside);
        self
    }

    /// The tree is the recorder's own.
    pub fn recorder(&mut self) -> &mut Self {
        self.data.flags = tree::FLAG_RECORDER;
        self
    }

    /// Off-CPU time comes from the thread's CPU clock: it had `cpu_ns` in `wall_ns` of life.
    pub fn thread_clock(&mut self, wall_ns: u64, cpu_ns: u64) -> &mut Self {
        self.data.source = tree::SOURCE_THREAD_CLOCK;
        (self.data.seen_ns, self.data.seen_cpu_ns) = (START_NS + wall_ns, cpu_ns);
        self
    }

    /// Off-CPU time comes from switch records after all; the clock stays known.
    pub fn switches(&mut self) -> &mut Self {
        self.data.source = tree::SOURCE_SWITCHES;
        self
    }

    /// The thread was waiting since `at` when the run was cut.
    pub fn waits_since(&mut self, at: u64, is_preempted: bool) -> &mut Self {
        (self.data.off_since_ns, self.data.off_preempted) =
            (START_NS + at, u64::from(is_preempted));
        self
    }

    fn write(&self, names: &Names, image: &mut Image) {
        let slab = image.slab(self.root.nodes());
        let mut next = 0;
        let root = self.root.write(names, image, slab, &mut next, 0, 0);
        image.tree(&TreeData { root, tid: 4242, ..self.data });
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
        child.data.total += ticks;
        child.data.count += 1;
        child.durations.push(ticks);
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

    fn child(&mut self, name: &str, key: Option<&str>) -> &mut Self {
        let is_it = |child: &Self| child.site.name == name && child.key.as_deref() == key;
        let at = self.children.iter().position(is_it).unwrap_or_else(|| {
            let site = SiteSpec { name: name.to_owned(), ..SiteSpec::default() };
            self.children.push(Self { site, key: key.map(str::to_owned), ..Self::default() });
            self.children.len() - 1
        });
        &mut self.children[at]
    }

    fn nodes(&self) -> usize {
        1 + self.children.iter().map(Self::nodes).sum::<usize>()
    }

    fn register(&self, names: &mut Names, image: &mut Image) {
        for child in &self.children {
            names.add(child, image);
            child.register(names, image);
        }
    }

    fn write(
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

/// The numbers of the sites.
#[derive(Default)]
struct Names {
    sites: HashMap<SiteSpec, u32>,
    keys: Vec<u64>,
}

impl Names {
    fn add(&mut self, span: &SpanBuilder, image: &mut Image) {
        if let Some(key) = &span.key
            && !self.keys.contains(&hash(key))
        {
            self.keys.push(hash(key));
            image.key(hash(key), key);
        }
        if self.sites.contains_key(&span.site) {
            return;
        }
        let index = u32::try_from(self.sites.len() + 1).unwrap_or(u32::MAX);
        image.site(&SiteRecord {
            id: hash(&span.site.name),
            index,
            line: index * 10,
            column: 1,
            is_request: span.site.is_request,
            is_async: span.site.is_async,
            asserted: span.site.asserted,
            dtype: 0,
            name: &span.site.name,
            module: "app",
            owner: &span.site.owner,
            file: "src/main.rs",
        });
        self.sites.insert(span.site.clone(), index);
    }
}

fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

//! Test kit: sampled instructions, their code, and the data that they waited for.
//!
//! ```text
//! ProfileBuilder::new(1_000_000)
//!     .span("lookup", 0..900_000, |_| ())
//!     .code(0x5555_0000_1000, &[0x48, 0x8b, 0x07, 0x90])   // mov rax, [rdi]; nop
//!     .sampled("lookup", 0x5555_0000_1003, 100)            // behind the load
//!     .access("lookup", |access| {
//!         access.at(40_000).since(10_000).sampled(0x5555_0000_1003).address(0x7000_0000).probe(0x7000_4000, 290);
//!     })
//! ```

use std::fmt::Write as _;
use std::ops::Range;

use bottleneck_runtime::format::samples::{FLAG_ADOPTED, FLAG_SPINS};
use bottleneck_runtime::format::{AccessData, AccessesData, ChunkKind, SampleData, accesses};

use super::drawing::Rooted;
use super::span::Label;
use super::{ProfileBuilder, START_NS};
use crate::profile::image::Image;
use crate::profile::sampling::Probing;

/// CPU time of a thread between two of its samples, in ns.
const PERIOD_NS: u64 = 4_000_000;

/// What was sampled, before it is applied to the trees.
#[derive(Clone, Debug, Default)]
pub(super) struct SamplingSpec {
    counted: Vec<(Label, SampleData)>,
    accesses: Vec<(Label, AccessBuilder)>,
    code: Vec<(u64, Vec<u8>)>,
    /// Lines as the kernel writes them.
    maps: String,
    probing: Option<Probing>,
    lost: u64,
}

/// One sample with its data being described. It comes at the start of the run, on thread 0, in a call of unknown age, until
/// something else is said.
#[derive(Clone, Debug, Default)]
pub struct AccessBuilder {
    data: AccessData,
}

impl AccessBuilder {
    /// When, in ns since the start.
    pub fn at(&mut self, ns: u64) -> &mut Self {
        self.data.ticks = START_NS + ns;
        self
    }

    /// When the call of the span began, in ns since the start.
    pub fn since(&mut self, ns: u64) -> &mut Self {
        self.data.open_since = START_NS + ns;
        self
    }

    /// Which of the sampled threads.
    pub fn thread(&mut self, number: u32) -> &mut Self {
        self.data.thread = number;
        self
    }

    /// The sampled address: that behind the instruction which waits.
    pub fn sampled(&mut self, address: u64) -> &mut Self {
        self.data.sampled = address;
        self
    }

    /// Address of the data.
    pub fn address(&mut self, address: u64) -> &mut Self {
        self.data.address = address;
        self
    }

    /// A timed load, in ticks with its fences.
    ///
    /// # Panics
    /// It is the third one.
    pub fn probe(&mut self, address: u64, ticks: u32) -> &mut Self {
        let data = &mut self.data;
        let (to, latency) = if data.probed_0 == 0 {
            (&mut data.probed_0, &mut data.latency_0)
        } else {
            assert!(data.probed_1 == 0, "a sample has at most two timed loads");
            (&mut data.probed_1, &mut data.latency_1)
        };
        (*to, *latency) = (address, ticks);
        self
    }

    /// CPU time of the thread inside the kernel since its access before, and all of it, in µs.
    pub fn in_kernel(&mut self, kernel_us: u32, cpu_us: u32) -> &mut Self {
        (self.data.kernel_us, self.data.cpu_us) = (kernel_us, cpu_us);
        self
    }

    /// Page faults of the thread since its access before.
    pub fn faults(&mut self, n: u32) -> &mut Self {
        self.data.faults = n;
        self
    }

    /// The thread has no spans, and this one waits for it.
    pub fn adopted(&mut self) -> &mut Self {
        self.data.flags |= accesses::FLAG_ADOPTED;
        self
    }
}

impl ProfileBuilder {
    /// `n` samples of the instruction before `address`, on every path that ends with a span of this name (or `name[key]`).
    #[must_use]
    pub fn sampled(self, name: &str, address: u64, n: u64) -> Self {
        self.counted(name, address, n, 0)
    }

    /// Like [`Self::sampled`], next to a spin-wait hint.
    #[must_use]
    pub fn sampled_spinning(self, name: &str, address: u64, n: u64) -> Self {
        self.counted(name, address, n, FLAG_SPINS)
    }

    /// Like [`Self::sampled`], of threads without spans that work for this one.
    #[must_use]
    pub fn sampled_adopted(self, name: &str, address: u64, n: u64) -> Self {
        self.counted(name, address, n, FLAG_ADOPTED)
    }

    fn counted(mut self, name: &str, address: u64, count: u64, flags: u32) -> Self {
        let sample = SampleData { flags, address, count, ..SampleData::default() };
        self.sampling.counted.push((Label::of(name), sample));
        self
    }

    /// Samples that found no place in the table.
    #[must_use]
    pub fn lost_samples(mut self, n: u64) -> Self {
        self.sampling.lost = n;
        self
    }

    /// Code that was kept; it must not share a block of 256 bytes with another piece.
    #[must_use]
    pub fn code(mut self, address: u64, bytes: &[u8]) -> Self {
        self.sampling.code.push((address, bytes.to_vec()));
        self
    }

    /// Code is mapped from a file.
    #[must_use]
    pub fn mapped(mut self, at: Range<u64>, offset: u64, path: &str) -> Self {
        let Range { start, end } = at;
        let line = format_args!("{start:x}-{end:x} r-xp {offset:08x} 08:01 1234       {path}");
        // Writing to a string does not fail.
        let _ = writeln!(self.sampling.maps, "{line}");
        self
    }

    /// One sample with its data, on every path that ends with a span of this name (or `name[key]`).
    #[must_use]
    pub fn access(mut self, name: &str, describe: impl FnOnce(&mut AccessBuilder)) -> Self {
        let mut access = AccessBuilder::default();
        access.at(0);
        describe(&mut access);
        self.sampling.accesses.push((Label::of(name), access));
        self
    }

    /// What became of the timed loads; without it there was a partner, and the numbers are those of the accesses.
    #[must_use]
    pub fn probing(mut self, probing: Probing) -> Self {
        self.sampling.probing = Some(probing);
        self
    }

    /// Writes samples, accesses, code and maps.
    pub(super) fn write_sampling(&self, roots: &[Rooted<'_>], image: &mut Image) {
        let spec = &self.sampling;
        let mut slots = self.drawing.sample_slots(roots);
        let mut entries = Vec::new();
        for rooted in roots {
            rooted.thread.root.each(&mut |position, span| {
                let node = rooted.reference(position);
                let of_span = |label: &Label| span.is_labeled(label);
                let counted = spec.counted.iter().filter(|(label, _)| of_span(label));
                slots.extend(counted.map(|&(_, sample)| SampleData { node, ..sample }));
                let accesses = spec.accesses.iter().filter(|(label, _)| of_span(label));
                entries.extend(accesses.map(|(_, access)| AccessData { node, ..access.data }));
            });
        }
        if !slots.is_empty() || spec.lost > 0 {
            image.samples(PERIOD_NS, spec.lost, &slots);
        }
        if !spec.maps.is_empty() {
            image.text(ChunkKind::Maps, &spec.maps);
        }
        if !spec.code.is_empty() {
            image.code(&spec.code);
        }
        if !entries.is_empty() || spec.probing.is_some() {
            image.accesses(&head(spec.probing, &slots, &entries), &entries);
        }
    }
}

fn head(probing: Option<Probing>, slots: &[SampleData], entries: &[AccessData]) -> AccessesData {
    let probes = |it: &AccessData| u64::from(it.probed_0 != 0) + u64::from(it.probed_1 != 0);
    let probing = probing.unwrap_or_else(|| Probing {
        had_partner: true,
        samples: slots.iter().map(|slot| slot.count).sum(),
        probes: entries.iter().map(probes).sum(),
        ..Probing::default()
    });
    AccessesData {
        begun: entries.len() as u64,
        partner: u32::from(probing.had_partner),
        is_probing: u32::from(probing.probes > 0),
        period_ns: PERIOD_NS,
        samples: probing.samples,
        handler_ticks: probing.handler_ns,
        probes: probing.probes,
        not_eligible: probing.not_eligible,
        not_resident: probing.not_resident,
        faults: probing.faults,
        unadopted: probing.unadopted,
        reserved: 0,
    }
}

//! Samples of instructions: where threads were, which data they waited for, and how far away such data was.

use super::SpanIdx;

/// The samples of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    /// CPU time of a thread between two of its samples, in ns, as asked for.
    pub period_ns: u64,
    /// Samples that found no place in the table.
    pub lost: u64,
    /// How often each instruction was sampled under each path; in no order that means anything.
    pub counted: Vec<Counted>,
    /// The samples whose data is known, by rising time; of a long run an even part of them.
    pub accesses: Vec<Access>,
    /// Accesses that there were; more than `accesses` has where its table was full.
    pub accesses_seen: u64,
    /// The code around the sampled instructions.
    pub code: Code,
    /// What became of the timed loads.
    pub probing: Probing,
}

/// An instruction under a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The innermost span; for threads without spans the one that waits for them.
    pub span: SpanIdx,
    /// Where the thread went on: the instruction that it was held up by is the one before, see
    /// `crate::instructions`.
    pub sampled: u64,
    /// Samples.
    pub n: u64,
    /// They are of threads without spans, which work for the span.
    pub is_adopted: bool,
    /// A spin-wait hint is near.
    pub spins: bool,
}

/// The data that one sampled instruction was about to use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Access {
    /// Since the start of the recording, in ns.
    pub at_ns: u64,
    /// The innermost span; for threads without spans the one that waits for them.
    pub span: SpanIdx,
    /// Which of the sampled threads.
    pub thread: u32,
    /// As in [`Counted`].
    pub sampled: u64,
    /// Address of the data; `None` where it cannot be computed.
    pub address: Option<u64>,
    /// Since the call of the span began, in ns; `None` where that is unknown.
    pub phase_ns: Option<u64>,
    /// Entries of one thread with the same number are of one call.
    pub call: u64,
    /// Timed loads of data that calls of the same span used a little later.
    pub probes: [Option<Probe>; 2],
    /// Page faults of the thread since its access before.
    pub faults: u32,
    /// CPU time of the thread inside the kernel since then, in µs.
    pub kernel_us: u64,
    /// All CPU time of the thread since then, in µs.
    pub cpu_us: u64,
    /// The thread has no spans.
    pub is_adopted: bool,
}

/// A timed load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What was loaded.
    pub address: u64,
    /// How long that took, in ticks of the time-stamp counter, its fences included.
    pub ticks: u32,
}

/// Code of the profiled program, as far as it was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// Which file each stretch of code was mapped from, by rising address.
    pub maps: Vec<Mapping>,
    /// Stretches of code, by rising address; they do not overlap.
    pub blocks: Vec<Block>,
}

/// A stretch of the address space with code in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// Offset of `start` in the file.
    pub offset: u64,
    /// The file; `[vdso]` and the like, or empty, where it is none.
    pub path: String,
}

/// A stretch of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Address of its first byte.
    pub start: u64,
    /// The bytes; neighboring blocks of the file are joined.
    pub bytes: Vec<u8>,
}

/// What became of the timed loads, and what the samples cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probing {
    /// The command ran beside the program and decoded its instructions.
    pub had_partner: bool,
    /// Samples taken, with known data or without.
    pub samples: u64,
    /// Time inside the signal handler, all threads together, in ns.
    pub handler_ns: u64,
    /// Timed loads.
    pub probes: u64,
    /// Addresses that were left alone because of the memory that they are in.
    pub not_eligible: u64,
    /// Addresses that were left alone because their page was not resident.
    pub not_resident: u64,
    /// Loads whose memory had gone away.
    pub faults: u64,
    /// Samples of threads without spans that no span waits for.
    pub unadopted: u64,
}

impl Code {
    /// Up to `most` bytes of code from `address` on; none where they were not kept.
    pub fn at(&self, address: u64, most: usize) -> &[u8] {
        let behind = self.blocks.partition_point(|block| block.start <= address);
        let Some(block) = behind.checked_sub(1).and_then(|at| self.blocks.get(at)) else {
            return &[];
        };
        let from = usize::try_from(address - block.start).unwrap_or(usize::MAX);
        let rest = block.bytes.get(from..).unwrap_or_default();
        rest.get(..most).unwrap_or(rest)
    }

    /// The mapping with this address.
    pub fn mapping(&self, address: u64) -> Option<&Mapping> {
        let behind = self.maps.partition_point(|map| map.start <= address);
        self.maps.get(behind.checked_sub(1)?).filter(|map| address < map.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_mappings_are_found_by_address() {
        let block = |start, bytes: &[u8]| Block { start, bytes: bytes.to_vec() };
        let mapping = |start, end| Mapping { start, end, offset: 0, path: String::new() };
        let code = Code {
            maps: vec![mapping(0, 50), mapping(100, 200)],
            blocks: vec![block(10, &[1, 2, 3]), block(100, &[4])],
        };
        assert_eq!((code.at(11, 9), code.at(11, 1)), (&[2_u8, 3][..], &[2_u8][..]));
        assert!(
            code.at(9, 1).is_empty() && code.at(13, 1).is_empty() && code.at(101, 1).is_empty()
        );
        let starts = [0, 49, 50, 100, 200].map(|at| code.mapping(at).map(|it| it.start));
        assert_eq!(starts, [Some(0), Some(0), None, Some(100), None]);
    }
}

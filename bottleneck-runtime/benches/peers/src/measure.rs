//! One measurement, in a process of its own: one recorder in one cell.
//!
//! Short blocks of the recorder's functions and of the floor's alternate, so that both meet the same machine.

use std::hint::black_box;
use std::path::Path;
use std::sync::Barrier;

use crate::clock::nanoseconds;
use crate::functions::Function;
use crate::recorders::{ALL, Recorder, Spans, floor};

/// Spans of a batch: what a recorder's root or frame scope is around.
const BATCH: u64 = 96;
/// Batches of a block.
const BLOCK: u64 = 100;
/// Blocks of a thread that count.
const BLOCKS: u64 = 100;
/// Blocks before them.
const WARM_UP: u64 = 70;

/// What is called, and on how many threads at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Flat,
    Deep,
    TwoThreads,
}

impl Cell {
    pub const ALL: [Self; 3] = [Self::Flat, Self::Deep, Self::TwoThreads];

    pub fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Deep => "depth 8",
            Self::TwoThreads => "two threads",
        }
    }

    fn threads(self) -> u64 {
        if self == Self::TwoThreads { 2 } else { 1 }
    }

    /// What to call, and how many spans a call makes.
    fn function(self, spans: &Spans) -> (Function, u64) {
        match self {
            Self::Flat | Self::TwoThreads => (spans.flat, 1),
            Self::Deep => (spans.deep, 8),
        }
    }
}

/// What a process found out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// CPU time of the calling threads, in ns per span.
    pub span_ns: f64,
    /// The same of the floor, in the same process.
    pub floor_ns: f64,
    /// CPU time of all that the process did besides: other threads, and what is left to do at the end. In ns per span.
    pub rest_ns: f64,
    /// Share of the spans that did not come out of the recorder; `None` where it does not say.
    pub lost: Option<f64>,
}

impl Measured {
    /// The line that the parent process reads.
    pub fn to_line(self) -> String {
        let lost = self.lost.unwrap_or(f64::NAN);
        format!("{} {} {} {lost}", self.span_ns, self.floor_ns, self.rest_ns)
    }

    /// Reads such a line.
    pub fn from_line(line: &str) -> Option<Self> {
        let numbers: Vec<f64> =
            line.split_whitespace().map_while(|number| number.parse().ok()).collect();
        let &[span_ns, floor_ns, rest_ns, lost] = numbers.as_slice() else { return None };
        Some(Self { span_ns, floor_ns, rest_ns, lost: (!lost.is_nan()).then_some(lost) })
    }
}

/// Measures a recorder of [`ALL`], whose files go to `folder`.
///
/// # Errors
/// There is no such recorder, or it fails.
pub fn measure(name: &str, cell: Cell, folder: &Path) -> Result<Measured, String> {
    let (_, start) = ALL.iter().find(|(known, _)| *known == name).ok_or("no such recorder")?;
    let Recorder { spans, finish } = start(folder)?;
    let before = nanoseconds(libc::CLOCK_PROCESS_CPUTIME_ID);
    let together = Barrier::new(if cell == Cell::TwoThreads { 2 } else { 1 });
    let (mut spans_ns, mut floor_ns, mut threads_ns) = (0, 0, 0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cell.threads())
            .map(|_| scope.spawn(|| on_thread(&spans, cell, &together)))
            .collect();
        for thread in threads {
            let of_thread = thread.join().map_err(|_| "a thread panicked")?;
            spans_ns += of_thread.spans;
            floor_ns += of_thread.floor;
            threads_ns += of_thread.all;
        }
        Ok::<(), &str>(())
    })?;
    let recorded = finish()?;
    let rest_ns = (nanoseconds(libc::CLOCK_PROCESS_CPUTIME_ID) - before).saturating_sub(threads_ns);
    let batches = cell.threads() * (WARM_UP + BLOCKS) * BLOCK;
    let expected = batches * (BATCH + spans.added);
    let counted = (cell.threads() * BLOCKS * BLOCK * BATCH) as f64;
    Ok(Measured {
        span_ns: spans_ns as f64 / counted,
        floor_ns: floor_ns as f64 / counted,
        rest_ns: rest_ns as f64 / (batches * BATCH) as f64,
        lost: recorded.map(|recorded| 1.0 - recorded as f64 / expected as f64),
    })
}

/// CPU time of a thread, in ns.
struct OfThread {
    spans: u64,
    floor: u64,
    all: u64,
}

fn on_thread(spans: &Spans, cell: Cell, together: &Barrier) -> OfThread {
    let floor = floor::reference();
    let held = (spans.on_thread)();
    let mut sums = OfThread { spans: 0, floor: 0, all: 0 };
    for number in 0..WARM_UP + BLOCKS {
        together.wait();
        let floor_ns = block(&floor, cell);
        together.wait();
        let spans_ns = block(spans, cell);
        if number >= WARM_UP {
            sums.floor += floor_ns;
            sums.spans += spans_ns;
        }
    }
    drop(held);
    sums.all = nanoseconds(libc::CLOCK_THREAD_CPUTIME_ID);
    sums
}

/// CPU time of the calling thread for a block, in ns.
fn block(spans: &Spans, cell: Cell) -> u64 {
    let (function, spans_each) = cell.function(spans);
    let start = nanoseconds(libc::CLOCK_THREAD_CPUTIME_ID);
    for _ in 0..BLOCK {
        (spans.around)(&mut || {
            for x in 0..BATCH / spans_each {
                black_box(function(black_box(x)));
            }
        });
    }
    nanoseconds(libc::CLOCK_THREAD_CPUTIME_ID) - start
}

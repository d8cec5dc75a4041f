//! Answers the first token of a mixture of experts whose weights are mapped from a file that is still on the disk.
//!
//! Verdict: io / disk
//! Start at: `first_pass`
//!
//! Why that holds by construction: the pages of the file are dropped from the page cache before every request, so the
//! pass over the weights waits until the disk has brought each of them, and the kernel, which reads ahead, has it bring
//! those of the unused experts too. With the pages in the cache the same pass takes a fraction of the time: the program
//! measures both.
//!
//! The trap: no system call shows it. The wait is inside the arithmetic, as page faults, and because the kernel reads
//! ahead, nearly all of them are counted as *minor* faults: "no major faults" is no evidence against the disk.
//!
//! What helps: read the file once at the start, in large pieces and before the first request (`MAP_POPULATE`), keep it
//! in memory (`mlock`), or make it smaller.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bottleneck_examples::clocks::{Stopwatch, Times};
use bottleneck_examples::cold_file::ColdFile;
use bottleneck_examples::host;
use bottleneck_examples::kernels::{Isa, Matrix, gemv};
use bottleneck_examples::mapping::Mapping;
use bottleneck_examples::trial::{self, Share};
use bottleneck_runtime::bottleneck;

/// Weights of 128 MiB, in rows of 16 KiB.
const COLS: usize = 4096;
const ROWS: usize = 8192;
/// Rows of one expert: 256 KiB.
const EXPERT: usize = 16;
/// One expert of so many is used for a token.
const CHOICE: usize = 4;
/// Weights that a pass uses.
const USED: usize = ROWS * COLS / CHOICE;

fn main() -> ExitCode {
    trial::try_run(4.0, serve)
}

fn serve(time: Duration) -> io::Result<()> {
    let weights = ColdFile::open(&host::data_directory(), "cold-weights.f32", ROWS * COLS)?;
    let x = vec![1.0; COLS];
    let mut y = vec![0.0; ROWS];

    let start = Instant::now();
    let mut times = Times::default();
    let mut requests = 0u32;
    while requests == 0 || start.elapsed() < time {
        // As a restart of the machine does. Between the requests: nobody waits for it.
        weights.make_cold()?;
        let watch = Stopwatch::start();
        first_token(&weights, &x, &mut y)?;
        times += watch.stop();
        requests += 1;
    }
    let cold = times.wall / requests;

    // Once more, with the pages in the cache; the spans are left out, for this is the ruler.
    let start = Instant::now();
    let mapping = Mapping::lazy(weights.file())?;
    pass(&mapping, &x, &mut y);
    let warm = start.elapsed();
    println!(
        "{requests} requests: {:.1} ms each, {:.1} ms of them on a CPU; with warm pages {:.1} ms",
        cold.as_secs_f64() * 1e3,
        (times.on_cpu / requests).as_secs_f64() * 1e3,
        warm.as_secs_f64() * 1e3
    );
    let share = times.blocked_share();
    println!("{}", Share { what: "blocked on the disk", share, least: 0.75 });
    Ok(())
}

/// One request: the model is loaded for it, which looks cheap.
#[bottleneck(request)]
fn first_token(weights: &ColdFile, x: &[f32], y: &mut [f32]) -> io::Result<()> {
    let mapping = map(weights)?;
    first_pass(&mapping, x, y);
    Ok(())
}

/// Takes microseconds, for nothing is read.
#[bottleneck]
fn map(weights: &ColdFile) -> io::Result<Mapping> {
    Mapping::lazy(weights.file())
}

/// The first pass over the weights. The mistake: it reads the file, page by page, whenever it comes to the next one.
#[bottleneck(flops = 2 * USED, bytes = 4 * USED, dtype = f32)]
fn first_pass(weights: &Mapping, x: &[f32], y: &mut [f32]) {
    pass(weights, x, y);
}

fn pass(weights: &Mapping, x: &[f32], y: &mut [f32]) {
    let weights = Matrix::new(weights.floats(0), ROWS, COLS);
    for from in (0..ROWS).step_by(EXPERT * CHOICE) {
        let (expert, out) = (weights.row_range(from, from + EXPERT), &mut y[from..from + EXPERT]);
        gemv(Isa::detected(), expert, x, out);
    }
}

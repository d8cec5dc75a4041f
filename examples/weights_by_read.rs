//! Loads the weights of a model for a request, by reading a file that is still on the disk.
//!
//! Verdict: io / disk
//! Start at: `Weights::load`
//!
//! Why that holds by construction: the pages of the file are dropped from the page cache before every request, so every
//! read waits for the disk, and the only work besides is the kernel's, which copies into a small buffer. With the pages in
//! the cache loading takes a fraction of the time: the program measures both.
//!
//! What helps: load before the first request, read the next piece while the last one is used, map the file if its pages
//! are likely to be warm, or make it smaller.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::io::{self, Read, Seek};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bottleneck_examples::clocks::{Stopwatch, Times};
use bottleneck_examples::cold_file::ColdFile;
use bottleneck_examples::host;
use bottleneck_examples::trial::{self, Share};
use bottleneck_runtime::bottleneck;

/// Weights of 128 MiB.
const VALUES: usize = 32 << 20;
/// Read at a time. Larger pieces would wait no less, for the kernel reads ahead anyway.
const PIECE: usize = 256 << 10;

/// A loader that passes the weights on, piece by piece: the buffer is where an accelerator would fetch them.
struct Weights {
    staging: Vec<u8>,
}

fn main() -> ExitCode {
    trial::try_run(4.0, serve)
}

fn serve(time: Duration) -> io::Result<()> {
    let file = ColdFile::open(&host::data_directory(), "cold-weights.f32", VALUES)?;
    let mut weights = Weights { staging: vec![1; PIECE] };

    let start = Instant::now();
    let mut times = Times::default();
    let mut requests = 0u32;
    while requests == 0 || start.elapsed() < time {
        // As a restart of the machine does. Between the requests: nobody waits for it.
        file.make_cold()?;
        let watch = Stopwatch::start();
        weights.load(&file)?;
        times += watch.stop();
        requests += 1;
    }
    let cold = times.wall / requests;

    // Once more, with the pages in the cache; the span is left out, for this is the ruler.
    let start = Instant::now();
    weights.read(&file)?;
    let warm = start.elapsed();
    println!(
        "{requests} loads: {:.1} ms each, {:.1} ms of them on a CPU; with warm pages {:.1} ms",
        cold.as_secs_f64() * 1e3,
        (times.on_cpu / requests).as_secs_f64() * 1e3,
        warm.as_secs_f64() * 1e3
    );
    let share = times.blocked_share();
    println!("{}", Share { what: "blocked on the disk", share, least: 0.6 });
    Ok(())
}

impl Weights {
    /// One request: the weights it needs come from the disk. The mistake: nobody has read them before, and while the
    /// disk works nothing else does.
    #[bottleneck(request)]
    fn load(&mut self, file: &ColdFile) -> io::Result<()> {
        self.read(file)
    }

    fn read(&mut self, file: &ColdFile) -> io::Result<()> {
        let mut file = file.file();
        file.rewind()?;
        for _ in 0..4 * VALUES / PIECE {
            file.read_exact(&mut self.staging)?;
        }
        Ok(())
    }
}

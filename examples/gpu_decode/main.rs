//! Decodes tokens on a GPU with ordinary cudarc: inputs go up, kernels run, results come down, on two streams, with the next
//! token submitted while the one before runs.
//!
//! `--fault NAME` plants what makes such programs slow: see [`FAULTS`]. Without one nothing is to be found but the kernels.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "results, and what is wrong, for who has started it"
)]

mod gpu;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bottleneck_runtime::{Dtype, Work, bottleneck, work};
use gpu::{Gpu, Result};

/// What can be planted, and what should be found.
const FAULTS: [(&str, &str); 9] = [
    ("host-starved", "io: the host works for 2 ms before it submits the next token"),
    ("pageable", "io: inputs are copied from memory that is not pinned"),
    ("small-copies", "io: an input is copied in 1024 pieces"),
    ("serial-streams", "scheduling: two streams wait for each other without need"),
    ("default-stream", "scheduling: two streams, one of them the default one, take turns"),
    ("sync-each", "scheduling: the host waits after each kernel"),
    ("tiny-kernels", "scheduling: 400 kernels that take less than their launch"),
    ("hbm-bound", "memory: kernels that read much and compute little"),
    ("flop-bound", "compute: kernels that compute much and read nothing"),
];

const USAGE: &str =
    "usage: gpu_decode [--fault NAME] [--tokens N] [--undeclared] [--graph] | --measure";

/// What the command line asks for.
struct Options {
    fault: Option<&'static str>,
    tokens: u32,
    /// Spans do not say what their kernels do.
    is_undeclared: bool,
    /// Kernels are captured into a CUDA graph, which is launched for each token.
    has_graph: bool,
    /// Times of single operations by events, to compare reports with.
    measures: bool,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> std::result::Result<Self, String> {
        let mut res = Self {
            fault: None,
            tokens: 400,
            is_undeclared: false,
            has_graph: false,
            measures: false,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("no value behind `{argument}`"));
            match argument.as_str() {
                "--fault" => {
                    let name = value()?;
                    let known = FAULTS.into_iter().find(|(fault, _)| *fault == name);
                    res.fault = Some(known.ok_or(format!("no fault is called `{name}`"))?.0);
                }
                "--tokens" => {
                    res.tokens = value()?.parse().map_err(|why| format!("--tokens: {why}"))?;
                }
                "--undeclared" => res.is_undeclared = true,
                "--graph" => res.has_graph = true,
                "--measure" => res.measures = true,
                _ => return Err(format!("`{argument}` is not known")),
            }
        }
        Ok(res)
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("gpu_decode: {why}\n{USAGE}");
            for (name, truth) in FAULTS {
                eprintln!("  --fault {name:15} {truth}");
            }
            return ExitCode::from(2);
        }
    };
    if !gpu::has_driver() {
        eprintln!(
            "gpu_decode: there is no CUDA driver on this machine (libcuda.so.1)\n\
             try it on the simulated one: cargo run -p cuda-sim -- \
             cargo bottleneck run -p bottleneck-examples --features gpu --example gpu_decode"
        );
        return ExitCode::from(3);
    }
    match decode(&options) {
        Ok(seconds) => {
            println!(
                "{} tokens, {:.1} a second",
                options.tokens,
                f64::from(options.tokens) / seconds
            );
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("gpu_decode: {why}");
            ExitCode::FAILURE
        }
    }
}

fn decode(options: &Options) -> Result<f64> {
    let mut gpu = load()?;
    if options.measures {
        return measure(&mut gpu);
    }
    let start = Instant::now();
    for number in 0..options.tokens {
        token(&mut gpu, options, number)?;
    }
    gpu.finish()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Brings everything onto the device. A span, so that recording begins before the driver is used.
#[bottleneck]
fn load() -> Result<Gpu> {
    Gpu::new()
}

/// Prints medians of what events say of long operations, in ns.
#[bottleneck(request)]
fn measure(gpu: &mut Gpu) -> Result<f64> {
    let start = Instant::now();
    for (name, ns) in gpu.times_by_events()? {
        println!("event {name} {ns:.0}");
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Submits a token, and takes the result of the one before.
#[bottleneck(request)]
fn token(gpu: &mut Gpu, options: &Options, number: u32) -> Result<()> {
    let fault = options.fault;
    match fault {
        Some("host-starved") => {
            gpu.finish()?;
            prepare(Duration::from_millis(2));
        }
        _ => prepare(Duration::from_micros(20)),
    }
    upload(gpu, fault, number)?;
    if options.has_graph {
        replay(gpu, options)?;
    } else {
        forward(gpu, options)?;
    }
    download(gpu)
}

/// What the host does for a token: it looks for the most probable one.
#[bottleneck]
fn prepare(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::black_box((0..64_u32).map(|at| at.wrapping_mul(2_654_435_761)).max());
    }
}

#[bottleneck]
fn upload(gpu: &mut Gpu, fault: Option<&str>, number: u32) -> Result<()> {
    match fault {
        Some("pageable") => gpu.upload_pageable(number),
        Some("small-copies") => gpu.upload_in_pieces(1024),
        _ => gpu.upload(),
    }
}

/// Launches what `forward` submits as one graph, which is captured for the first token.
#[bottleneck]
fn replay(gpu: &mut Gpu, options: &Options) -> Result<()> {
    if !gpu.has_graph() {
        capture(gpu, options)?;
    }
    gpu.launch_graph()
}

#[bottleneck]
fn capture(gpu: &mut Gpu, options: &Options) -> Result<()> {
    gpu.begin_graph()?;
    forward(gpu, options)?;
    gpu.end_graph()
}

#[bottleneck(cuda_stream = gpu.compute())]
fn forward(gpu: &mut Gpu, options: &Options) -> Result<()> {
    let mut layers = |reading, computing| layers(gpu, reading, computing, options.is_undeclared);
    match options.fault {
        Some("hbm-bound") => layers(16, 0),
        Some("flop-bound") => layers(0, 16),
        Some("pageable" | "small-copies") => layers(2, 2),
        Some("serial-streams") => gpu.both_streams_in_turn(64),
        Some("default-stream") => gpu.default_stream_in_turn(64),
        Some("tiny-kernels") => (0..400).try_for_each(|_| gpu.touch()),
        Some("sync-each") => (0..250).try_for_each(|_| {
            gpu.touch()?;
            gpu.wait()
        }),
        _ => layers(4, 4),
    }
}

/// So many kernels that read, and so many that compute.
#[bottleneck]
fn layers(gpu: &mut Gpu, reading: u32, computing: u32, is_undeclared: bool) -> Result<()> {
    let (flops, bytes) =
        (f64::from(computing) * gpu::FLOPS_OF_MULTIPLY, f64::from(reading) * gpu::BYTES_OF_READ);
    if !is_undeclared {
        work(Work { flops, bytes, dtype: Dtype::F32 });
    }
    for _ in 0..reading {
        gpu.read_weights()?;
    }
    for _ in 0..computing {
        gpu.multiply()?;
    }
    Ok(())
}

#[bottleneck]
fn download(gpu: &mut Gpu) -> Result<()> {
    gpu.download()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_a_name_that_is_known() {
        let parse = |text: &str| Options::parse(text.split_whitespace().map(str::to_owned));
        assert_eq!(parse("--fault pageable --tokens 3").unwrap().fault, Some("pageable"));
        assert!(parse("--fault slow").is_err_and(|why| why.contains("slow")));
        assert!(parse("--tokens").is_err() && parse("x").is_err());
    }
}

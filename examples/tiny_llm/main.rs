//! Generates text with a real transformer on the CPU: prefill computes, decode waits for memory.
//!
//! Verdict: memory (decode), compute (prefill)
//!
//! Why that holds by construction: one decode step multiplies every weight with one vector, 2 FLOPs for 4 bytes, and the
//! weights are at least four times as large as the last-level cache. Prefill multiplies the same weights with all tokens
//! of the prompt at once: at 192 tokens 96 FLOPs for each byte, more than any CPU can do per byte of memory bandwidth.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod args;
mod attention;
mod batch;
mod config;
mod crew;
mod model;
#[cfg(test)]
mod reference;
mod sampler;
mod weights;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use args::{Args, Size};
use bottleneck_examples::{declared, host};
use bottleneck_runtime::bottleneck;
use config::{Config, START};
use crew::Crew;
use model::{DECODE, Model, PREFILL};
use sampler::Sampler;
use weights::WeightsFile;

/// The least that `--size auto` streams per token: below, a run would be too short to be measured.
const LEAST_BYTES: u64 = 512 << 20;
/// Assumed where the system does not tell the size of its caches.
const USUAL_CACHE: u64 = 32 << 20;

fn main() -> ExitCode {
    let result = Args::parse(std::env::args().skip(1)).map_err(Into::into).and_then(|args| {
        if args.help {
            print!("{}", args::HELP);
            return Ok(());
        }
        run(&args)
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    if args.undeclared {
        declared::withhold();
    }
    let config = Config::streaming(bytes_to_stream(args.size, args.quiet));
    if !args.quiet {
        println!(
            "model: {} layers of width {}, {} MiB of weights per decoded token",
            config.layers,
            config.dim,
            config.streamed_bytes() >> 20
        );
    }
    let start = Instant::now();
    let file = load_weights(&config)?;
    if !args.quiet {
        println!("weights: ready after {:.1} s", start.elapsed().as_secs_f64());
        println!("prompt: {}", args.prompt);
    }

    let prompt: Vec<usize> =
        std::iter::once(START).chain(args.prompt.bytes().map(usize::from)).collect();
    let mut sampler = Sampler::new(args.temperature, args.top_k, args.seed);
    std::thread::scope(|scope| {
        let crew = Crew::start(scope, args.threads)?;
        let capacity = prompt.len() + args.tokens;
        let mut model = Model::new(&config, file.tensors(&config), crew, capacity, prompt.len());
        let generated = generate(&mut model, &mut sampler, &prompt, args.tokens);
        if args.quiet {
            println!("{}", generated.bytes.escape_ascii());
        } else {
            generated.print(&config, prompt.len());
        }
        Ok(())
    })
}

/// Maps the weights; nothing after this waits for their pages.
#[bottleneck]
fn load_weights(config: &Config) -> Result<WeightsFile, weights::WeightsError> {
    WeightsFile::load(&host::data_directory(), config)
}

/// What `generate` made, and how long it took.
struct Generated {
    bytes: Vec<u8>,
    prefill_seconds: f64,
    decode_seconds: f64,
}

/// Reads the prompt as one batch, then makes `tokens` tokens one by one.
#[bottleneck(request)]
fn generate(
    model: &mut Model<'_>,
    sampler: &mut Sampler,
    prompt: &[usize],
    tokens: usize,
) -> Generated {
    let start = Instant::now();
    let mut next = sampler.sample(model.forward(prompt, PREFILL));
    let prefill_seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut bytes = Vec::with_capacity(tokens);
    for _ in 0..tokens {
        bytes.push(u8::try_from(next).expect("only bytes are sampled"));
        next = sampler.sample(model.forward(&[next], DECODE));
    }
    Generated { bytes, prefill_seconds, decode_seconds: start.elapsed().as_secs_f64() }
}

impl Generated {
    fn print(&self, config: &Config, prompt: usize) {
        let tokens = self.bytes.len() as f64;
        let streamed = config.streamed_bytes() as f64;
        println!("generated: {}", self.bytes.escape_ascii());
        println!(
            "prefill: {prompt} tokens in {:.2} s, {:.1} tokens/s, {:.1} GFLOP/s in weights",
            self.prefill_seconds,
            prompt as f64 / self.prefill_seconds,
            streamed / 2.0 * prompt as f64 / self.prefill_seconds / 1e9,
        );
        println!(
            "decode: {tokens} tokens in {:.2} s, {:.1} tokens/s, {:.1} GB/s of weights",
            self.decode_seconds,
            tokens / self.decode_seconds,
            streamed * tokens / self.decode_seconds / 1e9,
        );
    }
}

/// The bytes that a decode step shall stream, with a note where that is less than a cache-proof amount.
fn bytes_to_stream(size: Size, quiet: bool) -> u64 {
    if let Size::Mib(mib) = size {
        return mib << 20;
    }
    let cache = host::last_level_cache().unwrap_or_else(|| {
        if !quiet {
            println!(
                "note: the size of the last-level cache is unknown, {} MiB are assumed",
                USUAL_CACHE >> 20
            );
        }
        USUAL_CACHE
    });
    let wanted = (4 * cache).max(LEAST_BYTES);
    // Half is for the program, the file in the page cache, and everybody else.
    let bound = host::available_memory().map_or(wanted, |bytes| bytes / 2);
    if bound < wanted && !quiet {
        println!(
            "note: {} MiB of weights instead of {} MiB, because no more memory is available{}",
            bound >> 20,
            wanted >> 20,
            if bound < 4 * cache { "; decode may be served by the cache in part" } else { "" }
        );
    }
    wanted.min(bound)
}

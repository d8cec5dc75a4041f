//! A program that knows nothing of profilers: ordinary cudarc, without one annotation. `cargo bottleneck run --gpu` shows what its
//! device does.
//!
//! Verdict: io / device copy: an input that is pageable is copied for every kernel.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::error::Error;
use std::process::ExitCode;

use cudarc::driver::{CudaContext, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;

const VALUES: usize = 4 << 20;
const STEPS: u32 = 200;
const BLOCKS: u32 = 1056;
const THREADS: u32 = 256;

fn main() -> ExitCode {
    // SAFETY: the name is a C string, and the driver is a library that may be loaded at any time.
    if unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_LAZY) }.is_null() {
        eprintln!("gpu_plain: there is no CUDA driver on this machine (libcuda.so.1)");
        return ExitCode::from(3);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("gpu_plain: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let context = CudaContext::new(0)?;
    let stream = context.new_stream()?;
    let module = context.load_module(Ptx::from_src(include_str!("../gpu_decode/kernels.ptx")))?;
    let multiply = module.load_function("multiply")?;
    let mut sums = stream.alloc_zeros::<f32>((BLOCKS * THREADS) as usize)?;
    let mut input = stream.alloc_zeros::<f32>(VALUES)?;
    let rounds = 2774_u32;
    for step in 0..STEPS {
        stream.memcpy_htod(&vec![step as f32; VALUES], &mut input)?;
        let mut launch = stream.launch_builder(&multiply);
        launch.arg(&mut sums).arg(&rounds);
        let shape = LaunchConfig {
            grid_dim: (BLOCKS, 1, 1),
            block_dim: (THREADS, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the kernel writes one value for each thread, which is how many there are.
        unsafe { launch.launch(shape)? };
    }
    stream.synchronize()?;
    println!("{STEPS} steps");
    Ok(())
}

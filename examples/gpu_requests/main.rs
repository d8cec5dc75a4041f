//! Asynchronous requests on a GPU, from several threads at once: each thread has two requests under way and polls them in turns.
//!
//! Verdict: scheduling / launch-bound (kernels that take less than their launch). What it is for: every kernel and copy is of the
//! span that asked for it, although spans of two requests are open on each thread.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bottleneck_runtime::bottleneck;
use cudarc::driver::{CudaContext, CudaFunction, CudaStream, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const THREADS: u32 = 4;
/// Requests of each thread.
const REQUESTS: u32 = 50;
/// Layers of a request; it lets the other one go on behind each.
const LAYERS: u32 = 8;

fn main() -> ExitCode {
    // SAFETY: the name is a C string, and the driver is a library that may be loaded at any time.
    if unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_LAZY) }.is_null() {
        eprintln!(
            "gpu_requests: there is no CUDA driver on this machine (libcuda.so.1)\n\
             try it on the simulated one: cargo run -p cuda-sim -- \
             cargo bottleneck run -p bottleneck-examples --features gpu --example gpu_requests"
        );
        return ExitCode::from(3);
    }
    match serve() {
        Ok(()) => {
            println!("{} requests", THREADS * REQUESTS);
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("gpu_requests: {why}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<()> {
    let model = Arc::new(load()?);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| requests(&model))).collect();
        threads.into_iter().try_for_each(|it| it.join().map_err(|_| "a thread has panicked")?)
    })
}

struct Model {
    context: Arc<CudaContext>,
    touch: CudaFunction,
    multiply: CudaFunction,
}

#[bottleneck]
fn load() -> Result<Model> {
    let context = CudaContext::new(0)?;
    let module = context.load_module(Ptx::from_src(include_str!("../gpu_decode/kernels.ptx")))?;
    Ok(Model {
        touch: module.load_function("touch")?,
        multiply: module.load_function("multiply")?,
        context,
    })
}

/// The requests of one thread, two at a time.
fn requests(model: &Model) -> Result<()> {
    model.context.bind_to_thread()?;
    let stream = model.context.new_stream()?;
    for _ in 0..REQUESTS / 2 {
        both(answer(model, &stream), answer(model, &stream))?;
    }
    Ok(())
}

#[bottleneck(request)]
async fn answer(model: &Model, stream: &Arc<CudaStream>) -> Result<()> {
    let values = [1.0_f32; 1024];
    let mut sums = stream.clone_htod(&values)?;
    for _ in 0..LAYERS {
        attend(model, stream, &mut sums)?;
        breathe().await;
        feed(model, stream, &mut sums)?;
    }
    stream.synchronize()?;
    Ok(())
}

/// One kernel, `touch`.
#[bottleneck]
fn attend(
    model: &Model,
    stream: &CudaStream,
    sums: &mut cudarc::driver::CudaSlice<f32>,
) -> Result<()> {
    let mut launch = stream.launch_builder(&model.touch);
    launch.arg(sums);
    // SAFETY: the kernel writes one value for each of 256 threads, of which there are fewer than values.
    unsafe { launch.launch(shape())? };
    Ok(())
}

/// One kernel, `multiply`.
#[bottleneck]
fn feed(
    model: &Model,
    stream: &CudaStream,
    sums: &mut cudarc::driver::CudaSlice<f32>,
) -> Result<()> {
    let rounds = 1_u32;
    let mut launch = stream.launch_builder(&model.multiply);
    launch.arg(sums).arg(&rounds);
    // SAFETY: as above.
    unsafe { launch.launch(shape())? };
    Ok(())
}

fn shape() -> LaunchConfig {
    LaunchConfig { grid_dim: (1, 1, 1), block_dim: (256, 1, 1), shared_mem_bytes: 0 }
}

/// Lets the other request go on.
async fn breathe() {
    let mut is_again = false;
    poll_fn(
        |_| if std::mem::replace(&mut is_again, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

/// Polls two futures in turns until both are done.
fn both(
    first: impl Future<Output = Result<()>>,
    second: impl Future<Output = Result<()>>,
) -> Result<()> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let mut context = Context::from_waker(Waker::noop());
    let mut open = [true; 2];
    while open != [false; 2] {
        if open[0]
            && let Poll::Ready(it) = first.as_mut().poll(&mut context)
        {
            it?;
            open[0] = false;
        }
        if open[1]
            && let Poll::Ready(it) = second.as_mut().poll(&mut context)
        {
            it?;
            open[1] = false;
        }
    }
    Ok(())
}

//! A program with spans and with its own cudarc, whose recorder knows nothing of devices.

use bottleneck_runtime::bottleneck;
use cudarc::driver::{CudaContext, CudaFunction, CudaStream, DriverError, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;

const KERNELS: &str = "
// cuda-sim: one us=20
// cuda-sim: two us=10
.version 6.0
.target sm_50
.address_size 64
.visible .entry one(.param .u32 one_param_0) { ret; }
.visible .entry two(.param .u32 two_param_0) { ret; }
";

#[bottleneck]
fn first(stream: &CudaStream, kernel: &CudaFunction) -> Result<(), DriverError> {
    launch(stream, kernel)
}

#[bottleneck]
fn second(stream: &CudaStream, kernel: &CudaFunction) -> Result<(), DriverError> {
    launch(stream, kernel)
}

fn launch(stream: &CudaStream, kernel: &CudaFunction) -> Result<(), DriverError> {
    let shape = LaunchConfig { grid_dim: (1, 1, 1), block_dim: (32, 1, 1), shared_mem_bytes: 0 };
    let mut launch = stream.launch_builder(kernel);
    // SAFETY: the kernels do nothing.
    unsafe { launch.arg(&1_u32).launch(shape)? };
    Ok(())
}

#[bottleneck(request)]
fn step(stream: &CudaStream, one: &CudaFunction, two: &CudaFunction) -> Result<(), DriverError> {
    first(stream, one)?;
    second(stream, two)?;
    stream.synchronize()
}

/// The first span: recording begins before the driver is used.
#[bottleneck]
fn load() -> Result<(std::sync::Arc<CudaContext>, CudaFunction, CudaFunction), DriverError> {
    let context = CudaContext::new(0)?;
    let module = context.load_module(Ptx::from_src(KERNELS))?;
    Ok((context.clone(), module.load_function("one")?, module.load_function("two")?))
}

fn main() -> Result<(), DriverError> {
    let (context, one, two) = load()?;
    let stream = context.new_stream()?;
    (0..100).try_for_each(|_| step(&stream, &one, &two))
}

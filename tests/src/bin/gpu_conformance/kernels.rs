//! Kernels of known length.

use std::sync::Arc;

use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, DriverError, LaunchConfig, PushKernelArg,
};
use cudarc::nvrtc::Ptx;

/// A module. The kernels are as long as the lines say, on a simulated device.
pub(crate) const MODULE: &str = "
// cuda-sim: long us=200000 occupancy=1
// cuda-sim: known us=3000 occupancy=1
// cuda-sim: short us=5
.version 8.0
.target sm_80
.address_size 64
.visible .entry long() { ret; }
.visible .entry known() { ret; }
.visible .entry short(.param .u64 short_param_0, .param .u32 short_param_1) { ret; }
";

/// One block of one warp.
pub(crate) const ONE: LaunchConfig =
    LaunchConfig { grid_dim: (1, 1, 1), block_dim: (32, 1, 1), shared_mem_bytes: 0 };

/// A kernel of the module.
pub(crate) fn kernel(context: &Arc<CudaContext>, name: &str) -> Result<CudaFunction, DriverError> {
    context.load_module(Ptx::from_src(MODULE))?.load_function(name)
}

/// Launches `long` or `known`.
pub(crate) fn launch(stream: &Arc<CudaStream>, name: &str) -> Result<(), DriverError> {
    let kernel = kernel(stream.context(), name)?;
    // SAFETY: the kernel takes nothing and does nothing.
    unsafe { stream.launch_builder(&kernel).launch(ONE)? };
    Ok(())
}

/// Launches `short`, which uses a slice.
pub(crate) fn use_slice(
    stream: &Arc<CudaStream>,
    slice: &mut CudaSlice<u32>,
) -> Result<(), DriverError> {
    let kernel = kernel(stream.context(), "short")?;
    let mut launch = stream.launch_builder(&kernel);
    // SAFETY: the kernel takes an address and a number, and does nothing.
    unsafe { launch.arg(slice).arg(&1_u32).launch(ONE)? };
    Ok(())
}

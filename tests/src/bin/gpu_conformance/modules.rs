//! Modules, kernels and launches.

use cudarc::driver::sys::CUresult;
use cudarc::driver::{CudaContext, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::{Ptx, compile_ptx};

use super::Case;
use super::check::{Outcome, holds, refused};
use super::kernels::{MODULE, ONE, kernel};

pub(super) const CASES: &[Case] = &[
    ("a_kernel_that_a_module_does_not_have_is_not_found", unknown),
    ("what_is_no_module_is_refused", no_module),
    ("launches_that_cannot_be_are_refused", impossible),
    ("a_text_is_compiled_and_runs", compiled),
    ("a_text_that_cannot_be_compiled_is_refused", not_compiled),
];

fn unknown() -> Outcome {
    let module = CudaContext::new(0)?.load_module(Ptx::from_src(MODULE))?;
    refused(module.load_function("shor"), CUresult::CUDA_ERROR_NOT_FOUND)?;
    module.load_function("short")?;
    Ok(())
}

fn no_module() -> Outcome {
    let module = CudaContext::new(0)?.load_module(Ptx::from_src("no PTX"));
    refused(module, CUresult::CUDA_ERROR_INVALID_PTX)
}

fn impossible() -> Outcome {
    let context = CudaContext::new(0)?;
    let stream = context.new_stream()?;
    let kernel = kernel(&context, "known")?;
    let too_many = LaunchConfig { block_dim: (1024, 2, 1), ..ONE };
    let none = LaunchConfig { grid_dim: (0, 1, 1), ..ONE };
    for shape in [too_many, none] {
        // SAFETY: the kernel takes nothing and does nothing.
        let launched = unsafe { stream.launch_builder(&kernel).launch(shape) };
        refused(launched.map(|_| ()), CUresult::CUDA_ERROR_INVALID_VALUE)?;
    }
    let most = LaunchConfig { block_dim: (1024, 1, 1), ..ONE };
    // SAFETY: the same.
    unsafe { stream.launch_builder(&kernel).launch(most)? };
    Ok(stream.synchronize()?)
}

fn compiled() -> Outcome {
    const TEXT: &str = "extern \"C\" __global__ void fill(float* x, int n) { }";
    let context = CudaContext::new(0)?;
    let stream = context.new_stream()?;
    let fill = context.load_module(compile_ptx(TEXT)?)?.load_function("fill")?;
    let mut slice = stream.alloc_zeros::<f32>(32)?;
    let mut launch = stream.launch_builder(&fill);
    // SAFETY: the kernel takes an address and a number, and does nothing.
    unsafe { launch.arg(&mut slice).arg(&32_i32).launch(LaunchConfig::for_num_elems(32))? };
    Ok(stream.synchronize()?)
}

fn not_compiled() -> Outcome {
    holds(compile_ptx("#error \"not today\"").is_err(), "the compiler refuses it")
}

//! Devices and what they say of themselves.

use cudarc::driver::CudaContext;
use cudarc::driver::sys::{CUdevice_attribute, CUresult};

use super::Case;
use super::check::{Outcome, holds, refused, same};

pub(super) const CASES: &[Case] = &[
    ("a_device_says_what_it_is", says),
    ("each_device_has_a_number_and_an_identity", several),
    ("a_device_that_is_not_there_is_refused", not_there),
];

fn says() -> Outcome {
    let context = CudaContext::new(0)?;
    holds(!context.name()?.is_empty(), "it has a name")?;
    let (major, minor) = context.compute_capability()?;
    holds(5 <= major && (0..10).contains(&minor), "it has a compute capability")?;
    let (free, all) = context.mem_get_info()?;
    same(all, context.total_mem()?)?;
    holds(free <= all, "not more memory is free than there is")?;
    let attribute = |it| context.attribute(it);
    same(attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_WARP_SIZE)?, 32)?;
    same(attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK)?, 1024)?;
    let processors = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
    holds(0 < processors, "it has processors")
}

#[expect(clippy::print_stdout, reason = "for who has started it, who knows how many there are")]
fn several() -> Outcome {
    let count = usize::try_from(CudaContext::device_count()?)?;
    holds(0 < count, "there is a device")?;
    let mut identities = Vec::new();
    for ordinal in 0..count {
        let context = CudaContext::new(ordinal)?;
        same(context.ordinal(), ordinal)?;
        identities.push(context.uuid()?.bytes);
    }
    println!("seen each_device_has_a_number_and_an_identity count {count}");
    identities.sort_unstable();
    identities.dedup();
    same(identities.len(), count)
}

fn not_there() -> Outcome {
    let count = usize::try_from(CudaContext::device_count()?)?;
    refused(CudaContext::new(count), CUresult::CUDA_ERROR_INVALID_DEVICE)
}

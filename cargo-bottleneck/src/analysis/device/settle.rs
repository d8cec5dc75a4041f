//! What would settle what limits a device, where that is not known.

use super::counted::Counted;
use crate::number::percent;

/// A device of which less has work is not filled.
const FILLED: f64 = 0.5;

/// What would settle time of a device that is `other`.
pub(in crate::analysis) fn kernels(name: &str) -> String {
    format!(
        "declare what the kernels of `{name}` do: #[bottleneck(flops = ..., bytes = ...)], so that it can be held against the device"
    )
}

/// What would settle time of a device that is `other` although it was counted.
pub(in crate::analysis) fn counted(name: &str, counted: &Counted) -> String {
    if counted.busy < FILLED {
        format!(
            "give kernels of `{name}` more to do at once (larger batches, more blocks, fused kernels): {} of the multiprocessors \
             have work while they run",
            percent(counted.busy)
        )
    } else {
        format!(
            "look into the kernels of `{name}` (ncu): they wait for something that is neither the device's memory nor a unit"
        )
    }
}

/// What would settle what devices did where records of it cannot be trusted.
pub(in crate::analysis) fn records() -> String {
    "run it again, shorter or with fewer operations on devices; without CUDA graphs, or with a newer CUDA, if it is their records that are missing"
        .to_owned()
}

/// What would settle what limits a device that was not the program's alone, or not at its clock.
pub(in crate::analysis) fn conditions() -> String {
    "run it again while nobody else uses the device, and with its clocks at a level that it can keep (nvidia-smi --lock-gpu-clocks)"
        .to_owned()
}

/// What is not known of a device that was used, and why.
pub(in crate::analysis) fn not_seen(reason: Option<&str>) -> String {
    match reason {
        Some(why) => format!("what a device does meanwhile: {why}"),
        None => "whether the driver submits there or waits".to_owned(),
    }
}

/// What would settle the time in the driver of a device, and waits that may be for it.
pub(in crate::analysis) fn unseen(has_reason: bool) -> String {
    if has_reason {
        "let CUPTI tell what the device does: put that right which `not seen` names, or run where it is allowed"
    } else {
        "make contexts, load modules and allocate before the first request, and submit in fewer calls (CUDA graphs)"
    }
    .to_owned()
}

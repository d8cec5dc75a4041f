//! What would settle what limits a device, where that is not known.

use super::DeviceView;
use super::counted::Counted;
use super::kernels::Region;
use crate::analysis::roofline::{Abstained, Says};
use crate::number::percent;

/// A device of which less has work is not filled.
const FILLED: f64 = 0.5;

/// What would settle time of a device that is `other`.
fn kernels(name: &str) -> String {
    format!(
        "declare what the kernels of `{name}` do: #[bottleneck(flops = ..., bytes = ...)], so that it can be held against the device"
    )
}

/// What would settle time of a device that is `other` although it was counted.
fn counted(name: &str, counted: &Counted) -> String {
    match counted.busy {
        Some(busy) if busy < FILLED && counted.says == Says::Nothing(Abstained::BothFar) => {
            format!(
                "give kernels of `{name}` more to do at once (larger batches, more blocks, fused kernels): {} of the multiprocessors \
             have work while they run",
                percent(busy)
            )
        }
        _ => format!(
            "declare what the kernels of `{name}` do, #[bottleneck(flops = ..., bytes = ...)], or look into them one by one (ncu)"
        ),
    }
}

/// What is not known of time of a device that is `other`.
pub(in crate::analysis) fn left_open(
    view: Option<&DeviceView>,
    region: Option<&Region>,
) -> Vec<String> {
    if let Some(view) = view.filter(|it| !it.problems.is_empty()) {
        return view.problems.clone();
    }
    let held_back = view.and_then(|it| it.held_back.values().next());
    match (region, region.and_then(|it| it.counted.as_ref())) {
        (Some(_), _) if held_back.is_some() => held_back.into_iter().cloned().collect(),
        (_, Some(counted)) => vec![counters_leave_open(counted)],
        (_, None) => {
            vec![
                "what limits kernels whose span declares no work: times alone do not tell"
                    .to_owned(),
            ]
        }
    }
}

/// What would settle it.
pub(in crate::analysis) fn device(
    view: Option<&DeviceView>,
    region: Option<&Region>,
    name: &str,
) -> String {
    match view {
        Some(view) if view.is_shared => conditions(),
        Some(view) if !view.problems.is_empty() => records(),
        Some(view) if !view.held_back.is_empty() && region.is_some() => conditions(),
        _ => match region.and_then(|it| it.counted.as_ref()) {
            Some(it) => counted(name, it),
            None => kernels(name),
        },
    }
}

/// What counters leave open of kernels.
fn counters_leave_open(counted: &Counted) -> String {
    match counted.says {
        Says::Nothing(Abstained::BothFar) => {
            "what holds kernels back that bring neither memory nor units near their most"
        }
        Says::Nothing(Abstained::BothNear) => {
            "which of the two holds kernels back: memory and units are both near their most"
        }
        Says::Nothing(Abstained::NoCeiling) => {
            "what limits kernels of a device that does not count all of its units"
        }
        _ => "what limits kernels whose counters say now this and now that",
    }
    .to_owned()
}

/// What would settle what devices did where records of it cannot be trusted.
fn records() -> String {
    "run it again, shorter or with fewer operations on devices; without CUDA graphs, or with a newer CUDA, if it is their records that are missing"
        .to_owned()
}

/// What would settle what limits a device that was not the program's alone, or not at its clock.
fn conditions() -> String {
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

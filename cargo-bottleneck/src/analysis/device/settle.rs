//! What would settle what limits a device, where that is not known.

/// What would settle time of a device that is `other`.
pub(in crate::analysis) fn kernels(name: &str) -> String {
    format!(
        "declare what the kernels of `{name}` do: #[bottleneck(flops = ..., bytes = ...)], so that it can be held against the device"
    )
}

/// What would settle what devices did where records of it cannot be trusted.
pub(in crate::analysis) fn records() -> String {
    "run it again, shorter or with fewer operations on devices, so that every record is kept"
        .to_owned()
}

/// What would settle what limits a device that was not the program's alone, or not at its clock.
pub(in crate::analysis) fn conditions() -> String {
    "run it again while nobody else uses the device, and with its clocks at a level that it can keep (nvidia-smi --lock-gpu-clocks)"
        .to_owned()
}

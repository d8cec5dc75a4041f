//! The `#[bottleneck]` attribute.

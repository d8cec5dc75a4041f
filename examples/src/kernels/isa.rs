//! Which vector instructions the processor has.

use std::sync::OnceLock;

/// A family of vector instructions, narrow to wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// What the compiler makes of plain loops for the target (SSE2 on `x86_64`, NEON on `aarch64`).
    Plain,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 512-bit vectors with fused multiply-add.
    Avx512,
}

impl Isa {
    /// The widest family of this processor; asked once, then a load.
    #[must_use]
    pub fn detected() -> Self {
        static DETECTED: OnceLock<Isa> = OnceLock::new();
        *DETECTED.get_or_init(Self::detect)
    }

    /// Every family that this processor can run.
    pub fn available() -> impl Iterator<Item = Self> {
        [Self::Plain, Self::Avx2, Self::Avx512].into_iter().filter(|&isa| isa <= Self::detected())
    }

    #[cfg(target_arch = "x86_64")]
    fn detect() -> Self {
        if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
            Self::Plain
        } else if is_x86_feature_detected!("avx512f") {
            Self::Avx512
        } else {
            Self::Avx2
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn detect() -> Self {
        Self::Plain
    }
}

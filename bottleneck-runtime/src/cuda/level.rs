//! How much can be seen of the devices here, and why not more. Decided once, when recording begins.

use core::fmt;

/// What can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Nothing: there is no driver.
    None,
    /// Times between events around spans that name a stream.
    Events,
    /// Every kernel, copy and wait.
    Activity,
}

/// Why there is no more than a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// `libcuda.so.1` is not on this machine.
    NoDriver,
    /// `libcupti` is not where it is looked for.
    NoCupti,
    /// A function that is needed is not in it.
    Incomplete(&'static str),
    /// CUPTI refuses, with its code.
    Refused(i32),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDriver => f.write_str("there is no CUDA driver (libcuda.so.1)"),
            Self::NoCupti => f.write_str(
                "libcupti was not found (it comes with the CUDA toolkit, or `pip install nvidia-cuda-cupti`; put its folder into \
                 LD_LIBRARY_PATH)",
            ),
            Self::Incomplete(function) => write!(f, "this libcupti has no {function}"),
            Self::Refused(code) => {
                let why = match code {
                    15 => "it does not fit the driver, or the driver finds no device",
                    33 => "a virtual GPU does not allow it",
                    35 => "the driver allows it to administrators only (NVreg_RestrictProfilingToAdminUsers)",
                    39 => "another tool profiles this process (Nsight, or a debugger): run without it",
                    41 => "confidential computing does not allow it",
                    43 => "it is not possible on a part of a GPU (MIG)",
                    45 => "it is not possible under WSL",
                    _ => "it gives no reason",
                };
                write!(f, "CUPTI refuses with code {code}: {why}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_say_what_to_do() {
        assert!(Reason::NoDriver.to_string().contains("libcuda.so.1"));
        assert!(Reason::Refused(39).to_string().contains("another tool"));
        assert!(Reason::Refused(7).to_string().contains("code 7"));
        assert!(Level::None < Level::Events && Level::Events < Level::Activity);
    }
}

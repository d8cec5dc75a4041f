//! The exit codes of `cargo bottleneck` itself; the code of the profiled program always comes before them.
//!
//! A program that ends by a signal gives 128 plus the number of the signal, as a shell would show it.

/// Why the command ended, where the profiled program did not already say so with a code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// The program ran to a good end, but not a single span was recorded.
    NoSpans = 4,
    /// The command has met a fault of its own; the recording is kept.
    Fault = 70,
    /// The run could not be set up: no cargo, a program that cannot be started, a file that is not a profile.
    Setup = 96,
    /// A limit that the user gave was crossed.
    LimitCrossed = 100,
    /// Cargo could not build the program, or could not tell which one; the code of cargo's own errors.
    BuildFailed = 101,
    /// A report could not be written.
    CannotWrite = 110,
}

impl ExitCode {
    /// The number that the process ends with.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

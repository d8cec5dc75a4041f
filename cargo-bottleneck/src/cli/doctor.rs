//! `cargo bottleneck doctor`

use clap::Args;

use crate::cli::output::{MessageFormat, TerminalFlags};
use crate::commands::doctor::DoctorOptions;

/// Say what can be measured on this machine, and how to get at the rest
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// For whom the answer is printed: one line on stdout for json, else on stderr
    #[arg(long, value_name = "FMT", default_value = "human")]
    message_format: MessageFormat,

    #[command(flatten)]
    pub(super) terminal: TerminalFlags,
}

impl Doctor {
    pub(super) fn resolve(self) -> DoctorOptions {
        DoctorOptions { message_format: self.message_format.into() }
    }
}

//! `cargo bottleneck report`

use std::path::PathBuf;

use clap::Args;

use crate::cli::output;
use crate::commands::report::ReportOptions;

/// Report once more on an earlier run, or on a recording from elsewhere
#[derive(Debug, Args)]
pub(super) struct Report {
    /// A .bneck file or the folder of a run [default: the newest run here]
    #[arg(value_name = "FILE|DIR")]
    path: Option<PathBuf>,

    #[command(flatten)]
    output: output::ReportFlags,

    #[command(flatten)]
    pub(super) terminal: output::TerminalFlags,
}

impl Report {
    pub(super) fn resolve(self) -> ReportOptions {
        ReportOptions { settings: self.output.settings(), path: self.path }
    }
}

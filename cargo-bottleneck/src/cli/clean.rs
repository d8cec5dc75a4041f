//! `cargo bottleneck clean`

use std::path::PathBuf;

use clap::Args;

use crate::cli::output::TerminalFlags;
use crate::commands::clean::CleanOptions;

/// Remove the reports and recordings of earlier runs
#[derive(Debug, Args)]
pub(super) struct Clean {
    /// Keep the newest N runs of each program
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep: usize,

    /// Also remove what was built with the profile `bottleneck`
    #[arg(long)]
    build: bool,

    /// Say what would be removed, and remove nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    #[command(flatten)]
    pub(super) terminal: TerminalFlags,

    /// Directory for all generated artifacts
    #[arg(long, value_name = "DIRECTORY", help_heading = "Compilation Options")]
    target_dir: Option<PathBuf>,

    /// Path to Cargo.toml
    #[arg(long, value_name = "PATH", help_heading = "Manifest Options")]
    manifest_path: Option<PathBuf>,
}

impl Clean {
    pub(super) fn resolve(self) -> CleanOptions {
        CleanOptions {
            keep: self.keep,
            build: self.build,
            dry_run: self.dry_run,
            target_directory: self.target_dir,
            manifest: self.manifest_path,
        }
    }
}

//! What each subcommand does. Each file reads as the product: build, launch, report.
//!
//! The only modules that start programs and write reports.

pub mod candidates;
pub mod clean;
pub mod completions;
pub mod device_recording;
pub mod doctor;
pub mod duration;
pub mod gpu_library;
pub mod latest;
pub mod open;
pub mod pipeline;
pub mod present;
pub mod profile;
pub mod recording;
pub mod recording_file;
pub mod report;
pub mod run;
pub mod settings;
pub mod setup;
pub mod target;

use std::path::PathBuf;

use crate::cargo::Cargo;
use crate::cargo::inherited::Inherited;
use crate::cargo::metadata;
use crate::cargo::toolchain::cargo_program;
use crate::status::Status;

/// The target directory of the workspace around the current folder; `target` here if there is none.
fn target_directory_here(status: Status) -> PathBuf {
    let inherited = Inherited::from_process();
    let cargo = Cargo {
        program: cargo_program(&inherited),
        common: Vec::new(),
        inherited: &inherited,
        status,
    };
    let here = metadata::here(&cargo);
    here.map_or_else(|| "target".into(), |it| it.target_directory.into_std_path_buf())
}

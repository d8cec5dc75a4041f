//! Which profile of cargo a program is built with, what is said about it, and the flags that choose it.

use std::ffi::OsString;

use cargo_metadata::{Artifact, ArtifactDebuginfo};

use crate::cargo::config::Config;
use crate::cargo::manifest::Manifest;
use crate::cargo::metadata::Workspace;
use crate::cargo::pick::CargoCommand;
use crate::status::Status;

/// Name of the profile that is used unless the user asks for another.
pub const OURS: &str = "bottleneck";

/// Which profile to build with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// `release` with line tables, in a folder of its own.
    #[default]
    Bottleneck,
    /// `--release`: as it is, for the sake of what is built already.
    Release,
    /// `--dev`
    Dev,
    /// `--profile NAME`
    Named(String),
}

impl Profile {
    /// The one of this name.
    pub fn named(name: &str) -> Self {
        match name {
            OURS => Self::Bottleneck,
            "release" => Self::Release,
            "dev" => Self::Dev,
            _ => Self::Named(name.to_owned()),
        }
    }

    /// The flags for a build by `command`.
    pub fn flags(
        &self,
        command: CargoCommand,
        config: &Config,
        workspace: &Workspace,
        status: Status,
    ) -> Vec<OsString> {
        let profile = |name: &str| vec!["--profile".into(), name.into()];
        match (self, command) {
            // What `cargo bench` does by itself lies in the folder of `release`.
            (Self::Dev, CargoCommand::Run | CargoCommand::Test)
            | (Self::Release, CargoCommand::Bench) => Vec::new(),
            (Self::Dev, CargoCommand::Bench) => profile("dev"),
            (Self::Release, CargoCommand::Run | CargoCommand::Test) => vec!["--release".into()],
            (Self::Named(name), _) => profile(name),
            (Self::Bottleneck, _) => {
                let mut flags = profile(OURS);
                if !is_defined(config, workspace) {
                    let settings = ["inherits=\"release\"", "debug=\"line-tables-only\""];
                    flags.extend(settings.iter().flat_map(|setting| {
                        ["--config".into(), format!("profile.{OURS}.{setting}").into()]
                    }));
                    announce(workspace, status);
                }
                flags
            }
        }
    }

    /// Warns of what makes a report on this build less worth than it could be.
    pub fn warn(&self, command: CargoCommand, artifact: &Artifact, status: Status) {
        if !is_optimized(artifact) {
            status.warning(
                "dev profile: verdicts describe unoptimized code\n  fix: drop the flag (the default profile inherits release)",
            );
        }
        if !has_line_numbers(artifact) {
            let profile = match (self, command) {
                (Self::Bottleneck, _) => OURS,
                (Self::Release, CargoCommand::Bench) => "bench",
                (Self::Release, _) => "release",
                (Self::Dev, _) => "dev",
                (Self::Named(name), _) => name,
            };
            let variable = profile.to_uppercase().replace('-', "_");
            status.warning(format_args!(
                "profile `{profile}` has no line numbers; frames inside a span will be bare function names\n  \
                 fix: drop the flag (the default profile inherits release and adds line tables), or set\n       \
                 [profile.{profile}] debug = \"line-tables-only\"   or   CARGO_PROFILE_{variable}_DEBUG=line-tables-only"
            ));
        }
    }
}

/// Whether a build has line numbers.
pub fn has_line_numbers(artifact: &Artifact) -> bool {
    !matches!(artifact.profile.debuginfo, ArtifactDebuginfo::None)
}

/// Whether a build is optimized.
pub fn is_optimized(artifact: &Artifact) -> bool {
    artifact.profile.opt_level != "0"
}

fn is_defined(config: &Config, workspace: &Workspace) -> bool {
    let manifest = workspace.metadata.workspace_root.join("Cargo.toml");
    config.has_profile(OURS) || Manifest::read(manifest.as_std_path()).has_profile(OURS)
}

/// The first build compiles every dependency once more; that deserves a reason and the way around it.
fn announce(workspace: &Workspace, status: Status) {
    let folder = workspace.metadata.target_directory.join(OURS);
    let text = format!(
        "`{OURS}` = release + line tables, built apart from target/release (--release reuses that)"
    );
    if folder.exists() {
        status.detail("Profile", text);
    } else {
        status.line("Profile", text);
    }
}

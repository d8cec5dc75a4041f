//! `cargo metadata`: the packages, their targets, and where builds go.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use cargo_metadata::{Metadata, MetadataCommand, Package};

use crate::cargo::Cargo;
use crate::error::Error;
use crate::exit_code::ExitCode;

/// A workspace as cargo sees it.
#[derive(Debug)]
pub struct Workspace {
    /// Packages, targets, folders.
    pub metadata: Metadata,
    /// `rust-version` of each package as written, by package id: `1.85` there is not `1.85.0` in the environment.
    rust_versions: BTreeMap<String, String>,
}

impl Workspace {
    /// Reads the answer of `cargo metadata`.
    ///
    /// # Errors
    /// If it is not one.
    pub fn parse(json: &str) -> cargo_metadata::Result<Self> {
        let metadata = MetadataCommand::parse(json)?;
        let raw: RawMetadata = serde_json::from_str(json)?;
        let versions = raw
            .packages
            .into_iter()
            .filter_map(|package| Some((package.id, package.rust_version?)));
        Ok(Self { metadata, rust_versions: versions.collect() })
    }

    /// The `rust-version` of a package as its manifest has it.
    pub fn rust_version(&self, package: &Package) -> Option<&str> {
        self.rust_versions.get(&package.id.repr).map(String::as_str)
    }
}

#[derive(serde::Deserialize)]
struct RawMetadata {
    packages: Vec<RawPackage>,
}

#[derive(serde::Deserialize)]
struct RawPackage {
    id: String,
    rust_version: Option<String>,
}

/// Asks for the members of the workspace. `target_directory` is the user's `--target-dir`.
///
/// # Errors
/// If there is no manifest here, or cargo cannot read it; cargo has then said so.
pub fn load(cargo: &Cargo<'_>, target_directory: Option<&Path>) -> Result<Workspace, Error> {
    ask(cargo, target_directory, &["--no-deps"])
}

/// Asks for the dependencies too, which takes longer and may need the network.
///
/// # Errors
/// As [`load`].
pub fn load_with_dependencies(
    cargo: &Cargo<'_>,
    target_directory: Option<&Path>,
) -> Result<Workspace, Error> {
    ask(cargo, target_directory, &[])
}

/// The packages that cargo means when the user names none, in the folder where the command was started.
pub fn default_packages(metadata: &Metadata) -> Vec<&Package> {
    if metadata.workspace_default_members.is_available() {
        metadata.workspace_default_packages()
    } else {
        // Cargo before 1.71 does not say.
        metadata
            .root_package()
            .map_or_else(|| metadata.workspace_packages(), |package| vec![package])
    }
}

/// The packages that `-p SPEC` means.
///
/// # Errors
/// If there is none, in the words of `cargo run`.
pub fn packages_of_spec<'a>(
    cargo: &Cargo<'_>,
    metadata: &'a Metadata,
    spec: &str,
) -> Result<Vec<&'a Package>, Error> {
    if spec.contains(['*', '?', '[']) {
        let what = format!(
            "`cargo bottleneck run` does not support glob pattern `{spec}` on package selection"
        );
        return Err(Error::new(ExitCode::BuildFailed, what));
    }
    let named: Vec<&Package> =
        metadata.packages.iter().filter(|package| package.name.as_str() == spec).collect();
    if !named.is_empty() {
        return Ok(named);
    }
    // Versions, addresses and paths are cargo's own syntax: it knows which package is meant.
    let mut args: Vec<OsString> = cargo.common.clone();
    args.push(spec.into());
    let output =
        cargo.command("pkgid", &args).output().map_err(|error| cargo.cannot_start(&error))?;
    if !output.status.success() && spec.contains('/') {
        // What is no address at all is explained there; `cargo run` gives the cause alone.
        let text = String::from_utf8_lossy(&output.stderr);
        let cause = text.rsplit_once("Caused by:\n").map_or(&*text, |(_, cause)| cause).trim();
        let cause = cause.strip_prefix("error: ").unwrap_or(cause);
        return Err(Error::new(ExitCode::BuildFailed, cause));
    }
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let found: Vec<&Package> =
        metadata.packages.iter().filter(|package| package.id.repr == id).collect();
    if found.is_empty() {
        let root = &metadata.workspace_root;
        return Err(Error::new(
            ExitCode::BuildFailed,
            format!("package(s) `{spec}` not found in workspace `{root}`"),
        ));
    }
    Ok(found)
}

/// The package or workspace around the current folder, if there is one. Says nothing if not.
pub fn here(cargo: &Cargo<'_>) -> Option<Metadata> {
    let output = cargo.command("metadata", &args_of(cargo, &["--no-deps"])).output().ok()?;
    MetadataCommand::parse(String::from_utf8(output.stdout).ok()?.trim()).ok()
}

fn ask(
    cargo: &Cargo<'_>,
    target_directory: Option<&Path>,
    more: &[&str],
) -> Result<Workspace, Error> {
    let mut command = cargo.command("metadata", &args_of(cargo, more));
    if let Some(directory) = target_directory {
        command.env("CARGO_TARGET_DIR", directory);
    }
    let output = command.output().map_err(|error| cargo.cannot_start(&error))?;
    if !output.status.success() {
        // Shown only on failure: the build would repeat every warning.
        eprint_raw(&output.stderr);
        return Err(Error::already_shown(ExitCode::BuildFailed));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Workspace::parse(text.trim()).map_err(|error| {
        Error::new(ExitCode::Setup, "cannot read what `cargo metadata` says").why(error)
    })
}

fn args_of(cargo: &Cargo<'_>, more: &[&str]) -> Vec<OsString> {
    let fixed = ["--format-version", "1"].iter().chain(more).map(OsString::from);
    fixed.chain(cargo.common.iter().cloned()).collect()
}

fn eprint_raw(bytes: &[u8]) {
    use std::io::Write as _;
    // The same closed stderr would hide any complaint about it.
    let _ = anstream::stderr().lock().write_all(bytes);
}

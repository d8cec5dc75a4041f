//! The library that the CUDA driver loads into a program with `--gpu`: built once from the runtime's own sources, and kept.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bottleneck_runtime::sources::SOURCES;

use crate::cargo::inherited::Inherited;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::status::Status;

/// What the driver reads: a library to load before the program's first call.
pub const INJECTION: &str = "CUDA_INJECTION64_PATH";
/// What the library reads: whether the program records by itself.
pub const MODE: &str = "BOTTLENECK_INJECTION";

/// The name of the library's package, and of its file.
const PACKAGE: &str = "bottleneck-gpu";
const FILE: &str = "libbottleneck_gpu.so";
/// In every program that has the runtime in it: the variable that it looks for.
const MARK: &[u8] = b"BOTTLENECK_RUN_DIR";

/// Where the library comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpuLibrary {
    /// It is built, unless an earlier run has.
    Built,
    /// It is there.
    At(PathBuf),
}

/// Where libraries are kept: for all programs of the user, or, without a home, with the builds of this one.
pub fn cache(inherited: &Inherited, target_directory: &Path) -> PathBuf {
    let named =
        |name: &str| inherited.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let of_user = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
    of_user.unwrap_or_else(|| target_directory.to_owned()).join("cargo-bottleneck")
}

/// What a program is started with so that the driver loads the library; nothing, with a word, where another tool is loaded.
///
/// # Errors
/// If the library is not there, or cannot be built.
pub fn environment(
    library: &GpuLibrary,
    program: &Path,
    cache: &Path,
    environment: &[(OsString, OsString)],
    inherited: &Inherited,
    status: Status,
) -> Result<Vec<(OsString, OsString)>, Error> {
    let others =
        environment.iter().rev().find(|(name, _)| name == INJECTION).map(|(_, value)| value);
    if let Some(other) = others.filter(|value| !value.is_empty()) {
        status.warning(format_args!(
            "--gpu does nothing: {INJECTION} names another tool (`{}`), and the driver loads one; unset it to see what devices do",
            other.display()
        ));
        return Ok(Vec::new());
    }
    let path = match library {
        GpuLibrary::At(path) => given(path)?,
        GpuLibrary::Built => built(cache, inherited, status)?,
    };
    // A program that cannot be read is started all the same, and has its own say.
    let is_ours = fs::read(program).is_ok_and(|bytes| has(&bytes, MARK));
    let mode = if is_ours { "beside" } else { "whole" };
    Ok(vec![(INJECTION.into(), path.into_os_string()), (MODE.into(), mode.into())])
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

fn given(path: &Path) -> Result<PathBuf, Error> {
    let found = path.canonicalize();
    found.map_err(|error| {
        Error::new(ExitCode::Setup, format!("cannot use the library `{}`", path.display()))
            .why(error)
            .fix(format!(
                "name the {FILE} of this version, or leave --gpu-lib out: --gpu builds one"
            ))
    })
}

/// The library in the cache; built if it is not there.
fn built(cache: &Path, inherited: &Inherited, status: Status) -> Result<PathBuf, Error> {
    let name = format!("gpu-{}-{:016x}", env!("CARGO_PKG_VERSION"), hash_of_sources());
    let library = cache.join(&name).join(FILE);
    if library.is_file() {
        return Ok(library);
    }
    // A folder of its own: another run may build it at the same time.
    let folder = cache.join(format!("{name}-{}", std::process::id()));
    let res = build_in(&folder, &library, inherited, status);
    // Only the library is used again.
    let _ = fs::remove_dir_all(&folder);
    res.map(|()| library)
}

fn build_in(
    folder: &Path,
    library: &Path,
    inherited: &Inherited,
    status: Status,
) -> Result<(), Error> {
    status.line("Building", format_args!("the library that --gpu has the CUDA driver load, once"));
    let cannot = |error: io::Error| {
        Error::new(ExitCode::Setup, format!("cannot write to `{}`", folder.display())).why(error)
    };
    write_package(folder).map_err(cannot)?;
    let output = compile(folder, inherited)?;
    if !output.status.success() {
        return Err(not_built(&output));
    }
    // Renamed, so that it is whole or not there for whoever looks meanwhile.
    let home = library.parent().unwrap_or(folder);
    let made = folder.join("target/release").join(FILE);
    fs::create_dir_all(home).and_then(|()| fs::rename(made, library)).map_err(cannot)
}

fn hash_of_sources() -> u64 {
    let mut hasher = DefaultHasher::new();
    SOURCES.hash(&mut hasher);
    MANIFEST.hash(&mut hasher);
    hasher.finish()
}

/// Without the macros and without cudarc: what the driver tells needs neither.
const MANIFEST: &str = r#"[package]
name = "bottleneck-gpu"
version = "0.0.0"
edition = "2024"
publish = false

[workspace]

[lib]
name = "bottleneck_gpu"
crate-type = ["cdylib"]

[features]
default = ["cuda"]
cuda = []

[dependencies]
libc = "0.2"
"#;

fn write_package(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("Cargo.toml"), MANIFEST)?;
    for (path, text) in SOURCES {
        let path = folder.join("src").join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}

/// Builds it, first with what cargo has, then with what it fetches.
fn compile(folder: &Path, inherited: &Inherited) -> Result<Output, Error> {
    let cargo = inherited.get("CARGO").map_or_else(|| "cargo".into(), ToOwned::to_owned);
    let run = |flags: &[&str]| {
        let mut command: Command = inherited.command(&cargo);
        command
            .args(["build", "--release", "--quiet", "--target-dir", "target"])
            .args(flags)
            .current_dir(folder)
            .env(
                "CARGO_ENCODED_RUSTFLAGS",
                "--cfg\u{1f}bottleneck_injection\u{1f}--cap-lints\u{1f}allow",
            )
            .env_remove("CARGO_BUILD_TARGET");
        command.output().map_err(|error| {
            Error::new(ExitCode::Setup, format!("cannot start `{}`", cargo.display()))
                .why(error)
                .fix(way_out())
        })
    };
    let offline = run(&["--offline"])?;
    if offline.status.success() { Ok(offline) } else { run(&[]) }
}

fn not_built(output: &Output) -> Error {
    let said = String::from_utf8_lossy(&output.stderr);
    let first =
        said.lines().find(|line| line.starts_with("error")).unwrap_or("cargo gives no reason");
    Error::new(ExitCode::Setup, "cannot build the library that --gpu has the CUDA driver load")
        .why(first)
        .fix(way_out())
}

fn way_out() -> String {
    format!(
        "build it on another machine of this kind and name it with --gpu-lib {FILE} (package {PACKAGE})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_with_the_runtime_are_told_by_its_variable() {
        assert!(has(b"...BOTTLENECK_RUN_DIR...", MARK) && !has(b"BOTTLENECK", MARK));
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(has(&own, MARK), "this test has the runtime in it");
    }
}

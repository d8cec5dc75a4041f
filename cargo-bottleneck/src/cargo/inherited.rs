//! The environment of the user, freed of what cargo and an alias put into that of this command.
//!
//! `cargo bottleneck` comes in three ways: as a plugin (cargo adds `CARGO`), started directly, and through an alias that
//! runs this package from its checkout (`cargo run` adds the variables of *this* package and its library path). In all
//! three the programs that the command starts must see what the user's shell exported.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The search path for shared libraries.
pub const LIBRARY_PATH: &str =
    if cfg!(target_os = "macos") { "DYLD_FALLBACK_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };

/// Variables that tell a program where to record; a command inside a recorded program records on its own.
pub const RUN_DIR: &str = "BOTTLENECK_RUN_DIR";
/// The file in memory that stands in for a folder that cannot be mapped.
pub const FALLBACK_FILE: &str = "BOTTLENECK_FALLBACK_FILE";

/// Environment variables.
pub type Variables = BTreeMap<OsString, OsString>;

/// The environment of the user.
#[derive(Clone, Debug, Default)]
pub struct Inherited {
    variables: Variables,
}

impl Inherited {
    /// Reads the environment of this process.
    pub fn from_process() -> Self {
        Self::from_variables(env::vars_os().collect(), env::current_exe().ok().as_deref())
    }

    /// Frees `variables` of what `cargo run` adds for this package, if `executable` was started that way.
    pub fn from_variables(mut variables: Variables, executable: Option<&Path>) -> Self {
        variables.remove(OsStr::new(RUN_DIR));
        variables.remove(OsStr::new(FALLBACK_FILE));
        let is_alias = variables
            .get(OsStr::new("CARGO_PKG_NAME"))
            .is_some_and(|name| name == "cargo-bottleneck");
        if is_alias {
            variables.retain(|name, _| !is_set_for_a_package(name));
            if let Some(output) = executable.and_then(Path::parent) {
                strip_library_path(&mut variables, output);
            }
        }
        Self { variables }
    }

    /// One variable.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// All variables.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// A command with exactly this environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.variables);
        command
    }

    /// The environment for a program that was not built by cargo: without what cargo and rustup add for a plugin.
    ///
    /// `CARGO_HOME` and `RUSTUP_*` stay: whether the user has set them cannot be told, and they change no program but
    /// cargo itself.
    pub fn for_foreign_program(&self) -> Variables {
        let mut variables = self.variables.clone();
        let toolchain =
            self.get("RUSTUP_HOME").zip(self.get("RUSTUP_TOOLCHAIN")).map(|(home, toolchain)| {
                Path::new(home).join("toolchains").join(toolchain).join("lib")
            });
        if let Some(libraries) = toolchain {
            retain_library_paths(&mut variables, |path| *path != libraries);
        }
        variables.remove(OsStr::new("CARGO"));
        variables.remove(OsStr::new("RUST_RECURSION_COUNT"));
        variables
    }
}

/// Whether cargo sets this variable for every program of a package.
fn is_set_for_a_package(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || matches!(&*name, "CARGO_MANIFEST_DIR" | "CARGO_MANIFEST_PATH")
}

/// Removes what `cargo run` has put in front of the library path: folders below `output`, where this executable lies,
/// then one of the toolchain.
fn strip_library_path(variables: &mut Variables, output: &Path) {
    let mut is_front = true;
    retain_library_paths(variables, |path| {
        let is_ours = is_front && path.starts_with(output);
        let is_toolchain =
            is_front && !is_ours && path.ends_with("lib") && has_component(path, "rustlib");
        is_front &= is_ours;
        !is_ours && !is_toolchain
    });
}

/// Keeps some entries of the library path. Without any left the variable goes too: cargo sets it where it was not.
fn retain_library_paths(variables: &mut Variables, keep: impl FnMut(&PathBuf) -> bool) {
    let Some(old) = variables.get(OsStr::new(LIBRARY_PATH)) else {
        return;
    };
    let before: Vec<PathBuf> = env::split_paths(old).collect();
    let n = before.len();
    let after: Vec<PathBuf> = before
        .into_iter()
        .filter({
            let mut keep = keep;
            move |path| keep(path)
        })
        .collect();
    if after.len() == n {
        return;
    }
    match env::join_paths(&after) {
        Ok(joined) if !after.is_empty() => variables.insert(LIBRARY_PATH.into(), joined),
        _ => variables.remove(OsStr::new(LIBRARY_PATH)),
    };
}

fn has_component(path: &Path, name: &str) -> bool {
    path.components().any(|component| component.as_os_str() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXECUTABLE: &str = "/w/target/debug/cargo-bottleneck";
    const SYSROOT: &str = "/rust/toolchains/stable/lib/rustlib/x86_64-unknown-linux-gnu/lib";

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn inherited(pairs: &[(&str, &str)]) -> Inherited {
        Inherited::from_variables(variables(pairs), Some(Path::new(EXECUTABLE)))
    }

    #[test]
    fn an_alias_leaks_nothing() {
        let path = format!("/w/target/debug:/w/target/debug/deps:{SYSROOT}:/opt/cuda/lib");
        let inherited = inherited(&[
            ("CARGO_PKG_NAME", "cargo-bottleneck"),
            ("CARGO_PKG_VERSION", "0.1.0"),
            ("CARGO_MANIFEST_DIR", "/w/cargo-bottleneck"),
            ("CARGO_HOME", "/home/x/.cargo"),
            ("LD_LIBRARY_PATH", &path),
        ]);
        let expected =
            variables(&[("CARGO_HOME", "/home/x/.cargo"), ("LD_LIBRARY_PATH", "/opt/cuda/lib")]);
        assert_eq!(inherited.variables(), &expected);
    }

    #[test]
    fn a_library_path_that_the_alias_made_goes_away() {
        let path = format!("/w/target/debug:/w/target/debug/deps:{SYSROOT}");
        let inherited =
            inherited(&[("CARGO_PKG_NAME", "cargo-bottleneck"), ("LD_LIBRARY_PATH", &path)]);
        assert_eq!(inherited.get("LD_LIBRARY_PATH"), None);
    }

    #[test]
    fn the_package_of_somebody_else_is_left_alone() {
        let pairs = [("CARGO_PKG_NAME", "server"), ("LD_LIBRARY_PATH", "/w/target/debug:/opt")];
        assert_eq!(inherited(&pairs).variables(), &variables(&pairs));
    }

    #[test]
    fn an_outer_recording_is_not_continued() {
        assert!(
            inherited(&[(RUN_DIR, "/x"), (FALLBACK_FILE, "/proc/1/fd/3")]).variables().is_empty()
        );
    }

    #[test]
    fn a_foreign_program_does_not_see_the_plugin() {
        let inherited = inherited(&[
            ("CARGO", "/rust/toolchains/stable/bin/cargo"),
            ("RUSTUP_HOME", "/rust"),
            ("RUSTUP_TOOLCHAIN", "stable"),
            ("RUST_RECURSION_COUNT", "1"),
            ("LD_LIBRARY_PATH", "/rust/toolchains/stable/lib:/opt"),
        ]);
        let expected = variables(&[
            ("LD_LIBRARY_PATH", "/opt"),
            ("RUSTUP_HOME", "/rust"),
            ("RUSTUP_TOOLCHAIN", "stable"),
        ]);
        assert_eq!(inherited.for_foreign_program(), expected);
    }
}

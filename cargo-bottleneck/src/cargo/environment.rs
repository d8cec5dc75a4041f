//! The environment, the folder and the name under which `cargo run` (or `cargo test`) starts a program.
//!
//! Rebuilt rather than obtained, because the program must be a child of this command; a test compares it with cargo's,
//! variable by variable.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use cargo_metadata::{Artifact, BuildScript, Metadata, Package};

use crate::cargo::config::EnvEntry;
use crate::cargo::inherited::{LIBRARY_PATH, Variables};

/// What decides the environment of a program that cargo has built.
#[derive(Clone, Copy, Debug)]
pub struct TargetEnvironment<'a> {
    /// The cargo that built it.
    pub cargo: &'a OsStr,
    /// Its package.
    pub package: &'a Package,
    /// The package's `rust-version` as it is written in the manifest.
    pub rust_version: Option<&'a str>,
    /// Whether it is an integration test or a benchmark, which find the binaries of their package.
    pub finds_binaries: bool,
    /// Where its profile's output lies.
    pub output: &'a Output,
    /// Every build script of the build.
    pub scripts: &'a [BuildScript],
    /// Every executable of the build.
    pub executables: &'a [Artifact],
    /// Folder of the standard library's shared objects.
    pub library_directory: &'a Path,
    /// `[env]` of cargo's configuration.
    pub configured: &'a [EnvEntry],
}

/// The two folders of one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// `target/<profile>`, where the results lie.
    pub root: PathBuf,
    /// `<build directory>/<profile>/deps`, where shared libraries of dependencies lie.
    pub dependencies: PathBuf,
}

impl Output {
    /// Derives the folders from the path of an executable.
    pub fn of(executable: &Path, metadata: &Metadata) -> Self {
        let parent = executable.parent().unwrap_or(executable);
        let is_nested = parent.ends_with("examples") || parent.ends_with("deps");
        let root = if is_nested { parent.parent().unwrap_or(parent) } else { parent };
        let target = metadata.target_directory.as_std_path();
        let build =
            metadata.build_directory.as_ref().map_or(target, |directory| directory.as_std_path());
        // With a build directory apart, programs lie in one tree, tests and dependencies in the other.
        let profile = root.strip_prefix(target).or_else(|_| root.strip_prefix(build));
        match profile {
            Ok(profile) => {
                Self { root: target.join(profile), dependencies: build.join(profile).join("deps") }
            }
            Err(_) => Self { root: root.to_owned(), dependencies: root.join("deps") },
        }
    }
}

impl TargetEnvironment<'_> {
    /// The whole environment, on top of that of the user.
    pub fn on_top_of(&self, user: &Variables) -> Variables {
        let mut ours = Variables::new();
        ours.insert(LIBRARY_PATH.into(), self.library_path(user.get(OsStr::new(LIBRARY_PATH))));
        let own_scripts = self.scripts.iter().filter(|script| script.package_id == self.package.id);
        for script in own_scripts {
            ours.extend(script.env.iter().map(|(name, value)| (name.into(), value.into())));
            ours.insert("OUT_DIR".into(), script.out_dir.as_os_str().to_owned());
        }
        ours.insert("CARGO".into(), self.cargo.to_owned());
        ours.extend(self.package_variables());
        if self.finds_binaries {
            ours.extend(self.binaries());
        }
        for entry in self.configured {
            let name = OsString::from(&entry.name);
            if !ours.contains_key(&name) && (entry.force || !user.contains_key(&name)) {
                ours.insert(name, entry.value.clone());
            }
        }
        let mut all = user.clone();
        all.append(&mut ours);
        all
    }

    fn library_path(&self, of_user: Option<&OsString>) -> OsString {
        // Cargo sorts them with their kind in front (`native=`), keeps those that it built itself, then drops the kind.
        let mut native: Vec<&Path> = self
            .scripts
            .iter()
            .flat_map(|script| &script.linked_paths)
            .map(|path| path.as_std_path())
            .collect();
        native.sort_unstable();
        native.dedup();
        let native =
            native.into_iter().map(without_kind).filter(|path| path.starts_with(&self.output.root));
        let mut paths: Vec<PathBuf> = native.collect();
        paths.push(self.output.root.clone());
        paths.push(self.output.dependencies.clone());
        paths.push(self.library_directory.to_owned());
        let inherited: Vec<PathBuf> =
            of_user.map(|value| env::split_paths(value).collect()).unwrap_or_default();
        // Cargo inside cargo does not make the path longer every time.
        if inherited.starts_with(&paths) {
            paths = inherited;
        } else {
            paths.extend(inherited);
        }
        // Cargo refuses to build in a folder whose name cannot be in a path list, so this joins.
        env::join_paths(paths).unwrap_or_default()
    }

    fn package_variables(&self) -> Vec<(OsString, OsString)> {
        let package = self.package;
        let version = &package.version;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let path = |value: &Option<cargo_metadata::camino::Utf8PathBuf>| {
            value.as_ref().map(ToString::to_string).unwrap_or_default()
        };
        let folder = package.manifest_path.parent().map(ToString::to_string).unwrap_or_default();
        [
            ("CARGO_MANIFEST_DIR", folder),
            ("CARGO_MANIFEST_PATH", package.manifest_path.to_string()),
            ("CARGO_PKG_VERSION_MAJOR", version.major.to_string()),
            ("CARGO_PKG_VERSION_MINOR", version.minor.to_string()),
            ("CARGO_PKG_VERSION_PATCH", version.patch.to_string()),
            ("CARGO_PKG_VERSION_PRE", version.pre.to_string()),
            ("CARGO_PKG_VERSION", version.to_string()),
            ("CARGO_PKG_NAME", package.name.to_string()),
            ("CARGO_PKG_DESCRIPTION", text(&package.description)),
            ("CARGO_PKG_HOMEPAGE", text(&package.homepage)),
            ("CARGO_PKG_REPOSITORY", text(&package.repository)),
            ("CARGO_PKG_LICENSE", text(&package.license)),
            ("CARGO_PKG_LICENSE_FILE", path(&package.license_file)),
            ("CARGO_PKG_AUTHORS", package.authors.join(":")),
            ("CARGO_PKG_RUST_VERSION", self.rust_version.unwrap_or_default().to_owned()),
            ("CARGO_PKG_README", path(&package.readme)),
        ]
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
    }

    /// `CARGO_BIN_EXE_<name>`: tests find the binaries of their package by it.
    fn binaries(&self) -> impl Iterator<Item = (OsString, OsString)> {
        let is_own = |artifact: &&Artifact| {
            // The unit tests of a binary are an executable of the same target.
            artifact.package_id == self.package.id
                && artifact.target.is_bin()
                && !artifact.profile.test
        };
        self.executables.iter().filter(is_own).filter_map(|artifact| {
            let path = artifact.executable.as_ref()?;
            Some((
                format!("CARGO_BIN_EXE_{}", artifact.target.name).into(),
                path.as_os_str().to_owned(),
            ))
        })
    }
}

/// The name under which `cargo run` starts an executable: relative to the current folder if it lies below it.
pub fn program_name(executable: &Path, current: &Path) -> PathBuf {
    match executable.strip_prefix(current) {
        // Without a slash it would be looked for in `PATH`.
        Ok(relative) if relative.file_name() == Some(relative.as_os_str()) => {
            Path::new(".").join(relative)
        }
        Ok(relative) => relative.to_owned(),
        Err(_) => executable.to_owned(),
    }
}

fn without_kind(path: &Path) -> PathBuf {
    match path.to_str().and_then(|text| text.split_once('=')) {
        Some(("native" | "crate" | "dependency" | "framework" | "all", path)) => path.into(),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::metadata::{Workspace, default_packages};
    use crate::cargo::sample::{artifact, build_script, workspace};

    const SYSROOT: &str = "/rust/lib/rustlib/x/lib";

    /// The environment of `server`, built in `/w/target/bottleneck`, on top of `user`.
    fn environment(
        finds_binaries: bool,
        user: &[(&str, &str)],
        configured: &[EnvEntry],
    ) -> Variables {
        let workspace = workspace(None, "/w/target");
        let package = default_packages(&workspace.metadata)[0];
        let executables = [
            artifact("server", "bin", "admin", Some("/w/target/bottleneck/admin")),
            artifact("tool", "bin", "tool", Some("/w/target/bottleneck/tool")),
        ];
        let built = "/w/target/bottleneck/build/server/out";
        let scripts = [
            build_script(
                "server",
                &[&format!("{built}/z"), &format!("native={built}/a")],
                &[("FROM_SCRIPT", "1")],
            ),
            build_script(
                "tool",
                &["native=/opt/lib", &format!("all={built}/m")],
                &[("FROM_OTHER", "1")],
            ),
        ];
        let user: Variables =
            user.iter().map(|(name, value)| (name.into(), value.into())).collect();
        TargetEnvironment {
            cargo: OsStr::new("/rust/bin/cargo"),
            package,
            rust_version: workspace.rust_version(package),
            finds_binaries,
            output: &Output::of(Path::new("/w/target/bottleneck/server"), &workspace.metadata),
            scripts: &scripts,
            executables: &executables,
            library_directory: Path::new(SYSROOT),
            configured,
        }
        .on_top_of(&user)
    }

    #[track_caller]
    fn check(variables: &Variables, name: &str, expected: Option<&str>) {
        assert_eq!(
            variables.get(OsStr::new(name)).map(|value| value.to_string_lossy()),
            expected.map(Into::into)
        );
    }

    #[test]
    fn the_package_describes_itself() {
        let variables = environment(false, &[("CARGO_PKG_NAME", "outer"), ("HOME", "/h")], &[]);
        for (name, expected) in [
            ("CARGO", "/rust/bin/cargo"),
            ("CARGO_MANIFEST_DIR", "/w/server"),
            ("CARGO_MANIFEST_PATH", "/w/server/Cargo.toml"),
            ("CARGO_PKG_AUTHORS", "A <a@example.org>:B"),
            ("CARGO_PKG_HOMEPAGE", ""),
            ("CARGO_PKG_NAME", "server"),
            ("CARGO_PKG_README", "README.md"),
            // As written, not as the version that it means.
            ("CARGO_PKG_RUST_VERSION", "1.85"),
            ("CARGO_PKG_VERSION", "1.2.3-beta.4"),
            ("CARGO_PKG_VERSION_PRE", "beta.4"),
            ("HOME", "/h"),
        ] {
            check(&variables, name, Some(expected));
        }
    }

    #[test]
    fn build_scripts_of_the_package_set_variables() {
        let variables = environment(false, &[], &[]);
        check(&variables, "FROM_SCRIPT", Some("1"));
        check(&variables, "OUT_DIR", Some("/w/target/bottleneck/build/server/out"));
        check(&variables, "FROM_OTHER", None);
    }

    #[test]
    fn the_library_path_is_in_the_order_of_cargo() {
        let out = "/w/target/bottleneck/build/server/out";
        let ours = format!(
            "{out}/z:{out}/m:{out}/a:/w/target/bottleneck:/w/target/bottleneck/deps:{SYSROOT}"
        );
        check(&environment(false, &[], &[]), LIBRARY_PATH, Some(&ours));
        let longer = format!("{ours}:/user");
        check(&environment(false, &[(LIBRARY_PATH, "/user")], &[]), LIBRARY_PATH, Some(&longer));
        // Inside another cargo it does not grow.
        check(&environment(false, &[(LIBRARY_PATH, &longer)], &[]), LIBRARY_PATH, Some(&longer));
    }

    #[test]
    fn tests_find_the_binaries_of_their_package() {
        let variables = environment(true, &[], &[]);
        check(&variables, "CARGO_BIN_EXE_admin", Some("/w/target/bottleneck/admin"));
        check(&variables, "CARGO_BIN_EXE_tool", None);
        check(&environment(false, &[], &[]), "CARGO_BIN_EXE_admin", None);
    }

    #[test]
    fn the_configuration_comes_after_cargo_and_after_the_user_unless_forced() {
        let entry =
            |name: &str, force| EnvEntry { name: name.to_owned(), value: "config".into(), force };
        let entries = [
            entry("NEW", false),
            entry("HOME", false),
            entry("LANG", true),
            entry("CARGO_PKG_NAME", true),
        ];
        let variables = environment(false, &[("HOME", "/h"), ("LANG", "C")], &entries);
        check(&variables, "NEW", Some("config"));
        check(&variables, "HOME", Some("/h"));
        check(&variables, "LANG", Some("config"));
        check(&variables, "CARGO_PKG_NAME", Some("server"));
    }

    #[test]
    fn the_folders_of_a_profile_are_derived_from_any_executable() {
        let output =
            |workspace: &Workspace, path: &str| Output::of(Path::new(path), &workspace.metadata);
        let plain = workspace(None, "/w/target");
        let expected = Output {
            root: "/w/target/x/debug".into(),
            dependencies: "/w/target/x/debug/deps".into(),
        };
        for path in ["prog", "examples/prog", "deps/prog-1"] {
            assert_eq!(output(&plain, &format!("/w/target/x/debug/{path}")), expected);
        }
        let apart = workspace(None, "/w/build");
        let expected =
            Output { root: "/w/target/debug".into(), dependencies: "/w/build/debug/deps".into() };
        assert_eq!(output(&apart, "/w/target/debug/prog"), expected);
        assert_eq!(output(&apart, "/w/build/debug/deps/prog-1"), expected);
    }

    #[test]
    fn a_program_is_named_relative_to_where_it_is_started() {
        for (current, expected) in
            [("/w", "target/debug/p"), ("/w/target/debug", "./p"), ("/w/src", "/w/target/debug/p")]
        {
            assert_eq!(
                program_name(Path::new("/w/target/debug/p"), Path::new(current)),
                Path::new(expected)
            );
        }
    }
}

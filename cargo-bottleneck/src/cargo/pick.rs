//! Which program is meant: the rules, and the words, of `cargo run`.

use cargo_metadata::{Artifact, Package, Target, TargetKind};

use crate::cargo::build::Build;
use crate::error::Error;
use crate::exit_code::ExitCode;

/// The kinds of targets that can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunKind {
    /// `--bin`
    Bin,
    /// `--example`
    Example,
    /// `--test`
    Test,
    /// `--bench`
    Bench,
}

impl RunKind {
    /// The flag that selects it.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Bin => "--bin",
            Self::Example => "--example",
            Self::Test => "--test",
            Self::Bench => "--bench",
        }
    }

    /// Whether cargo runs it as a test: in the folder of its package, under its absolute path.
    pub fn runs_as_test(self) -> bool {
        matches!(self, Self::Test | Self::Bench)
    }

    fn target_kind(self) -> TargetKind {
        match self {
            Self::Bin => TargetKind::Bin,
            Self::Example => TargetKind::Example,
            Self::Test => TargetKind::Test,
            Self::Bench => TargetKind::Bench,
        }
    }
}

/// The package that has this target, if exactly one does.
pub fn owner<'a>(
    packages: &[&'a Package],
    kind: RunKind,
    name: Option<&str>,
) -> Option<&'a Package> {
    let (kind, name) = (kind.target_kind(), name?);
    let mut owners = packages.iter().filter(|package| {
        package.targets.iter().any(|target| target.kind.contains(&kind) && target.name == name)
    });
    owners.next().filter(|_| owners.next().is_none()).copied()
}

/// The binary that `cargo run` takes when the user names no target.
///
/// # Errors
/// If there is none, or several and no `default-run`, in cargo's words.
pub fn default_binary<'a>(
    packages: &[&'a Package],
    args: &[std::ffi::OsString],
) -> Result<&'a str, Error> {
    let default_runs: Vec<&str> =
        packages.iter().filter_map(|package| package.default_run.as_deref()).collect();
    if let [name] = default_runs[..] {
        return Ok(name);
    }
    let mut names: Vec<&str> =
        targets_of(packages, &TargetKind::Bin).map(|target| target.name.as_str()).collect();
    names.sort_unstable();
    match names[..] {
        [name] => Ok(name),
        [] => {
            let error =
                failed("a bin target must be available for `cargo bottleneck run`".to_owned());
            let examples: Vec<String> = targets_of(packages, &TargetKind::Example)
                .map(|target| format!("--example {}", target.name))
                .collect();
            Err(if examples.is_empty() {
                error
            } else {
                error.fix(format!("run an example: {}", examples.join(", ")))
            })
        }
        [..] => {
            let error = failed(format!(
                "`cargo bottleneck run` could not determine which binary to run. Use the `--bin` option to specify a \
                 binary, or the `default-run` manifest key.\navailable binaries: {}",
                names.join(", ")
            ));
            // Users of other profilers write `-- /path/to/program`, which means arguments here.
            let program = args.first().filter(|arg| std::path::Path::new(arg).is_file());
            Err(match program {
                Some(program) => {
                    let program = program.display();
                    error
                        .fix(format!("to run a program that is already built: --exec -- {program}"))
                }
                None => error,
            })
        }
    }
}

/// The artifact that was asked for, among all that a build gave: of the kind, of one of the packages, and of the name
/// if there is one. A build of a test gives the binaries of its package too, so the first executable may be another.
///
/// # Errors
/// If there is none, several, or one that is a library.
pub fn executable<'a>(
    build: &'a Build,
    packages: &[&Package],
    kind: RunKind,
    name: Option<&str>,
) -> Result<&'a Artifact, Error> {
    let is_wanted = |artifact: &&Artifact| {
        artifact.target.kind.contains(&kind.target_kind())
            && packages.iter().any(|package| package.id == artifact.package_id)
    };
    let mut found: Vec<&Artifact> = build.executables.iter().filter(is_wanted).collect();
    if let Some(name) = name.filter(|_| 1 < found.len()) {
        found.retain(|artifact| artifact.target.name == name);
    }
    match found[..] {
        [artifact] => Ok(artifact),
        [] => match build.libraries.iter().find(|library| is_wanted(library)) {
            Some(library) => Err(failed(format!(
                "example target `{}` is a library and cannot be executed",
                library.target.name
            ))),
            None => Err(failed(format!("cargo built no executable for `{}`", kind.flag()))),
        },
        [..] => Err(several()),
    }
}

/// Cargo's refusal of more than one target.
pub fn several() -> Error {
    failed(
        "`cargo bottleneck run` can run at most one executable, but multiple were specified"
            .to_owned(),
    )
}

fn targets_of<'a>(
    packages: &[&'a Package],
    kind: &'a TargetKind,
) -> impl Iterator<Item = &'a Target> {
    packages
        .iter()
        .flat_map(|package| &package.targets)
        .filter(|target| target.kind.contains(kind))
        .collect::<Vec<_>>()
        .into_iter()
}

fn failed(what: String) -> Error {
    Error::new(ExitCode::BuildFailed, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::metadata::default_packages;
    use crate::cargo::sample::{artifact, workspace};

    fn build() -> Build {
        let executables = vec![
            artifact("server", "bin", "admin", Some("/w/target/debug/admin")),
            artifact("server", "bin", "server", Some("/w/target/debug/server")),
            artifact("tool", "bin", "tool", Some("/w/target/debug/tool")),
            artifact("server", "test", "smoke", Some("/w/target/debug/deps/smoke-1")),
        ];
        Build {
            executables,
            libraries: vec![artifact("server", "example", "demo", None)],
            scripts: Vec::new(),
        }
    }

    #[track_caller]
    fn check(kind: RunKind, name: Option<&str>, expected: Result<&str, &str>) {
        let (workspace, build) = (workspace(None, "/w/target"), build());
        let packages = default_packages(&workspace.metadata);
        let found = executable(&build, &packages, kind, name).map_err(|error| error.to_string());
        let found = found.map(|artifact| artifact.target.name.as_str());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn a_test_is_found_among_the_binaries_that_were_built_with_it() {
        check(RunKind::Test, Some("smoke"), Ok("smoke"));
        check(RunKind::Test, None, Ok("smoke"));
    }

    #[test]
    fn a_name_decides_between_binaries() {
        check(RunKind::Bin, Some("server"), Ok("server"));
        let several =
            "`cargo bottleneck run` can run at most one executable, but multiple were specified";
        check(RunKind::Bin, None, Err(several));
    }

    #[test]
    fn what_cannot_be_run_is_said() {
        check(
            RunKind::Example,
            Some("demo"),
            Err("example target `demo` is a library and cannot be executed"),
        );
        check(RunKind::Bench, Some("x"), Err("cargo built no executable for `--bench`"));
    }

    #[test]
    fn other_packages_do_not_count() {
        let (workspace, build) = (workspace(None, "/w/target"), build());
        let packages = default_packages(&workspace.metadata);
        let tool = executable(&build, &packages[1..], RunKind::Bin, None).unwrap();
        assert_eq!(tool.target.name, "tool");
    }

    #[test]
    fn one_default_run_decides() {
        let workspace = workspace(Some("server"), "/w/target");
        assert_eq!(default_binary(&default_packages(&workspace.metadata), &[]).unwrap(), "server");
    }

    #[test]
    fn the_only_binary_needs_no_name() {
        let workspace = workspace(None, "/w/target");
        assert_eq!(
            default_binary(&default_packages(&workspace.metadata)[1..], &[]).unwrap(),
            "tool"
        );
    }

    #[test]
    fn several_binaries_are_listed_in_order() {
        let workspace = workspace(None, "/w/target");
        let error = default_binary(&default_packages(&workspace.metadata), &[]).unwrap_err();
        assert!(
            error.to_string().ends_with("\navailable binaries: admin, server, tool"),
            "{error}"
        );
    }
}

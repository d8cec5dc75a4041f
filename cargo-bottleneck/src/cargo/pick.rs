//! Which program is meant: the rules, and the words, of `cargo run`; and of several tests the one to run.

use std::collections::BTreeSet;

use cargo_metadata::{Artifact, Package, Target, TargetKind};

use crate::cargo::build::Build;
use crate::error::Error;
use crate::exit_code::ExitCode;

/// The subcommand of cargo that would run the program: what it builds, and how it starts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CargoCommand {
    /// `cargo run`: a binary or an example, in the current folder, under the path from there.
    #[default]
    Run,
    /// `cargo test`: a test executable, in the folder of its package, under its absolute path.
    Test,
    /// `cargo bench`: the same, told to measure.
    Bench,
}

impl CargoCommand {
    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Test => "test",
            Self::Bench => "bench",
        }
    }
}

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

    fn target_kind(self) -> TargetKind {
        match self {
            Self::Bin => TargetKind::Bin,
            Self::Example => TargetKind::Example,
            Self::Test => TargetKind::Test,
            Self::Bench => TargetKind::Bench,
        }
    }

    /// `None` for a library.
    fn of(target: &Target) -> Option<Self> {
        [Self::Bin, Self::Example, Self::Test, Self::Bench]
            .into_iter()
            .find(|kind| target.kind.contains(&kind.target_kind()))
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
        [..] => {
            let flag = (kind, name.map(str::to_owned));
            Err(several(packages, &[flag]))
        }
    }
}

/// Cargo's refusal of more than one target, with those that were meant. Flags select by kind, and by name if there is one.
pub fn several(packages: &[&Package], flags: &[(RunKind, Option<String>)]) -> Error {
    let lines: Vec<String> = selected(packages, flags)
        .into_iter()
        .map(|(package, kind, name)| {
            let word = kind.flag().trim_start_matches('-');
            format!("    {word} `{name}` in package `{}`", package.name)
        })
        .collect();
    failed(format!(
        "`cargo bottleneck run` can run at most one executable, but multiple were specified\n\
         help: available targets:\n{}",
        lines.join("\n")
    ))
}

/// Each target of the packages that one of the flags selects, in cargo's order.
pub fn selected<'a>(
    packages: &[&'a Package],
    flags: &[(RunKind, Option<String>)],
) -> Vec<(&'a Package, RunKind, &'a str)> {
    let is_meant = |kind: RunKind, name: &str| {
        flags.iter().any(|(of_flag, named)| {
            *of_flag == kind && named.as_ref().is_none_or(|named| named == name)
        })
    };
    let targets = packages.iter().flat_map(|&package| {
        package
            .targets
            .iter()
            .filter_map(move |target| Some((package, RunKind::of(target)?, &*target.name)))
    });
    targets.filter(|&(_, kind, name)| is_meant(kind, name)).collect()
}

/// The executables that `cargo test` or `cargo bench` would run, in cargo's order of targets.
pub fn test_executables(build: &Build) -> Vec<&Artifact> {
    let mut found: Vec<&Artifact> =
        build.executables.iter().filter(|artifact| artifact.profile.test).collect();
    let place = |artifact: &Artifact| RunKind::of(&artifact.target).map(|kind| kind as u8);
    found.sort_by_key(|artifact| {
        (artifact.package_id.clone(), place(artifact), artifact.target.name.clone())
    });
    found
}

/// The flags that select each of these executables alone, to be pasted behind the command.
pub fn selectors(artifacts: &[&Artifact], packages: &[Package]) -> Vec<String> {
    let several = artifacts.iter().map(|artifact| &artifact.package_id).collect::<BTreeSet<_>>();
    let flags = |artifact: &&Artifact| {
        let target = match RunKind::of(&artifact.target) {
            Some(kind) => format!("{} {}", kind.flag(), artifact.target.name),
            None => "--lib".to_owned(),
        };
        let package = packages.iter().find(|package| package.id == artifact.package_id);
        match package.filter(|_| 1 < several.len()) {
            Some(package) => format!("-p {} {target}", package.name),
            None => target,
        }
    };
    artifacts.iter().map(flags).collect()
}

/// Cargo would run these one after the other; a report is about one.
pub fn choose_one(command: CargoCommand, selectors: &[String]) -> Error {
    let what = format!(
        "`cargo bottleneck {}` runs one executable, but {} have something to run",
        command.name(),
        selectors.len()
    );
    failed(what)
        .why("a report is about one program")
        .fix(format!("add one of these:\n{}", selectors.join("\n")))
}

/// Nothing of what was built is a test.
pub fn nothing_to_run(command: CargoCommand) -> Error {
    let what = format!("nothing to run for `cargo bottleneck {}`", command.name());
    failed(what)
        .why("no selected target is built as a test")
        .fix(format!("see what there is: cargo {} -- --list", command.name()))
}

/// No test has that name. `name` is what the user gave, if anything.
pub fn no_match(command: CargoCommand, name: Option<&str>, selectors: &[String]) -> Error {
    let of_name = name.map(|name| format!(" matches `{name}`"));
    let what = match command {
        CargoCommand::Bench => "benchmark",
        CargoCommand::Run | CargoCommand::Test => "test",
    };
    failed(format!("no {what}{}", of_name.unwrap_or_else(|| " to run".to_owned())))
        .why(format!("these were asked: {}", selectors.join(", ")))
        .fix(format!("see what there is: cargo {} -- --list", command.name()))
}

/// Cargo's refusal of a pattern where one target is meant.
pub fn no_patterns() -> Error {
    failed("`cargo bottleneck run` does not support glob patterns on target selection".to_owned())
}

/// Cargo's refusal of several platforms.
pub fn several_platforms() -> Error {
    failed("only one `--target` argument is supported".to_owned())
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
        let several = "`cargo bottleneck run` can run at most one executable, but multiple were specified\n\
                       help: available targets:\n    bin `admin` in package `server`\n    \
                       bin `server` in package `server`\n    bin `tool` in package `tool`";
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

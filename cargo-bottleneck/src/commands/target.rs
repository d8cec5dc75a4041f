//! From the user's flags to a program that can be started: ask cargo, build, pick, rebuild the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, Package};

use crate::cargo::Cargo;
use crate::cargo::build::build;
use crate::cargo::config::Config;
use crate::cargo::inherited::Inherited;
use crate::cargo::metadata::{self, Workspace};
use crate::cargo::pick::{self, CargoCommand, RunKind};
use crate::cargo::start::{self, Starter};
use crate::cargo::toolchain::cargo_program;
use crate::commands::candidates;
use crate::commands::profile::{self, Profile};
use crate::commands::settings::{self, Settings, Table};
use crate::error::Error;
use crate::launch::Launch;
use crate::status::Status;

/// What to build, as the user said it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// The subcommand of cargo that would run it.
    pub command: CargoCommand,
    /// Of `run`: `--bin NAME` and its like; no name means that cargo shall list them.
    pub targets: Vec<(RunKind, Option<String>)>,
    /// Of `run`: `-p SPEC`; no spec means that cargo shall list the packages.
    pub package: Option<Option<String>>,
    /// Of `test` and `bench`: flags that select packages and targets, for cargo.
    pub selection: Vec<OsString>,
    /// Of `test` and `bench`: whether the first argument is the name of a test.
    pub has_test_name: bool,
    /// Which profile.
    pub profile: Profile,
    /// `--target TRIPLE`, each also among the flags of the build.
    pub triples: Vec<String>,
    /// `--target-dir DIR`
    pub target_directory: Option<PathBuf>,
    /// Flags that only a build understands.
    pub build_flags: Vec<OsString>,
    /// Flags that every call of cargo must have to see the same workspace.
    pub common_flags: Vec<OsString>,
    /// `--config` flags, with the word before each.
    pub config_flags: Vec<OsString>,
}

impl BuildOptions {
    /// Whether `--package` or `--target` stands without its value, for which cargo has an error with a list.
    fn lacks_a_value(&self) -> bool {
        matches!(self.package, Some(None)) || self.triples.iter().any(String::is_empty)
    }
}

/// A program that is ready to be started.
#[derive(Debug)]
pub struct Runnable {
    /// Its name in reports.
    pub name: String,
    /// How to start it.
    pub launch: Launch,
    /// What to say when it is started, in cargo's words.
    pub description: String,
    /// Where cargo puts what it builds.
    pub target_directory: PathBuf,
    /// What is set for its recording and its report, wherever that is.
    pub settings: Settings,
    /// Whether the build has line numbers, if this command built it.
    pub has_line_numbers: Option<bool>,
    /// Whether the build was optimized, if this command built it.
    pub is_optimized: Option<bool>,
}

/// Builds the target that the user means.
///
/// # Errors
/// If cargo cannot tell which, or cannot build it.
pub fn built(
    options: &BuildOptions,
    args: &[OsString],
    settings: &Settings,
    inherited: &Inherited,
    config: &Config,
    status: Status,
) -> Result<Runnable, Error> {
    let common = options.common_flags.iter().chain(&options.config_flags).cloned().collect();
    let cargo = Cargo { program: cargo_program(inherited), common, inherited, status };
    let command = options.command;
    let triple = triple_of(options, config, inherited)?;
    let target_directory = options.target_directory.as_deref();
    let mut workspace = metadata::load(&cargo, target_directory)?;
    let run = match command {
        CargoCommand::Run => {
            let packages = packages_of(&cargo, &workspace, options)?;
            Some((target_of_run(options, &packages, args)?, packages))
        }
        CargoCommand::Test | CargoCommand::Bench => None,
    };
    let package = match &run {
        Some(((kind, name), packages)) => pick::owner(packages, *kind, name.as_deref()),
        None => package_of_tests(options, &workspace),
    };
    let tables = tables_of(&workspace.metadata, package);
    let settings = settings::layered(&with_profile(settings, options), inherited, &tables, status)?;
    let options =
        &BuildOptions { profile: settings.profile.clone().unwrap_or_default(), ..options.clone() };

    let build_with = |flags: Vec<OsString>| {
        let profile = options.profile.flags(command, config, &workspace, status);
        let more = [common_build_flags(options), flags_against_quiet(config, inherited, status)];
        build(&cargo, command, &[flags, profile, more.concat()].concat())
    };
    let (build, wanted) = if let Some(((kind, name), packages)) = run {
        let build = build_with(flags_of_run(options, kind, name.as_deref()))?;
        let artifact = pick::executable(&build, &packages, kind, name.as_deref())?.clone();
        (build, vec![artifact])
    } else {
        let build = build_with(options.selection.clone())?;
        let wanted = pick::test_executables(&build).into_iter().cloned().collect();
        (build, wanted)
    };
    let is_listed = |artifact: &cargo_metadata::Artifact| {
        workspace.metadata.packages.iter().any(|package| package.id == artifact.package_id)
    };
    if !wanted.iter().all(is_listed) {
        // `cargo test -p` takes packages that are no members too.
        workspace = metadata::load_with_dependencies(&cargo, target_directory)?;
    }
    let starter =
        Starter::new(&cargo, command, config, &workspace, &build, triple.as_deref(), status)?;
    let wanted: Vec<_> = wanted.iter().collect();
    let artifact =
        candidates::choose(&starter, options, &wanted, &workspace.metadata.packages, args)?;
    options.profile.warn(command, artifact, status);
    let launch = starter.launch(artifact, args)?;
    let description = if status.is_verbose() {
        format!("`{}`", launch.display())
    } else {
        start::description(command, artifact, &launch)
    };
    Ok(Runnable {
        name: artifact.target.name.clone(),
        launch,
        description,
        target_directory: workspace.metadata.target_directory.clone().into_std_path_buf(),
        settings,
        has_line_numbers: Some(profile::has_line_numbers(artifact)),
        is_optimized: Some(profile::is_optimized(artifact)),
    })
}

/// A program that is there already.
///
/// # Errors
/// If a setting makes no sense.
pub fn prebuilt(
    program: &OsString,
    args: &[OsString],
    settings: &Settings,
    inherited: &Inherited,
    status: Status,
) -> Result<Runnable, Error> {
    let cargo = Cargo { program: cargo_program(inherited), common: Vec::new(), inherited, status };
    // A folder of the report is called so: `..` must not be one.
    let name = Path::new(program).file_stem().unwrap_or("program".as_ref());
    let launch = Launch {
        program: program.clone(),
        args: args.to_vec(),
        directory: None,
        environment: inherited.for_foreign_program().into_iter().collect(),
    };
    let here = metadata::here(&cargo);
    let tables = here.as_ref().map(|metadata| tables_of(metadata, metadata.root_package()));
    Ok(Runnable {
        name: name.to_string_lossy().into_owned(),
        description: format!("`{}`", launch.display()),
        launch,
        settings: settings::layered(settings, inherited, &tables.unwrap_or_default(), status)?,
        target_directory: here
            .map_or_else(|| "target".into(), |it| it.target_directory.into_std_path_buf()),
        has_line_numbers: None,
        is_optimized: None,
    })
}

/// What the flags say, that about the profile included.
fn with_profile(flags: &Settings, options: &BuildOptions) -> Settings {
    let is_chosen = options.profile != Profile::default();
    Settings { profile: is_chosen.then(|| options.profile.clone()), ..flags.clone() }
}

/// The package whose settings hold for `test` and `bench`, before it is known which executable will be started: the one
/// that is named, or the only one there is.
fn package_of_tests<'a>(options: &BuildOptions, workspace: &'a Workspace) -> Option<&'a Package> {
    let words: Vec<_> = options.selection.iter().map(|word| word.to_string_lossy()).collect();
    let mut named = words.windows(2).filter(|pair| pair[0] == "--package").map(|pair| &*pair[1]);
    let members = workspace.metadata.workspace_packages();
    match (named.next(), named.next()) {
        (Some(name), None) => members.into_iter().find(|package| package.name.as_str() == name),
        (Some(_), Some(_)) => None,
        (None, _) => match metadata::default_packages(&workspace.metadata)[..] {
            [only] => Some(only),
            _ => None,
        },
    }
}

/// The tables that hold settings, the nearer one first.
fn tables_of<'a>(metadata: &'a Metadata, package: Option<&'a Package>) -> Vec<Table<'a>> {
    let of_package = package.map(|package| Table {
        owner: "package",
        metadata: &package.metadata,
        manifest: package.manifest_path.clone().into_std_path_buf(),
    });
    let of_workspace = Table {
        owner: "workspace",
        metadata: &metadata.workspace_metadata,
        manifest: metadata.workspace_root.join("Cargo.toml").into_std_path_buf(),
    };
    of_package.into_iter().chain([of_workspace]).collect()
}

fn packages_of<'a>(
    cargo: &Cargo<'_>,
    workspace: &'a Workspace,
    options: &BuildOptions,
) -> Result<Vec<&'a Package>, Error> {
    match &options.package {
        Some(Some(spec)) => metadata::packages_of_spec(cargo, &workspace.metadata, spec),
        // Without a spec the build below fails with cargo's list of packages.
        Some(None) => Ok(workspace.metadata.workspace_packages()),
        None => Ok(metadata::default_packages(&workspace.metadata)),
    }
}

fn target_of_run(
    options: &BuildOptions,
    packages: &[&Package],
    args: &[OsString],
) -> Result<(RunKind, Option<String>), Error> {
    match &options.targets[..] {
        // The build fails with what cargo has to say of it, which comes before the choice of a binary.
        [] if options.lacks_a_value() => Ok((RunKind::Bin, None)),
        [] => Ok((RunKind::Bin, Some(pick::default_binary(packages, args)?.to_owned()))),
        [(_, Some(name))] if name.contains(['*', '?', '[', ']']) => Err(pick::no_patterns()),
        // Two packages may have a target of that name.
        [(_, Some(_))] if 1 < pick::selected(packages, &options.targets).len() => {
            Err(pick::several(packages, &options.targets))
        }
        [target] => Ok(target.clone()),
        [..] => Err(pick::several(packages, &options.targets)),
    }
}

fn flags_of_run(options: &BuildOptions, kind: RunKind, name: Option<&str>) -> Vec<OsString> {
    let flag = |name: &str, value: Option<&str>| {
        std::iter::once(name.into()).chain(value.map(OsString::from)).collect::<Vec<_>>()
    };
    match &options.package {
        // No other flag may hide that error of cargo's.
        Some(None) => flag("--package", None),
        _ if options.lacks_a_value() => Vec::new(),
        Some(spec) => [flag("--package", spec.as_deref()), flag(kind.flag(), name)].concat(),
        None => flag(kind.flag(), name),
    }
}

fn common_build_flags(options: &BuildOptions) -> Vec<OsString> {
    let mut flags: Vec<OsString> = Vec::new();
    if let Some(directory) = &options.target_directory {
        flags.extend(["--target-dir".into(), directory.as_os_str().to_owned()]);
    }
    let more = [&options.build_flags, &options.common_flags, &options.config_flags];
    flags.extend(more.into_iter().flatten().cloned());
    flags
}

/// A `-v` that is kept from cargo still ends the quiet that a file asks for, as it would for cargo.
fn flags_against_quiet(config: &Config, inherited: &Inherited, status: Status) -> Vec<OsString> {
    let is_quiet = config.string(inherited, &["term", "quiet"]).is_some_and(|word| word == "true");
    if is_quiet && status.is_verbose() {
        vec!["--config".into(), "term.quiet=false".into()]
    } else {
        Vec::new()
    }
}

/// The triple of a cross build, from where cargo would take it.
fn triple_of(
    options: &BuildOptions,
    config: &Config,
    inherited: &Inherited,
) -> Result<Option<String>, Error> {
    let mut triples: Vec<String> = if options.triples.is_empty() {
        config.strings(inherited, &["build", "target"])
    } else {
        options.triples.iter().filter(|triple| !triple.is_empty()).cloned().collect()
    };
    triples.sort_unstable();
    triples.dedup();
    match &triples[..] {
        [] | [_] => Ok(triples.pop()),
        [..] => Err(pick::several_platforms()),
    }
}

//! From the user's flags to a program that can be started: ask cargo, build, pick, rebuild the environment.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use cargo_metadata::{Artifact, ArtifactDebuginfo, Metadata, Package};

use crate::cargo::Cargo;
use crate::cargo::build::{Build, build};
use crate::cargo::config::Config;
use crate::cargo::environment::{Output, TargetEnvironment, program_name};
use crate::cargo::inherited::Inherited;
use crate::cargo::manifest;
use crate::cargo::metadata::{self, Workspace};
use crate::cargo::pick::{self, RunKind};
use crate::cargo::toolchain::{Toolchain, cargo_program};
use crate::commands::settings::{self, Settings, Table};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::launch::Launch;
use crate::status::Status;

/// Name of the profile that is used unless the user asks for another.
pub const PROFILE: &str = "bottleneck";

/// What to build, as the user said it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// `--bin NAME` and its like; no name means that cargo shall list them.
    pub targets: Vec<(RunKind, Option<String>)>,
    /// `-p SPEC`; no spec means that cargo shall list the packages.
    pub package: Option<Option<String>>,
    /// Which profile.
    pub profile: Profile,
    /// `--target TRIPLE`; no triple means that cargo shall explain itself.
    pub triple: Option<Option<String>>,
    /// `--target-dir DIR`
    pub target_directory: Option<PathBuf>,
    /// Flags that only a build understands.
    pub build_flags: Vec<OsString>,
    /// Flags that every call of cargo must have to see the same workspace.
    pub common_flags: Vec<OsString>,
    /// `--config` flags, with the word before each.
    pub config_flags: Vec<OsString>,
}

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
            PROFILE => Self::Bottleneck,
            "release" => Self::Release,
            "dev" => Self::Dev,
            _ => Self::Named(name.to_owned()),
        }
    }
}

/// A program that is ready to be started.
#[derive(Debug)]
pub struct Runnable {
    /// Its name in reports.
    pub name: String,
    /// How to start it.
    pub launch: Launch,
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
    status: Status,
) -> Result<Runnable, Error> {
    let common = options.common_flags.iter().chain(&options.config_flags).cloned().collect();
    let cargo = Cargo { program: cargo_program(inherited), common, inherited, status };
    let config = Config::load(&cargo, &options.config_flags)?;
    let workspace = workspace_with(&cargo, options)?;
    let packages = packages_of(&cargo, &workspace, options)?;
    let (kind, name) = match &options.targets[..] {
        // Without a package spec the build fails with cargo's list, which comes before the choice of a binary.
        [] if matches!(options.package, Some(None)) => (RunKind::Bin, None),
        [] => (RunKind::Bin, Some(pick::default_binary(&packages, args)?)),
        [(kind, name)] => (*kind, name.as_deref()),
        [..] => return Err(pick::several()),
    };
    let tables = tables_of(&workspace.metadata, pick::owner(&packages, kind, name));
    let settings = settings::layered(&with_profile(settings, options), inherited, &tables, status)?;
    let options =
        &BuildOptions { profile: settings.profile.clone().unwrap_or_default(), ..options.clone() };
    let flags = build_flags(options, &config, &workspace, kind, name, status);
    let build = build(&cargo, &flags)?;
    let artifact = pick::executable(&build, &packages, kind, name)?;
    warn_of_profile(options, artifact, status);

    let triple = triple_of(options, &config, inherited);
    let built = Built { build: &build, artifact, kind, triple: triple.as_deref() };
    let mut args = args.to_vec();
    if kind == RunKind::Bench {
        // Cargo tells a bench target to measure.
        args.push("--bench".into());
    }
    let launch = launch_of(&cargo, &config, &workspace, &built, args)?;
    Ok(Runnable {
        name: artifact.target.name.clone(),
        launch,
        target_directory: workspace.metadata.target_directory.clone().into_std_path_buf(),
        settings,
        has_line_numbers: Some(has_line_numbers(artifact)),
        is_optimized: Some(artifact.profile.opt_level != "0"),
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
    let name = Path::new(program).file_stem().unwrap_or(program);
    let here = metadata::here(&cargo);
    let tables = here.as_ref().map(|metadata| tables_of(metadata, metadata.root_package()));
    Ok(Runnable {
        name: name.to_string_lossy().into_owned(),
        launch: Launch {
            program: program.clone(),
            args: args.to_vec(),
            directory: None,
            environment: inherited.for_foreign_program().into_iter().collect(),
        },
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

fn workspace_with(cargo: &Cargo<'_>, options: &BuildOptions) -> Result<Workspace, Error> {
    let target_directory = options.target_directory.as_deref();
    let workspace = metadata::load(cargo, target_directory)?;
    // A package that is no member can be meant only by `-p`.
    match &options.package {
        Some(Some(spec))
            if !workspace.metadata.packages.iter().any(|package| package.name.as_str() == spec) =>
        {
            metadata::load_with_dependencies(cargo, target_directory)
        }
        _ => Ok(workspace),
    }
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

fn build_flags(
    options: &BuildOptions,
    config: &Config,
    workspace: &Workspace,
    kind: RunKind,
    name: Option<&str>,
    status: Status,
) -> Vec<OsString> {
    let mut flags: Vec<OsString> = Vec::new();
    let mut flag = |name: &str, value: Option<&str>| {
        flags.push(name.into());
        flags.extend(value.map(OsString::from));
    };
    if let Some(spec) = &options.package {
        flag("--package", spec.as_deref());
    }
    // `--package` without a value is an error of cargo's that no other flag may hide.
    if !matches!(options.package, Some(None)) {
        flag(kind.flag(), name);
    }
    if let Some(triple) = &options.triple {
        flag("--target", triple.as_deref());
    }
    match &options.profile {
        Profile::Dev => {}
        Profile::Release => flag("--release", None),
        Profile::Named(name) => flag("--profile", Some(name)),
        Profile::Bottleneck => {
            if !is_profile_defined(config, workspace) {
                flag("--config", Some(&format!("profile.{PROFILE}.inherits=\"release\"")));
                flag("--config", Some(&format!("profile.{PROFILE}.debug=\"line-tables-only\"")));
                announce_profile(workspace, status);
            }
            flag("--profile", Some(PROFILE));
        }
    }
    if let Some(directory) = &options.target_directory {
        flags.extend(["--target-dir".into(), directory.as_os_str().to_owned()]);
    }
    flags.extend(
        options
            .build_flags
            .iter()
            .chain(&options.common_flags)
            .chain(&options.config_flags)
            .cloned(),
    );
    flags
}

fn is_profile_defined(config: &Config, workspace: &Workspace) -> bool {
    let manifest = std::fs::read_to_string(workspace.metadata.workspace_root.join("Cargo.toml"))
        .unwrap_or_default();
    config.has_profile(PROFILE) || manifest::has_profile(&manifest, PROFILE)
}

/// The first build compiles every dependency once more; that deserves a reason and the way around it.
fn announce_profile(workspace: &Workspace, status: Status) {
    let folder = workspace.metadata.target_directory.join(PROFILE);
    let text = format!(
        "`{PROFILE}` = release + line tables, built apart from target/release (--release reuses that)"
    );
    if folder.exists() {
        status.detail("Profile", text);
    } else {
        status.line("Profile", text);
    }
}

fn warn_of_profile(options: &BuildOptions, artifact: &Artifact, status: Status) {
    if artifact.profile.opt_level == "0" {
        status.warning(
            "dev profile: verdicts describe unoptimized code\n  fix: drop the flag (the default profile inherits release)",
        );
    }
    if !has_line_numbers(artifact) {
        let profile = match &options.profile {
            Profile::Bottleneck => PROFILE,
            Profile::Release => "release",
            Profile::Dev => "dev",
            Profile::Named(name) => name,
        };
        let variable = profile.to_uppercase().replace('-', "_");
        status.warning(format_args!(
            "profile `{profile}` has no line numbers; frames inside a span will be bare function names\n  \
             fix: drop the flag (the default profile inherits release and adds line tables), or set\n       \
             [profile.{profile}] debug = \"line-tables-only\"   or   CARGO_PROFILE_{variable}_DEBUG=line-tables-only"
        ));
    }
}

fn has_line_numbers(artifact: &Artifact) -> bool {
    !matches!(artifact.profile.debuginfo, ArtifactDebuginfo::None)
}

/// The triple of a cross build, from where cargo would take it.
fn triple_of(options: &BuildOptions, config: &Config, inherited: &Inherited) -> Option<String> {
    let from_flag = options.triple.clone().flatten();
    let from_environment =
        || inherited.get("CARGO_BUILD_TARGET").map(|triple| triple.to_string_lossy().into_owned());
    from_flag
        .or_else(from_environment)
        .or_else(|| config.string(&["build", "target"]).map(str::to_owned))
}

/// What was built, on the way to being started.
struct Built<'a> {
    build: &'a Build,
    artifact: &'a Artifact,
    kind: RunKind,
    triple: Option<&'a str>,
}

fn launch_of(
    cargo: &Cargo<'_>,
    config: &Config,
    workspace: &Workspace,
    built: &Built<'_>,
    args: Vec<OsString>,
) -> Result<Launch, Error> {
    let Built { build, artifact, kind, triple } = *built;
    let inherited = cargo.inherited;
    let executable =
        artifact.executable.as_deref().map_or(Path::new(""), |path| path.as_std_path());
    let package =
        workspace.metadata.packages.iter().find(|package| package.id == artifact.package_id);
    let package = package.ok_or_else(|| {
        let what = format!("cannot find the package of `{}`", artifact.target.name);
        Error::new(ExitCode::Setup, what).why("cargo built it, but does not list it")
    })?;
    // `host-tuple` is cargo's word for the triple of rustc itself.
    let cross = triple.filter(|&triple| triple != "host-tuple");
    let toolchain =
        Toolchain::load(&cargo.program, inherited, config.string(&["build", "rustc"]), cross)?;
    let triple = cross.unwrap_or(&toolchain.host);
    let environment = TargetEnvironment {
        cargo: &cargo.program,
        package,
        rust_version: workspace.rust_version(package),
        kind,
        output: &Output::of(executable, &workspace.metadata),
        scripts: &build.scripts,
        executables: &build.executables,
        library_directory: &toolchain.library_directory,
        configured: &config.env(),
    };
    let environment = environment.on_top_of(inherited.variables()).into_iter().collect();
    let (program, directory) = if kind.runs_as_test() {
        let directory =
            package.manifest_path.parent().map(|folder| folder.as_std_path().to_owned());
        (executable.to_owned(), directory)
    } else {
        (program_name(executable, &env::current_dir().unwrap_or_default()), None)
    };
    let mut words =
        config.runner(inherited, triple, || toolchain.cfgs(inherited, triple))?.unwrap_or_default();
    words.push(program.into_os_string());
    words.extend(args);
    let program = words.remove(0);
    Ok(Launch { program, args: words, directory, environment })
}

//! How cargo would start an executable that it has built: under which name and runner, where, with which arguments and
//! which environment. Starts nothing but rustc, to ask it.

use std::env;
use std::ffi::OsString;
use std::path::Path;

use cargo_metadata::{Artifact, Target, TargetKind};

use crate::cargo::Cargo;
use crate::cargo::build::Build;
use crate::cargo::config::{Config, EnvEntry};
use crate::cargo::environment::{Output, TargetEnvironment, program_name};
use crate::cargo::manifest::Manifest;
use crate::cargo::metadata::Workspace;
use crate::cargo::pick::CargoCommand;
use crate::cargo::toolchain::Toolchain;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::launch::Launch;
use crate::status::Status;

/// What is the same for every executable of one build.
#[derive(Debug)]
pub struct Starter<'a> {
    cargo: &'a Cargo<'a>,
    command: CargoCommand,
    workspace: &'a Workspace,
    build: &'a Build,
    toolchain: Toolchain,
    runner: Vec<OsString>,
    configured: Vec<EnvEntry>,
    is_quiet: bool,
}

impl<'a> Starter<'a> {
    /// Asks rustc and the configuration. `triple` is that of a cross build; `status` says whether the user wants quiet.
    ///
    /// # Errors
    /// If rustc cannot be asked, or the runner is ambiguous.
    pub fn new(
        cargo: &'a Cargo<'a>,
        command: CargoCommand,
        config: &Config,
        workspace: &'a Workspace,
        build: &'a Build,
        triple: Option<&str>,
        status: Status,
    ) -> Result<Self, Error> {
        let inherited = cargo.inherited;
        // `host-tuple` is cargo's word for the triple of rustc itself.
        let cross = triple.filter(|&triple| triple != "host-tuple");
        let rustc = config.string(inherited, &["build", "rustc"]);
        let toolchain = Toolchain::load(&cargo.program, inherited, rustc.as_deref(), cross)?;
        let triple = cross.unwrap_or(&toolchain.host);
        let runner = config.runner(inherited, triple, || toolchain.cfgs(inherited, triple))?;
        let (runner, configured) = (runner.unwrap_or_default(), config.env());
        let is_quiet = status.is_quiet();
        Ok(Self { cargo, command, workspace, build, toolchain, runner, configured, is_quiet })
    }

    /// The executable with the user's arguments, as cargo would start it.
    ///
    /// # Errors
    /// If it is of a package that cargo does not list.
    pub fn launch(&self, artifact: &Artifact, args: &[OsString]) -> Result<Launch, Error> {
        let executable =
            artifact.executable.as_deref().map_or(Path::new(""), |path| path.as_std_path());
        let metadata = &self.workspace.metadata;
        let package = metadata.packages.iter().find(|package| package.id == artifact.package_id);
        let package = package.ok_or_else(|| {
            let what = format!("cannot find the package of `{}`", artifact.target.name);
            Error::new(ExitCode::Setup, what).why("cargo built it, but does not list it")
        })?;
        let environment = TargetEnvironment {
            cargo: &self.cargo.program,
            package,
            rust_version: self.workspace.rust_version(package),
            finds_binaries: self.command != CargoCommand::Run && is_integration(&artifact.target),
            output: &Output::of(executable, metadata),
            scripts: &self.build.scripts,
            executables: &self.build.executables,
            library_directory: &self.toolchain.library_directory,
            configured: &self.configured,
        };
        let environment = environment.on_top_of(self.cargo.inherited.variables());
        let (program, directory) = match self.command {
            CargoCommand::Run => {
                (program_name(executable, &env::current_dir().unwrap_or_default()), None)
            }
            CargoCommand::Test | CargoCommand::Bench => {
                let folder = package.manifest_path.parent();
                (executable.to_owned(), folder.map(|folder| folder.as_std_path().to_owned()))
            }
        };
        let mut words = self.runner.clone();
        words.push(program.into_os_string());
        words.extend(args.iter().cloned());
        if self.command == CargoCommand::Bench {
            // Cargo tells a bench target to measure.
            words.push("--bench".into());
        }
        if self.command != CargoCommand::Run && self.is_quiet && self.has_harness(artifact) {
            // Cargo hands its own `--quiet` on to the harness, which then prints a character per test.
            words.push("--quiet".into());
        }
        let program = words.remove(0);
        Ok(Launch {
            program,
            args: words,
            directory,
            environment: environment.into_iter().collect(),
        })
    }

    /// Whether the executable has the test harness of the standard library, as far as its manifest says.
    pub fn has_harness(&self, artifact: &Artifact) -> bool {
        Manifest::read(artifact.manifest_path.as_std_path()).has_harness(&artifact.target)
    }
}

/// Cargo's words for what it starts.
pub fn description(command: CargoCommand, artifact: &Artifact, launch: &Launch) -> String {
    let (Some(executable), true) = (&artifact.executable, command != CargoCommand::Run) else {
        return format!("`{}`", launch.display());
    };
    let folder = artifact.manifest_path.parent();
    let source = folder
        .and_then(|folder| artifact.target.src_path.strip_prefix(folder).ok())
        .unwrap_or(&artifact.target.src_path);
    let unit = if is_integration(&artifact.target) { "" } else { "unittests " };
    let current = env::current_dir().unwrap_or_default();
    let executable = executable.strip_prefix(&current).unwrap_or(executable);
    format!("{unit}{source} ({executable})")
}

fn is_integration(target: &Target) -> bool {
    target.kind.iter().any(|kind| matches!(kind, TargetKind::Test | TargetKind::Bench))
}

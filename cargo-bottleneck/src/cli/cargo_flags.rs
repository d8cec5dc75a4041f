//! Flags that every build of cargo takes, in cargo's words and under cargo's headings, and how they are handed to cargo.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::commands::profile::Profile;
use crate::commands::target::BuildOptions;

/// Flags about cargo's configuration.
#[derive(Debug, Args)]
pub(super) struct Configuration {
    /// Override a configuration value
    #[arg(long, value_name = "KEY=VALUE|PATH")]
    config: Vec<OsString>,

    /// Unstable (nightly-only) flags to Cargo, see 'cargo -Z help' for details
    #[arg(short = 'Z', value_name = "FLAG")]
    unstable: Vec<OsString>,
}

/// Flags about features.
#[derive(Debug, Args)]
#[command(next_help_heading = "Feature Selection")]
#[expect(clippy::struct_field_names, reason = "each is called as cargo's flag is")]
pub(super) struct Features {
    /// Space or comma separated list of features to activate
    #[arg(short = 'F', long, value_name = "FEATURES")]
    features: Vec<String>,

    /// Activate all available features
    #[arg(long)]
    all_features: bool,

    /// Do not activate the `default` feature
    #[arg(long)]
    no_default_features: bool,
}

/// Flags about how it is compiled. `--keep-going` stands between the two in `cargo run`, and is in no other subcommand.
#[derive(Debug, Args)]
#[command(next_help_heading = "Compilation Options")]
pub(super) struct Jobs {
    #[arg(
        short,
        long,
        value_name = "N",
        allow_hyphen_values = true,
        // Written here, since the last period of a doc comment is lost.
        help = "Number of parallel jobs, defaults to # of CPUs."
    )]
    jobs: Option<String>,
}

/// The other flags about how it is compiled.
#[derive(Debug, Args)]
#[command(next_help_heading = "Compilation Options")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of cargo's")]
pub(super) struct Compilation {
    /// Build in release mode and reuse target/release as it is [default: release with line tables, built apart]
    #[arg(short, long, conflicts_with_all = ["profile", "dev"])]
    release: bool,

    /// Build artifacts with the specified profile
    #[arg(long, value_name = "PROFILE-NAME", conflicts_with = "dev")]
    profile: Option<String>,

    /// Build in dev mode; verdicts then describe unoptimized code
    #[arg(long)]
    dev: bool,

    /// Build for the target triple
    #[arg(long, value_name = "TRIPLE", num_args = 0..=1, default_missing_value = "")]
    target: Vec<String>,

    /// Directory for all generated artifacts
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    target_dir: Option<PathBuf>,

    /// Output build graph in JSON (unstable)
    #[arg(long, hide = true)]
    pub(super) unit_graph: bool,

    /// Output a build timing report at the end of the build
    #[arg(long)]
    timings: bool,
}

/// Flags about the manifest and the lock file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Manifest Options")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of cargo's")]
pub(super) struct ManifestFlags {
    /// Path to Cargo.toml
    #[arg(short = 'm', long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    manifest_path: Option<PathBuf>,

    /// Path to Cargo.lock (unstable)
    // In the help of some versions of cargo; whether it is known is for the one in use to say.
    #[arg(long, value_name = "PATH", hide = true)]
    lockfile_path: Option<PathBuf>,

    /// Ignore `rust-version` specification in packages
    #[arg(long)]
    ignore_rust_version: bool,

    /// Assert that `Cargo.lock` will remain unchanged
    #[arg(long)]
    locked: bool,

    /// Run without accessing the network
    #[arg(long)]
    offline: bool,

    /// Equivalent to specifying both --locked and --offline
    #[arg(long)]
    frozen: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) configuration: Configuration,
    pub(super) features: Features,
    pub(super) jobs: Jobs,
    pub(super) keep_going: bool,
    pub(super) compilation: Compilation,
    pub(super) manifest: ManifestFlags,
}

impl Configuration {
    /// `--config` flags, with the word before each.
    pub(super) fn config_flags(&self) -> Vec<OsString> {
        let mut words = Words(Vec::new());
        words.each("--config", self.config.iter().cloned());
        words.0
    }
}

impl Groups {
    /// The flags as options of a build of nothing in particular. `terminal` are flags about verbosity, for the build only.
    pub(super) fn resolve(
        self,
        color: Option<&'static str>,
        terminal: Vec<OsString>,
    ) -> BuildOptions {
        let Self { configuration, features, jobs, keep_going, compilation, manifest } = self;
        let mut build = Words(terminal);
        build.each_with_or_without("--target", compilation.target.iter().cloned());
        build.each("--features", features.features);
        build.switch("--all-features", features.all_features);
        build.switch("--no-default-features", features.no_default_features);
        build.each("--jobs", jobs.jobs);
        build.switch("--keep-going", keep_going);
        build.switch("--timings", compilation.timings);
        build.switch("--ignore-rust-version", manifest.ignore_rust_version);
        let mut common = Words(Vec::new());
        common.each("--manifest-path", manifest.manifest_path);
        common.each("--lockfile-path", manifest.lockfile_path);
        common.switch("--locked", manifest.locked);
        common.switch("--offline", manifest.offline);
        common.switch("--frozen", manifest.frozen);
        let config_flags = configuration.config_flags();
        common.each("-Z", configuration.unstable);
        common.each("--color", color);
        BuildOptions {
            profile: match (compilation.release, compilation.dev, compilation.profile) {
                (true, _, _) => Profile::Release,
                (_, true, _) => Profile::Dev,
                (false, false, Some(name)) => Profile::Named(name),
                (false, false, None) => Profile::Bottleneck,
            },
            triples: compilation.target,
            target_directory: compilation.target_dir,
            build_flags: build.0,
            common_flags: common.0,
            config_flags,
            ..BuildOptions::default()
        }
    }

    /// The first flag that makes no sense for a program that is there already.
    pub(super) fn first_that_builds(&self) -> Option<&'static str> {
        let Self { configuration: _, features, jobs, keep_going, compilation, manifest } = self;
        let given = [
            ("--features", !features.features.is_empty()),
            ("--all-features", features.all_features),
            ("--no-default-features", features.no_default_features),
            ("--jobs", jobs.jobs.is_some()),
            ("--keep-going", *keep_going),
            ("--release", compilation.release),
            ("--profile", compilation.profile.is_some()),
            ("--dev", compilation.dev),
            ("--target", !compilation.target.is_empty()),
            ("--target-dir", compilation.target_dir.is_some()),
            ("--timings", compilation.timings),
            ("--manifest-path", manifest.manifest_path.is_some()),
            ("--ignore-rust-version", manifest.ignore_rust_version),
        ];
        given.into_iter().find_map(|(name, is_given)| is_given.then_some(name))
    }
}

/// Words of a command line in the making.
pub(super) struct Words(pub(super) Vec<OsString>);

impl Words {
    pub(super) fn switch(&mut self, name: &str, is_on: bool) {
        if is_on {
            self.0.push(name.into());
        }
    }

    pub(super) fn each<T: Into<OsString>>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = T>,
    ) {
        for value in values {
            self.0.extend([name.into(), value.into()]);
        }
    }

    /// A flag whose value may be left out, for cargo to list what there is; then it is empty here.
    pub(super) fn each_with_or_without(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = String>,
    ) {
        for value in values {
            self.0.push(name.into());
            self.0.extend((!value.is_empty()).then(|| value.into()));
        }
    }
}

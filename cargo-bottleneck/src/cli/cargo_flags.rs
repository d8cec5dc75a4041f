//! The flags of `cargo run`, in cargo's words and under cargo's headings, and how they are handed to cargo.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::cargo::pick::RunKind;
use crate::commands::target::{BuildOptions, Profile};

/// Everything that decides what is built.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of cargo's")]
pub(super) struct CargoFlags {
    /// Override a configuration value
    #[arg(long, value_name = "KEY=VALUE|PATH")]
    config: Vec<OsString>,

    /// Unstable (nightly-only) flags to Cargo, see 'cargo -Z help' for details
    #[arg(short = 'Z', value_name = "FLAG")]
    unstable: Vec<OsString>,

    /// Package with the target to run
    #[expect(clippy::option_option, reason = "not given, given without a value, given with one")]
    #[arg(short, long, value_name = "SPEC", num_args = 0..=1, help_heading = "Package Selection")]
    package: Option<Option<String>>,

    /// Name of the bin target to run
    #[expect(clippy::option_option, reason = "as above")]
    #[arg(long, value_name = "NAME", num_args = 0..=1, help_heading = "Target Selection")]
    bin: Option<Option<String>>,

    /// Name of the example target to run
    #[expect(clippy::option_option, reason = "as above")]
    #[arg(long, value_name = "NAME", num_args = 0..=1, help_heading = "Target Selection")]
    example: Option<Option<String>>,

    /// Name of the test target to run
    #[expect(clippy::option_option, reason = "as above")]
    #[arg(long, value_name = "NAME", num_args = 0..=1, help_heading = "Target Selection")]
    test: Option<Option<String>>,

    /// Name of the bench target to run
    #[expect(clippy::option_option, reason = "as above")]
    #[arg(long, value_name = "NAME", num_args = 0..=1, help_heading = "Target Selection")]
    bench: Option<Option<String>>,

    /// Space or comma separated list of features to activate
    #[arg(short = 'F', long, value_name = "FEATURES", help_heading = "Feature Selection")]
    features: Vec<String>,

    /// Activate all available features
    #[arg(long, help_heading = "Feature Selection")]
    all_features: bool,

    /// Do not activate the `default` feature
    #[arg(long, help_heading = "Feature Selection")]
    no_default_features: bool,

    /// Number of parallel jobs, defaults to # of CPUs.
    #[arg(
        short,
        long,
        value_name = "N",
        allow_hyphen_values = true,
        help_heading = "Compilation Options"
    )]
    jobs: Option<String>,

    /// Do not abort the build as soon as there is an error
    #[arg(long, help_heading = "Compilation Options")]
    keep_going: bool,

    /// Build in release mode and reuse target/release as it is [default: release with line tables, built apart]
    #[arg(short, long, conflicts_with_all = ["profile", "dev"], help_heading = "Compilation Options")]
    release: bool,

    /// Build artifacts with the specified profile
    #[arg(
        long,
        value_name = "PROFILE-NAME",
        conflicts_with = "dev",
        help_heading = "Compilation Options"
    )]
    profile: Option<String>,

    /// Build in dev mode; verdicts then describe unoptimized code
    #[arg(long, help_heading = "Compilation Options")]
    dev: bool,

    /// Build for the target triple
    #[expect(clippy::option_option, reason = "as above")]
    #[arg(long, value_name = "TRIPLE", num_args = 0..=1, help_heading = "Compilation Options")]
    target: Option<Option<String>>,

    /// Directory for all generated artifacts
    #[arg(long, value_name = "DIRECTORY", help_heading = "Compilation Options")]
    target_dir: Option<PathBuf>,

    /// Output a build timing report at the end of the build
    #[arg(long, help_heading = "Compilation Options")]
    timings: bool,

    /// Path to Cargo.toml
    #[arg(long, value_name = "PATH", help_heading = "Manifest Options")]
    manifest_path: Option<PathBuf>,

    /// Ignore `rust-version` specification in packages
    #[arg(long, help_heading = "Manifest Options")]
    ignore_rust_version: bool,

    /// Assert that `Cargo.lock` will remain unchanged
    #[arg(long, help_heading = "Manifest Options")]
    locked: bool,

    /// Run without accessing the network
    #[arg(long, help_heading = "Manifest Options")]
    offline: bool,

    /// Equivalent to specifying both --locked and --offline
    #[arg(long, help_heading = "Manifest Options")]
    frozen: bool,
}

impl CargoFlags {
    /// The flags as options of a build. `terminal` are the flags about verbosity, for the build only.
    pub(super) fn resolve(
        self,
        color: Option<&'static str>,
        terminal: Vec<OsString>,
    ) -> BuildOptions {
        let kinds = [
            (RunKind::Bin, self.bin),
            (RunKind::Example, self.example),
            (RunKind::Test, self.test),
            (RunKind::Bench, self.bench),
        ];
        let mut build = Words(terminal);
        build.each("--features", self.features);
        build.switch("--all-features", self.all_features);
        build.switch("--no-default-features", self.no_default_features);
        build.each("--jobs", self.jobs);
        build.switch("--keep-going", self.keep_going);
        build.switch("--timings", self.timings);
        build.switch("--ignore-rust-version", self.ignore_rust_version);
        let mut common = Words(Vec::new());
        common.each("--manifest-path", self.manifest_path);
        common.switch("--locked", self.locked);
        common.switch("--offline", self.offline);
        common.switch("--frozen", self.frozen);
        common.each("-Z", self.unstable);
        common.each("--color", color);
        let mut config = Words(Vec::new());
        config.each("--config", self.config);
        BuildOptions {
            targets: kinds.into_iter().filter_map(|(kind, name)| Some((kind, name?))).collect(),
            package: self.package,
            profile: match (self.release, self.dev, self.profile) {
                (true, _, _) => Profile::Release,
                (_, true, _) => Profile::Dev,
                (false, false, Some(name)) => Profile::Named(name),
                (false, false, None) => Profile::Bottleneck,
            },
            triple: self.target,
            target_directory: self.target_dir,
            build_flags: build.0,
            common_flags: common.0,
            config_flags: config.0,
        }
    }

    /// The first flag that makes no sense for a program that is there already.
    pub(super) fn first_that_builds(&self) -> Option<&'static str> {
        let given = [
            ("--package", self.package.is_some()),
            ("--bin", self.bin.is_some()),
            ("--example", self.example.is_some()),
            ("--test", self.test.is_some()),
            ("--bench", self.bench.is_some()),
            ("--features", !self.features.is_empty()),
            ("--all-features", self.all_features),
            ("--no-default-features", self.no_default_features),
            ("--release", self.release),
            ("--profile", self.profile.is_some()),
            ("--dev", self.dev),
            ("--target", self.target.is_some()),
        ];
        given.into_iter().find_map(|(name, is_given)| is_given.then_some(name))
    }
}

/// Words of a command line in the making.
struct Words(Vec<OsString>);

impl Words {
    fn switch(&mut self, name: &str, is_on: bool) {
        if is_on {
            self.0.push(name.into());
        }
    }

    fn each<T: Into<OsString>>(&mut self, name: &str, values: impl IntoIterator<Item = T>) {
        for value in values {
            self.0.extend([name.into(), value.into()]);
        }
    }
}

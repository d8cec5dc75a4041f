//! What every command begins with: the environment of the user, cargo's configuration, and how much is said in which
//! colors. What the flags leave open, the configuration decides as it does for cargo: `term.quiet`, `term.verbose` and
//! `term.color`, from `--config`, the environment or a file.

use std::ffi::OsString;

use anstream::ColorChoice;

use crate::cargo::Cargo;
use crate::cargo::config::Config;
use crate::cargo::inherited::Inherited;
use crate::cargo::toolchain::cargo_program;
use crate::error::Error;
use crate::status::{Status, Verbosity};

/// What the flags say about the terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TerminalOptions {
    /// `-q`, `-v`
    pub verbosity: Option<Verbosity>,
    /// `--color`
    pub color: Option<ColorChoice>,
    /// `--config` flags, with the word before each.
    pub config_flags: Vec<OsString>,
}

/// The beginning of a command.
#[derive(Debug)]
pub struct Setup {
    /// The environment of the user.
    pub inherited: Inherited,
    /// Cargo's configuration; where cargo cannot be asked, why not.
    pub config: Result<Config, Error>,
    /// Where messages go.
    pub status: Status,
}

impl Setup {
    /// Asks cargo, and sets the colors of this process.
    ///
    /// A command that needs no cargo goes on without a configuration.
    pub fn load(options: &TerminalOptions) -> Self {
        let inherited = Inherited::from_process();
        let flags_only = Status::new(options.verbosity.unwrap_or_default());
        let cargo = Cargo {
            program: cargo_program(&inherited),
            common: Vec::new(),
            inherited: &inherited,
            status: flags_only,
        };
        let config = Config::load(&cargo, &options.config_flags);
        let setting = |key: &str| {
            config.as_ref().ok().and_then(|config| config.string(&inherited, &["term", key]))
        };
        let color = options.color.or_else(|| color_of(&setting("color")?));
        if let Some(color) = color {
            color.write_global();
        }
        let is_set = |key: &str| setting(key).is_some_and(|value| value == "true");
        let verbosity = options.verbosity.unwrap_or_else(|| {
            // Both at once are an error of cargo's, which it will say.
            if is_set("verbose") {
                Verbosity::Verbose
            } else if is_set("quiet") {
                Verbosity::Quiet
            } else {
                Verbosity::Normal
            }
        });
        Self { config, status: Status::new(verbosity), inherited }
    }

    /// The configuration, for a command that cannot do without cargo.
    ///
    /// # Errors
    /// If cargo cannot be started.
    pub fn config(self) -> Result<(Inherited, Config, Status), Error> {
        let config = self.config?;
        if config.is_unknown() {
            self.status.warning(
                "cannot read cargo's configuration: `[env]`, `[term]` and `runner` settings do not apply",
            );
        }
        Ok((self.inherited, config, self.status))
    }
}

/// The choice that a word of cargo's stands for.
pub fn color_of(word: &str) -> Option<ColorChoice> {
    match word {
        "always" => Some(ColorChoice::Always),
        "never" => Some(ColorChoice::Never),
        "auto" => Some(ColorChoice::Auto),
        _ => None,
    }
}

//! `cargo bottleneck completions`

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::Shell;

use crate::cli::Cargo;

/// Print a script that completes words on the command line
#[derive(Debug, Args)]
#[command(after_help = INSTALLATION)]
pub(super) struct Completions {
    /// The shell that reads the script
    #[arg(value_name = "SHELL")]
    shell: ShellName,

    // The same flag everywhere; `color::early` has read it.
    /// Coloring
    #[arg(long, value_name = "WHEN")]
    color: Option<super::output::When>,
}

const INSTALLATION: &str = "\
To have it in every new shell:
  bash        echo 'source <(cargo-bottleneck completions bash)' >> ~/.bashrc
  zsh         cargo bottleneck completions zsh > ~/.zfunc/_cargo-bottleneck    (a folder of $fpath)
  fish        cargo bottleneck completions fish > ~/.config/fish/conf.d/cargo-bottleneck.fish
  elvish      cargo bottleneck completions elvish >> ~/.config/elvish/rc.elv
  powershell  cargo bottleneck completions powershell >> $PROFILE

Bash, zsh and fish complete `cargo bottleneck` too, elvish and powershell only `cargo-bottleneck`.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ShellName {
    Bash,
    Zsh,
    Fish,
    Elvish,
    #[value(alias = "pwsh")]
    Powershell,
}

impl Completions {
    /// The script.
    pub(super) fn script(&self) -> String {
        // With the word `cargo` in front it would be a script for the whole of cargo.
        let cargo = Cargo::command();
        let plugin = cargo.find_subcommand("bottleneck").cloned().unwrap_or(cargo);
        let mut plugin = plugin.name(NAME).bin_name(NAME);
        let mut script = Vec::new();
        clap_complete::generate(Shell::from(self.shell), &mut plugin, NAME, &mut script);
        let script = String::from_utf8_lossy(&script);
        // clap_complete 4.6 writes the dash of our name in two ways in the script for bash, which then finds nothing.
        let script = script.replace("cargo__subcmd__bottleneck", "cargo__bottleneck");
        script + self.shell.bridge()
    }
}

/// What the command is called when cargo does not start it.
const NAME: &str = "cargo-bottleneck";

impl ShellName {
    /// What hands the words behind `cargo bottleneck` to the completion of `cargo-bottleneck`.
    fn bridge(self) -> &'static str {
        match self {
            Self::Bash => include_str!("bridge.bash"),
            Self::Fish => include_str!("bridge.fish"),
            // Cargo's own script for zsh calls `_cargo-NAME` for a subcommand that it does not know; the other two have
            // no way to ask another completion.
            Self::Zsh | Self::Elvish | Self::Powershell => "",
        }
    }
}

impl From<ShellName> for Shell {
    fn from(name: ShellName) -> Self {
        match name {
            ShellName::Bash => Self::Bash,
            ShellName::Zsh => Self::Zsh,
            ShellName::Fish => Self::Fish,
            ShellName::Elvish => Self::Elvish,
            ShellName::Powershell => Self::PowerShell,
        }
    }
}

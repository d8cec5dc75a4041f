//! `--color`, found before the arguments are parsed, so that help and errors obey it too.

use std::ffi::OsString;

use anstream::ColorChoice;

/// The choice of the last `--color` before `--`, else of `CARGO_TERM_COLOR`, else by the terminal.
///
/// `NO_COLOR` and `CLICOLOR_FORCE` are honored where nothing else decides.
pub(super) fn early(args: &[OsString]) -> ColorChoice {
    let words: Vec<_> =
        args.iter().map(|arg| arg.to_string_lossy()).take_while(|arg| arg != "--").collect();
    let mut values =
        words.iter().enumerate().filter_map(|(i, word)| match word.strip_prefix("--color")? {
            "" => words.get(i + 1).map(ToString::to_string),
            rest => rest.strip_prefix('=').map(str::to_owned),
        });
    let choice = values.next_back().or_else(|| std::env::var("CARGO_TERM_COLOR").ok());
    match choice.as_deref() {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

/// The same choice for clap.
pub(super) fn for_help(choice: ColorChoice) -> clap::ColorChoice {
    match choice {
        ColorChoice::Auto => clap::ColorChoice::Auto,
        ColorChoice::Always | ColorChoice::AlwaysAnsi => clap::ColorChoice::Always,
        ColorChoice::Never => clap::ColorChoice::Never,
    }
}

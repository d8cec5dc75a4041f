//! `--open`: shows the picture in the user's browser, where there is one.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::commands::pipeline::Format;
use crate::status::Status;

/// Opens the first file that a browser can show. Where there is no screen, says so: the path has been printed.
pub fn open(files: &[(Format, PathBuf)], status: Status) {
    let Some((_, path)) = files.iter().find(|(format, _)| *format == Format::Svg) else {
        status.note("nothing to open: no svg was written");
        return;
    };
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let has_screen = cfg!(target_os = "macos") || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY");
    if !has_screen && !is_set("BROWSER") {
        status.note(format_args!("no screen to open `{}` on", path.display()));
        return;
    }
    let usual = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let program =
        std::env::var_os("BROWSER").filter(|_| is_set("BROWSER")).unwrap_or_else(|| usual.into());
    // Not waited for: a browser may stay open for as long as it likes.
    let started = Command::new(&program)
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = started {
        status.warning(format_args!(
            "cannot start `{}` to open `{}`: {error}",
            program.display(),
            path.display()
        ));
    }
}

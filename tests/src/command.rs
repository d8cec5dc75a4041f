//! Runs `cargo bottleneck` as a user does: the binary is built by cargo, once per test program.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The command, built.
#[derive(Debug)]
pub struct Bottleneck {
    binary: PathBuf,
    target: PathBuf,
}

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it and the program wrote to stdout.
    pub stdout: String,
    /// What it and the program wrote to stderr.
    pub stderr: String,
}

/// The command; the first call builds it, into the target directory of the calling test.
///
/// # Panics
/// If it cannot be built, which fails the test.
pub fn bottleneck() -> &'static Bottleneck {
    static BUILT: OnceLock<Bottleneck> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = target_directory();
        let output = clean(env!("CARGO"))
            .args(["build", "--package", "cargo-bottleneck", "--message-format=json"])
            .arg("--target-dir")
            .arg(&target)
            .current_dir(workspace())
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "cargo-bottleneck cannot be built");
        let text = String::from_utf8_lossy(&output.stdout);
        let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let binary = messages
            .filter(|message| message["target"]["name"] == "cargo-bottleneck")
            .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
            .expect("cargo names the binary that it built");
        Bottleneck { binary, target }
    })
}

impl Bottleneck {
    /// `cargo bottleneck ARGS`, in a folder.
    pub fn command<A: AsRef<OsStr>>(
        &self,
        folder: &Path,
        args: impl IntoIterator<Item = A>,
    ) -> Command {
        Self::set_up(clean(&self.binary), folder, args)
    }

    /// The same, started by another program: `WITHIN[0] WITHIN[1..] cargo-bottleneck bottleneck ARGS`.
    pub fn command_within<A: AsRef<OsStr>>(
        &self,
        within: &[&str],
        folder: &Path,
        args: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = clean(within[0]);
        command.args(&within[1..]).arg(&self.binary);
        Self::set_up(command, folder, args)
    }

    /// As cargo starts it.
    fn set_up<A: AsRef<OsStr>>(
        mut command: Command,
        folder: &Path,
        args: impl IntoIterator<Item = A>,
    ) -> Command {
        command.env("CARGO", env!("CARGO")).arg("bottleneck").args(args);
        command.current_dir(folder).stdin(Stdio::null());
        command
    }

    /// The binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The target directory that holds it.
    pub fn target(&self) -> &Path {
        &self.target
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// Runs a command to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn of(mut command: Command) -> Self {
        command.output().expect("the command starts").into()
    }

    /// The line that `--message-format json` prints, behind whatever the program printed.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn message(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }

    /// What stdout holds but for that line, and the end of line that comes before it on a pipe.
    pub fn stdout_of_program(&self) -> &str {
        let without_end = self.stdout.strip_suffix('\n').unwrap_or(&self.stdout);
        without_end.rfind('\n').map_or("", |end| &self.stdout[..end])
    }
}

/// `cargo ARGS`, in a folder: what `cargo bottleneck` is compared with.
pub fn cargo<A: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = A>) -> Command {
    let mut command = clean(env!("CARGO"));
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command
}

/// The workspace that this package is a member of.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in its workspace")
}

/// Cargo marks its target directory with a `CACHEDIR.TAG`.
pub(crate) fn target_directory() -> PathBuf {
    let program = std::env::current_exe().expect("the test knows its own path");
    let marked = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    marked.expect("the test lies in a target directory").to_owned()
}

/// A command in the environment of a user: without what `cargo test` has put into that of this test.
fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_cargos = text.starts_with("CARGO") && text != "CARGO_HOME";
        if is_cargos || text.starts_with("BOTTLENECK_") || text == "LD_LIBRARY_PATH" {
            command.env_remove(&name);
        }
    }
    for name in ["OUT_DIR", "CI", "NO_COLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    with_usual_signals(&mut command);
    command
}

/// Signals as a shell sets them: a gate that runs in the background, or under `nohup`, hands on that they are ignored.
fn with_usual_signals(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    // SAFETY: the closure only makes async-signal-safe calls.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
}

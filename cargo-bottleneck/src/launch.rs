//! Starts the program, waits for it, and says exactly how it went.
//!
//! The program shares the process group, the terminal and the three standard streams with the command: prompts, colors
//! and job control work as without it. Nothing is read from or written to its streams.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::escape::is_obeyed;
use crate::exit_code::ExitCode;
use crate::signals::{SignalGuard, StoppedBy};
use crate::syscalls::{self, Usage};

/// A program, ready to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// What to start, a path or a name to look for in `PATH`; also its `argv[0]`.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Where it starts; the directory of the command if `None`.
    pub directory: Option<PathBuf>,
    /// Its whole environment.
    pub environment: Vec<(OsString, OsString)>,
}

/// A program that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Its process id, free again.
    pub pid: u32,
    /// `CLOCK_MONOTONIC` just before it was started.
    pub started: Duration,
    /// From there until the kernel said that it had ended.
    pub wall: Duration,
    /// How it ended.
    pub exit: Exit,
    /// Who ended it, if not itself.
    pub stopped_by: Option<StoppedBy>,
    /// What the kernel counted for it and its children.
    pub usage: Usage,
}

/// How a program ended: by a code or by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The code that it gave.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether the kernel dumped its core.
    #[serde(default)]
    pub core_dumped: bool,
}

/// A program that was started.
#[derive(Debug)]
pub struct Running<'a> {
    program: &'a OsString,
    pid: u32,
    started: Duration,
    signals: &'a SignalGuard,
}

/// Starts the program, which messages call `name`, and stops it after `duration` if there is one.
///
/// # Errors
/// If it cannot be started.
pub fn start<'a>(
    launch: &'a Launch,
    name: &str,
    duration: Option<Duration>,
    signals: &'a SignalGuard,
) -> Result<Running<'a>, Error> {
    let mut command = Command::new(&launch.program);
    command
        .args(&launch.args)
        .env_clear()
        .envs(launch.environment.iter().map(|(name, value)| (name, value)));
    if let Some(directory) = &launch.directory {
        command.current_dir(directory);
    }
    let started = syscalls::monotonic();
    let child = signals
        .start(name, || command.spawn())
        .map_err(|error| cannot_start(&launch.program, &error))?;
    let pid = child.id();
    if let Some(duration) = duration
        && let Err(error) = signals.stop_after(duration)
    {
        // It runs already; better too long than without a report.
        signals.status().warning(format_args!(
            "`--duration` has no effect: no thread can be started ({error})\n  fix: stop the program with Ctrl-C"
        ));
    }
    Ok(Running { program: &launch.program, pid, started, signals })
}

impl Running<'_> {
    /// Waits until the program has ended. How it ends is no error.
    ///
    /// # Errors
    /// If somebody else has taken its status.
    pub fn wait(self) -> Result<Ended, Error> {
        let Self { program, pid, started, signals } = self;
        let waited = syscalls::wait_until_ended(pid);
        let wall = syscalls::monotonic().saturating_sub(started);
        // From here on no signal is sent to the process id, so that it can be freed.
        let stopped_by = signals.program_ended();
        let (exit, usage) = waited
            .and_then(|()| syscalls::reap(pid))
            .map_err(|error| setup(format!("cannot wait for `{}`", program.display()), &error))?;
        Ok(Ended { pid, started, wall, exit: Exit::from(exit), stopped_by, usage })
    }
}

fn setup(what: String, error: &io::Error) -> Error {
    Error::new(ExitCode::Setup, what).why(error)
}

impl Ended {
    /// Whether nothing went wrong: it ended well, or stopped because its time was up, by the signals that told it so.
    pub fn is_as_asked(&self) -> bool {
        match self.stopped_by {
            Some(StoppedBy::Duration) => {
                let by_signal =
                    [Some(libc::SIGINT), Some(libc::SIGKILL)].contains(&self.exit.signal);
                // A program that catches Ctrl-C may give the code that a shell would.
                by_signal || [Some(0), Some(128 + libc::SIGINT)].contains(&self.exit.code)
            }
            Some(StoppedBy::Signal(_) | StoppedBy::Kill) | None => self.exit.is_success(),
        }
    }

    /// Whether the program, or somebody who stopped it before its time, cut the run short.
    pub fn is_cut(&self) -> bool {
        let is_by_user = match self.stopped_by {
            Some(StoppedBy::Signal(_) | StoppedBy::Kill) => true,
            Some(StoppedBy::Duration) | None => false,
        };
        is_by_user || !self.is_as_asked()
    }

    /// The code that the command passes on: 0 where nothing went wrong, else that of the program.
    pub fn code_to_pass_on(&self) -> u8 {
        if self.is_as_asked() { 0 } else { self.exit.code_to_pass_on() }
    }
}

/// Why a program did not start. The kernel has few words for it, and the same ones for a missing program and for a missing
/// interpreter.
fn cannot_start(program: &OsString, error: &io::Error) -> Error {
    let path = Path::new(program);
    let said = Error::new(ExitCode::Setup, format!("cannot start `{}`", program.display()));
    let is_path = path.components().count() > 1;
    match error.raw_os_error() {
        Some(libc::ENOENT) if !is_path => said.why(format!("{error}: it is not in any folder of PATH")).fix(
            "give its path, such as `./program`; if it is the runner of cargo's configuration, install it or correct \
             `target.<triple>.runner`",
        ),
        Some(libc::ENOENT) if path.exists() => match interpreter(path) {
            Some(name) => said
                .why(format!("it is a script for `{name}`, which is not there"))
                .fix(format!("install `{name}`, or correct the first line of the script")),
            None => said
                .why("the loader that it was linked for is not there")
                .fix("build it on this machine, or for this system"),
        },
        Some(libc::ENOENT) => {
            said.why(error).fix("build it first, or give the path of a program that is there")
        }
        Some(libc::EACCES) if path.is_dir() => {
            said.why("it is a folder").fix("give the path of a program")
        }
        Some(libc::EACCES) => said
            .why(format!("{error}: it may not be executed"))
            .fix(format!("allow it: chmod +x {}", shell_words(std::iter::once(program)))),
        Some(libc::ENOEXEC) => said.why(format!("{error}: it is neither a program of this machine nor a script")).fix(
            "build it for this machine; a script says in its first line what runs it, such as #!/bin/sh",
        ),
        _ => said.why(error).fix("see whether it starts without `cargo bottleneck`"),
    }
}

/// What the first line of a script names to run it.
fn interpreter(path: &Path) -> Option<String> {
    let mut head = [0; 256];
    let read = std::fs::File::open(path).ok()?.read(&mut head).ok()?;
    let line = head[..read].strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    Some(String::from_utf8_lossy(line).split_whitespace().next()?.to_owned())
}

impl Launch {
    /// The command line, as it is recorded in the report.
    pub fn command_line(&self) -> Vec<String> {
        std::iter::once(&self.program)
            .chain(&self.args)
            .map(|word| word.to_string_lossy().into_owned())
            .collect()
    }

    /// The command line as a person would type it into a shell.
    pub fn display(&self) -> String {
        shell_words(std::iter::once(&self.program).chain(&self.args))
    }
}

/// Words as a person would type them into a shell.
pub fn shell_words<'a>(words: impl Iterator<Item = &'a OsString>) -> String {
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=/,.+:@%^".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else if word.chars().any(is_obeyed) {
        // The form of bash, zsh and ksh in which nothing has to stand as itself.
        let escaped: String = word.chars().map(dollar_quoted).collect();
        format!("$'{escaped}'")
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn dollar_quoted(c: char) -> String {
    match c {
        '\\' | '\'' => format!("\\{c}"),
        '\n' => r"\n".to_owned(),
        c if c.is_ascii() && is_obeyed(c) => format!("\\x{:02x}", u32::from(c)),
        c if is_obeyed(c) => format!("\\U{:08x}", u32::from(c)),
        c => c.to_string(),
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        Self { code: status.code(), signal: status.signal(), core_dumped: status.core_dumped() }
    }
}

impl Exit {
    /// A good end.
    pub fn is_success(self) -> bool {
        self.code == Some(0)
    }

    /// The code that the command passes on: the program's own, or 128 plus the number of the signal.
    pub fn code_to_pass_on(self) -> u8 {
        let code = self.code.or(self.signal.map(|signal| 128 + signal)).unwrap_or(1);
        // A code has 8 bits and a signal number 7: this cannot fail on what the kernel gave.
        u8::try_from(code).unwrap_or(1)
    }

    /// Cargo's words for it: `exit status: 1`, `signal: 11, SIGSEGV: invalid memory reference`.
    pub fn words(self) -> String {
        match (self.code, self.signal) {
            (_, Some(signal)) => format!("signal: {signal}{}", signal_words(signal)),
            (Some(code), None) => format!("exit status: {code}"),
            (None, None) => "unknown status".to_owned(),
        }
    }
}

/// The same words as in `cargo_util::exit_status_to_string`, so that they are found by the same searches.
fn signal_words(signal: i32) -> &'static str {
    match signal {
        libc::SIGABRT => ", SIGABRT: process abort signal",
        libc::SIGALRM => ", SIGALRM: alarm clock",
        libc::SIGFPE => ", SIGFPE: erroneous arithmetic operation",
        libc::SIGHUP => ", SIGHUP: hangup",
        libc::SIGILL => ", SIGILL: illegal instruction",
        libc::SIGINT => ", SIGINT: terminal interrupt signal",
        libc::SIGKILL => ", SIGKILL: kill",
        libc::SIGPIPE => ", SIGPIPE: write on a pipe with no one to read",
        libc::SIGQUIT => ", SIGQUIT: terminal quit signal",
        libc::SIGSEGV => ", SIGSEGV: invalid memory reference",
        libc::SIGTERM => ", SIGTERM: termination signal",
        libc::SIGBUS => ", SIGBUS: access to undefined memory",
        libc::SIGSYS => ", SIGSYS: bad system call",
        libc::SIGTRAP => ", SIGTRAP: trace/breakpoint trap",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_passed_on_as_a_shell_shows_it() {
        let exit = Exit::from(ExitStatus::from_raw(libc::SIGSEGV));
        assert_eq!(exit.code_to_pass_on(), 139);
        assert_eq!(exit.words(), "signal: 11, SIGSEGV: invalid memory reference");
    }

    #[test]
    fn a_program_whose_time_was_up_has_ended_well_unless_it_failed() {
        let ended = |status: i32, stopped_by: Option<StoppedBy>| Ended {
            pid: 1,
            started: Duration::ZERO,
            wall: Duration::ZERO,
            exit: Exit::from(ExitStatus::from_raw(status)),
            stopped_by,
            usage: Usage::default(),
        };
        let by_time = Some(StoppedBy::Duration);
        for (status, stopped_by, code, is_cut) in [
            (0, None, 0, false),
            (libc::SIGINT, by_time, 0, false),
            (libc::SIGKILL, by_time, 0, false),
            (130 << 8, by_time, 0, false),
            (1 << 8, by_time, 1, true),
            (libc::SIGSEGV, by_time, 139, true),
            (libc::SIGINT, None, 130, true),
            (0, Some(StoppedBy::Signal(libc::SIGINT)), 0, true),
            (libc::SIGKILL, Some(StoppedBy::Kill), 137, true),
        ] {
            let ended = ended(status, stopped_by);
            assert_eq!((ended.code_to_pass_on(), ended.is_cut()), (code, is_cut), "{ended:?}");
        }
    }

    #[test]
    fn every_code_is_passed_on() {
        for code in 0..=255_u8 {
            assert_eq!(
                Exit::from(ExitStatus::from_raw(i32::from(code) << 8)).code_to_pass_on(),
                code
            );
        }
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        let words = ["target/debug/x", "a b", "", "it's", "--n=3"].map(OsString::from);
        assert_eq!(shell_words(words.iter()), r"target/debug/x 'a b' '' 'it'\''s' --n=3");
        let words = ["it's\n\x1b[2J", "a\\\u{202e}b"].map(OsString::from);
        assert_eq!(shell_words(words.iter()), r"$'it\'s\n\x1b[2J' $'a\\\U0000202eb'");
    }
}

//! Projects in temporary folders, and ways to run cargo and the command in them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

use tempfile::TempDir;

/// A program with a mode for each thing that a program can do to the one who runs it. It needs nothing but std.
pub(crate) const PROGRAM: &str = r#"
use std::io::{Read, Write};

unsafe extern "C" {
    fn getpid() -> i32;
    fn kill(pid: i32, signal: i32) -> i32;
    fn pause() -> i32;
    fn signal(signal: i32, handler: usize) -> usize;
    fn _exit(code: i32) -> !;
    fn write(descriptor: i32, bytes: *const u8, length: usize) -> isize;
}

extern "C" fn leave(_signal: i32) {
    unsafe { write(1, b"left\n".as_ptr(), 5) };
    unsafe { _exit(7) }
}

fn wait() {
    println!("ready");
    std::io::stdout().flush().unwrap();
    loop {
        unsafe { pause() };
    }
}

fn main() {
    use std::os::unix::ffi::OsStrExt;
    let args: Vec<_> = std::env::args_os().collect();
    let word = |i: usize| args.get(i).and_then(|word| word.to_str()).unwrap_or_default();
    eprintln!("program: {} on stderr", word(1));
    match word(1) {
        "exit" => std::process::exit(word(2).parse().unwrap()),
        "panic" => panic!("as asked"),
        "signal" => { unsafe { kill(getpid(), word(2).parse().unwrap()) }; }
        "segv" => unsafe { (8 as *mut u8).write_volatile(1) },
        "say" => print!("{}", word(2)),
        "cat" => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).unwrap();
            bytes.make_ascii_uppercase();
            std::io::stdout().write_all(&bytes).unwrap();
        }
        "wait" => wait(),
        "leave" => { unsafe { signal(2, leave as *const () as usize) }; wait() }
        "ignore" => { unsafe { signal(2, 1) }; wait() }
        // A worker that ignores Ctrl-C as its parent does, which only ends after it.
        "parent" => {
            unsafe { signal(2, 1) };
            let worker = std::process::Command::new(&args[0]).arg("ignore").status();
            println!("worker {worker:?}");
        }
        _ => {
            let mut variables: Vec<_> = std::env::vars_os().collect();
            variables.sort();
            for (name, value) in variables {
                println!("{}={}", name.as_bytes().escape_ascii(), value.as_bytes().escape_ascii());
            }
            println!("argv {args:?}");
            println!("exe {:?}", std::env::current_exe().unwrap());
            println!("cwd {:?}", std::env::current_dir().unwrap());
        }
    }
}
"#;

/// A project, removed when dropped.
pub(crate) struct Project {
    folder: TempDir,
}

impl Project {
    /// A package with these files; `Cargo.toml` among them.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { folder }
    }

    /// A package with one binary, [`PROGRAM`].
    pub(crate) fn with_program() -> Self {
        Self::new(&[("Cargo.toml", &manifest("prog")), ("src/main.rs", PROGRAM)])
    }

    /// The folder, without links in its name: cargo would resolve them.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    /// `cargo ARGS` in a folder of the project.
    pub(crate) fn cargo(&self, folder: &str, args: &[&str]) -> Command {
        let mut command = clean(cargo());
        command.current_dir(self.path().join(folder)).args(args);
        command
    }

    /// `cargo bottleneck ARGS` as cargo starts it, in a folder of the project.
    pub(crate) fn bottleneck(&self, folder: &str, args: &[&str]) -> Command {
        let mut command = clean(env!("CARGO_BIN_EXE_cargo-bottleneck"));
        command
            .env("CARGO", cargo())
            .current_dir(self.path().join(folder))
            .arg("bottleneck")
            .args(args);
        command
    }

    /// A script for bash, which finds the words of `cargo bottleneck ARGS` in `$@`.
    pub(crate) fn in_shell(&self, script: &str, args: &[&str]) -> Command {
        let mut command = clean("bash");
        command.env("CARGO", cargo()).current_dir(self.path()).args(["-c", script, "bash"]);
        command.arg(env!("CARGO_BIN_EXE_cargo-bottleneck")).arg("bottleneck").args(args);
        command
    }

    /// The folder of the newest run of a program.
    pub(crate) fn latest(&self, program: &str) -> PathBuf {
        self.path().join("target/bottleneck-reports").join(program).join("latest")
    }

    /// What the command wrote down about the newest run of a program.
    pub(crate) fn facts(&self, program: &str) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.latest(program).join("run.json")).unwrap()).unwrap()
    }
}

/// The manifest of a package with nothing special about it.
pub(crate) fn manifest(name: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"1.2.3\"\nedition = \"2024\"\n")
}

/// Runs to the end without a stdin.
#[track_caller]
pub(crate) fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Variables that a program has under the command and not under cargo.
const OURS: [&str; 1] = ["BOTTLENECK_RUN_DIR"];

/// What [`PROGRAM`] prints of itself is the same, but for our own variables.
#[track_caller]
pub(crate) fn assert_same(expected: &Output, actual: &Output) {
    let is_ours = |line: &str| OURS.iter().any(|name| line.starts_with(&format!("{name}=")));
    let lines = |output: &Output| -> Vec<String> {
        let text = stdout(output);
        text.lines().filter(|line| !is_ours(line)).map(str::to_owned).collect()
    };
    let (expected_lines, actual_lines) = (lines(expected), lines(actual));
    let only = |of: &[String], other: &[String]| {
        of.iter().filter(|line| !other.contains(line)).cloned().collect::<Vec<_>>().join("\n")
    };
    assert!(!expected_lines.is_empty(), "{}", stderr(expected));
    assert!(
        expected_lines == actual_lines,
        "only under cargo:\n{}\nonly under us:\n{}\nour stderr:\n{}",
        only(&expected_lines, &actual_lines),
        only(&actual_lines, &expected_lines),
        stderr(actual)
    );
}

fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// A command in the environment of a user: without what `cargo test` has put into that of this test.
fn clean(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let is_kept = matches!(&*text, "CARGO_HOME");
        if !is_kept && (text.starts_with("CARGO") || text.starts_with("BOTTLENECK_")) {
            command.env_remove(&name);
        }
    }
    for name in [
        "LD_LIBRARY_PATH",
        "RUSTFLAGS",
        "RUSTC",
        "RUSTC_WRAPPER",
        "OUT_DIR",
        "CI",
        "NO_COLOR",
        "CLICOLOR_FORCE",
    ] {
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

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

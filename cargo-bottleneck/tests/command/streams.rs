//! Streams that are closed, terminals that are small or dumb, words that are not text: the report is made, calmly.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use crate::messages::assert_calm;
use crate::project::{Project, output, stderr, stdout};
use crate::recordings;
use crate::terminal::Terminal;

fn with_recording() -> Project {
    let project = Project::new(&[]);
    fs::write(project.path().join("good.bneck"), recordings::good()).unwrap();
    project
}

/// The same command behind a shell, which closes or pipes its streams.
fn in_shell(command: &Command, script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
    shell.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

#[test]
fn nobody_has_to_read_what_is_said() {
    let project = with_recording();
    let json =
        project.bottleneck("", &["report", "good.bneck", "-o", "r", "--message-format", "json"]);
    let help = project.bottleneck("", &["run", "--help"]);
    for script in [
        "\"$@\" | true",
        "\"$@\" | head -c 1",
        "\"$@\" 2>&1 | head -n 1",
        "\"$@\" >&-",
        "\"$@\" 2>&-",
        "\"$@\" <&- >&- 2>&-",
        "\"$@\" >/dev/full",
        "\"$@\" 2>/dev/full",
    ] {
        for command in [&json, &help] {
            let _ = fs::remove_dir_all(project.path().join("r"));
            let actual = output(&mut in_shell(command, &format!("({script}); echo code $? >&2")));
            assert_calm(&actual);
            let text = stderr(&actual);
            assert!(text.contains("code 0"), "{script}: {text}");
        }
    }
    let _ = fs::remove_dir_all(project.path().join("r"));
    output(&mut in_shell(&json, "\"$@\" >&- 2>&-"));
    assert!(project.path().join("r/summary.json").exists(), "the report is written all the same");
}

#[test]
fn a_small_terminal_and_a_dumb_one() {
    let project = with_recording();
    for (columns, name) in [(20, "xterm-256color"), (80, "dumb"), (1, "xterm"), (0, "")] {
        for args in
            [&["report", "good.bneck", "-o", "r"][..], &["run", "--help"], &["run", "--relese"]]
        {
            let mut command = project.bottleneck("", args);
            command.env("TERM", name).env_remove("COLORTERM");
            if name.is_empty() {
                command.env_remove("TERM");
            }
            let terminal = Terminal::start_with_columns(command, columns);
            let (code, text) = terminal.finish_raw();
            assert!(!text.contains("panicked"), "{text}");
            assert_eq!(code, Some(if args.contains(&"--relese") { 2 } else { 0 }), "{text}");
            assert_eq!(
                text.contains('\u{1b}'),
                name != "dumb" && !name.is_empty(),
                "{name}: {text:?}"
            );
        }
    }
}

#[test]
fn any_locale() {
    let project = with_recording();
    for locale in ["C", "POSIX", "de_DE.ISO-8859-1", "no such locale"] {
        let mut command = project.bottleneck("", &["report", "good.bneck", "-o", "r"]);
        let actual = output(command.env("LC_ALL", locale).env("LANG", locale));
        assert_calm(&actual);
        assert_eq!(actual.status.code(), Some(0), "{}", stderr(&actual));
    }
}

#[test]
fn words_that_are_not_text() {
    let project = with_recording();
    let strange = OsStr::from_bytes(b"caf\xe9 \x1b[31m\n.bneck");
    if fs::write(project.path().join(strange), recordings::good()).is_err() {
        return println!("SKIP: this file system takes no such name");
    }
    let with = |args: &[&OsStr]| output(project.bottleneck("", &[]).args(args));
    let report = OsStr::new("report");
    let out = OsString::from("-o");
    for folder in [OsStr::new("r"), OsStr::from_bytes(b"r\xff\x1b[2J")] {
        let actual = with(&[report, strange, &out, folder]);
        assert_calm(&actual);
        assert_eq!(actual.status.code(), Some(0), "{}", stderr(&actual));
        let json = OsStr::new("--message-format=json");
        let actual = with(&[report, strange, &out, folder, json]);
        assert_calm(&actual);
        let line: serde_json::Value = serde_json::from_str(&stdout(&actual)).unwrap();
        assert!(line["recording"].as_str().unwrap().contains('\u{fffd}'), "{line:#}");
        assert_eq!(line["summary"]["program"].as_str().unwrap().chars().next(), Some('c'));
    }
    // Nothing is said raw of what is not there either.
    let missing = OsStr::from_bytes(b"gone\xff\x1b]0;owned\x07");
    for args in [
        &[report, missing][..],
        &[OsStr::new("run"), OsStr::new("--exec"), OsStr::new("--"), missing, strange],
        &[OsStr::new("run"), OsStr::new("--bin"), missing],
        &[missing],
    ] {
        let actual = with(args);
        assert_calm(&actual);
        assert!(!actual.status.success());
        assert!(
            stderr(&actual).starts_with("error: ") || stderr(&actual).contains("\nerror: "),
            "{}",
            stderr(&actual)
        );
    }
}

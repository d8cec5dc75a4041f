//! Ctrl-C from a real terminal, and signals from other processes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use crate::project::{Project, stderr};
use crate::terminal::Terminal;

fn in_terminal(project: &Project, mode: &str) -> Terminal {
    let terminal = Terminal::start(project.bottleneck("", &["run", "--dev", "--", mode]));
    terminal.wait_for("ready");
    terminal
}

#[test]
fn the_first_ctrl_c_is_the_programs_own() {
    let project = Project::with_program();
    let terminal = in_terminal(&project, "leave");
    terminal.press_ctrl_c();
    let (code, text) = terminal.finish();
    assert_eq!(code, Some(7), "{text}");
    assert_eq!(text.matches("left").count(), 1, "it got the signal once:\n{text}");
    assert!(text.contains("Ctrl-C waiting for `prog` to stop"), "{text}");
    let facts = project.facts("prog");
    assert_eq!((&facts["cut"], &facts["stopped_by"]["signal"]), (&true.into(), &2.into()));
}

#[test]
fn ctrl_c_ends_a_program_that_does_not_handle_it_and_the_report_is_written() {
    let project = Project::with_program();
    let terminal = in_terminal(&project, "wait");
    terminal.press_ctrl_c();
    let (code, text) = terminal.finish();
    assert_eq!(code, Some(130), "{text}");
    assert!(text.contains("(signal: 2, SIGINT: terminal interrupt signal)"), "{text}");
    assert_eq!(project.facts("prog")["exit"]["signal"], 2);
}

#[test]
fn the_second_ctrl_c_kills_and_still_reports() {
    let project = Project::with_program();
    let terminal = in_terminal(&project, "ignore");
    terminal.press_ctrl_c();
    terminal.wait_for("waiting for `prog` to stop");
    terminal.press_ctrl_c();
    let (code, text) = terminal.finish();
    assert_eq!(code, Some(137), "{text}");
    let facts = project.facts("prog");
    assert_eq!((&facts["cut"], &facts["stopped_by"]), (&true.into(), &"kill".into()));
}

#[test]
fn what_is_sent_to_the_command_reaches_the_program() {
    let project = Project::with_program();
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT] {
        let mut command = project.bottleneck("", &["run", "--dev", "--", "wait"]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        // SAFETY: `kill` touches no memory, and the child has not been waited for, so its id is its own.
        unsafe { libc::kill(child.id().cast_signed(), signal) };
        lines.read_to_string(&mut line).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(128 + signal), "{}", stderr(&output));
        assert_eq!(project.facts("prog")["exit"]["signal"], signal);
        assert_eq!(project.facts("prog")["stopped_by"]["signal"], signal);
    }
}

#[test]
fn a_signal_that_was_ignored_from_outside_stays_so_for_the_program() {
    let project = Project::with_program();
    let mut command = project.bottleneck("", &["run", "--dev", "--", "signal", "2"]);
    ignore_interrupts(&mut command);
    let output = crate::project::output(&mut command);
    assert_eq!(output.status.code(), Some(4), "it ran on to its good end: {}", stderr(&output));
}

fn ignore_interrupts(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt as _;
    // SAFETY: the closure only makes an async-signal-safe call.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_IGN);
            Ok(())
        });
    }
}

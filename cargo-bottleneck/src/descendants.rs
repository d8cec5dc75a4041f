//! The processes that a program has started, as far as a terminal would count them to the same job.
//!
//! Ctrl-C in a terminal reaches every process of the foreground group. Whoever stops a program in another way must reach
//! the same ones: the program may stand behind a runner or a shell, or have workers. A process that has left the group,
//! such as a daemon, is not ours to stop. Nothing here sends anything.

use std::fs;

/// What `/proc/<pid>/stat` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    group: u32,
}

/// The descendants of process `pid` that are in its process group, parents before their children. Empty where `/proc`
/// cannot be read, or the process has gone.
pub fn in_group_of(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    descendants(pid, &pids.filter_map(read).collect::<Vec<_>>())
}

fn read(pid: u32) -> Option<Process> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (name) state ppid pgrp ...`; the name may hold anything, a closing parenthesis too.
fn parse(pid: u32, stat: &str) -> Option<Process> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(1).map(str::parse);
    let (parent, group) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(Process { pid, parent, group })
}

fn descendants(root: u32, processes: &[Process]) -> Vec<u32> {
    let Some(group) = processes.iter().find(|process| process.pid == root).map(|it| it.group)
    else {
        return Vec::new();
    };
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        // A process is found once, through its one parent; the check is for ids that changed hands while we read.
        let children = processes.iter().filter(|it| it.parent == parent && it.group == group);
        let new: Vec<u32> = children.map(|it| it.pid).filter(|pid| !found.contains(pid)).collect();
        found.extend(new);
        at += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let expected = Process { pid: 7, parent: 3, group: 5 };
        assert_eq!(parse(7, "7 (a) b) (c)) S 3 5 5 0 -1"), Some(expected));
        assert_eq!(parse(7, "7 (x) S"), None);
    }

    #[test]
    fn descendants_are_those_of_the_group() {
        let process = |pid, parent, group| Process { pid, parent, group };
        let processes = [
            process(10, 1, 10),
            process(13, 12, 10),
            process(11, 10, 10),
            process(12, 10, 10),
            // Left the group; so its children are its own affair.
            process(20, 10, 20),
            process(21, 20, 10),
            // Another's.
            process(30, 1, 10),
        ];
        assert_eq!(descendants(10, &processes), [11, 12, 13]);
        assert!(descendants(99, &processes).is_empty());
    }

    #[test]
    fn this_process_finds_its_child() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        assert!(in_group_of(std::process::id()).contains(&child.id()));
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

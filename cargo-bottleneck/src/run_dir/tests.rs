//! Folders of runs: their names, their owners, and what becomes of a recording.

use super::*;
use std::time::Duration;

#[test]
fn folders_are_named_by_the_utc_time() {
    for (seconds, expected) in [
        (0, "1970-01-01T00-00-00Z"),
        (951_782_399, "2000-02-28T23-59-59Z"),
        (951_782_400, "2000-02-29T00-00-00Z"),
        (1_785_328_496, "2026-07-29T12-34-56Z"),
        (4_107_542_400, "2100-03-01T00-00-00Z"),
    ] {
        assert_eq!(utc_file_name(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
    }
}

#[test]
fn two_runs_in_one_second_do_not_share_a_folder() {
    let target = tempfile::tempdir().unwrap();
    let first = RunDir::create(target.path(), "x", UNIX_EPOCH).unwrap();
    let second = RunDir::create(target.path(), "x", UNIX_EPOCH).unwrap();
    first.publish();
    second.publish();
    assert_ne!(first.path(), second.path());
    let latest = target.path().join(REPORTS).join("x/latest");
    assert_eq!(fs::canonicalize(latest).unwrap(), fs::canonicalize(second.path()).unwrap());
}

fn recorded_into(folder: &Path, memory: File) -> RunDir {
    RunDir { path: folder.to_owned(), fallback: Some(memory), is_new: false, _lock: None }
}

#[test]
fn a_run_that_never_began_leaves_nothing_of_its_own() {
    let target = tempfile::tempdir().unwrap();
    let run = RunDir::create(target.path(), "x", UNIX_EPOCH).unwrap();
    let path = run.path().to_owned();
    run.discard();
    assert!(!path.exists());
    let named = RunDir::at(target.path()).unwrap();
    named.discard();
    assert!(target.path().exists(), "it was there before");
}

#[test]
fn a_folder_belongs_to_one_run_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::at(folder.path()).unwrap();
    let error = RunDir::at(folder.path()).unwrap_err().to_string();
    assert!(error.contains("another `cargo bottleneck run` is recording there"), "{error}");
    drop(run);
    RunDir::at(folder.path()).unwrap();
}

#[test]
fn runs_are_ordered_by_time_and_number() {
    let program = tempfile::tempdir().unwrap();
    let names = ["2026-07-29T12-34-56Z", "2026-07-29T12-34-56Z-2", "2026-07-29T12-34-56Z-10"];
    for name in names.iter().rev().chain(&["notes", "2026-07-29T12-34-56Z-x"]) {
        fs::create_dir(program.path().join(name)).unwrap();
    }
    assert_eq!(runs_of(program.path()), names.map(|name| program.path().join(name)));
}

#[test]
fn what_is_in_the_way_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(REPORTS), "").unwrap();
    let error = RunDir::create(folder.path(), "x", UNIX_EPOCH).unwrap_err().to_string();
    assert!(error.contains(&format!("{REPORTS}` is no folder")), "{error}");
}

#[test]
fn a_folder_that_can_be_mapped_needs_no_fallback() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = RunDir::at(folder.path()).unwrap();
    assert_eq!(run.prepare_recording().unwrap(), None);
    assert_eq!(run.fallback_path(), None);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the trial leaves nothing behind");
}

#[test]
fn what_was_recorded_into_memory_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let memory = syscalls::memory_file(c"trial").unwrap();
    let run = recorded_into(folder.path(), memory);
    fs::write(run.fallback_path().unwrap(), b"recording").unwrap();
    let (recordings, error) = run.recordings();
    assert!(error.is_none() && recordings == [folder.path().join("run.bneck")]);
    assert_eq!(fs::read(folder.path().join("run.bneck")).unwrap(), b"recording");
}

#[test]
fn a_recording_that_cannot_be_kept_is_still_read() {
    let memory = syscalls::memory_file(c"trial").unwrap();
    let run = recorded_into(Path::new("/proc/nowhere"), memory);
    fs::write(run.fallback_path().unwrap(), b"recording").unwrap();
    let (recordings, error) = run.recordings();
    assert!(error.unwrap().to_string().starts_with("cannot write `/proc/nowhere"));
    assert_eq!(fs::read(&recordings[0]).unwrap(), b"recording");
}

#[test]
fn a_recording_and_its_link_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("17-3.bneck"), "root").unwrap();
    fs::write(at("18-4.bneck"), "child").unwrap();
    fs::write(at("flame.svg"), "").unwrap();
    fs::hard_link(at("17-3.bneck"), at("run.bneck")).unwrap();
    assert_eq!(recordings(folder.path()), [at("run.bneck"), at("18-4.bneck")]);
}

#[test]
fn the_programs_own_recording_becomes_the_root() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("17-3.bneck"), "before exec").unwrap();
    fs::write(at("17-4.bneck"), "after exec").unwrap();
    fs::hard_link(at("17-3.bneck"), at("run.bneck")).unwrap();
    assert_eq!(named_as_root(&at("17-4.bneck")), at("run.bneck"));
    assert_eq!(fs::read(at("run.bneck")).unwrap(), b"after exec");
    assert_eq!(recordings(folder.path()), [at("run.bneck"), at("17-3.bneck")]);
    assert_eq!(named_as_root(&at("run.bneck")), at("run.bneck"));
}

#[test]
fn a_named_folder_is_cleared_of_recordings_but_not_of_copies() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("17-3.bneck"), "root").unwrap();
    fs::hard_link(at("17-3.bneck"), at("run.bneck")).unwrap();
    fs::write(at("before-the-fix.bneck"), "copy").unwrap();
    RunDir::at(folder.path()).unwrap();
    assert_eq!(recordings(folder.path()), [at("before-the-fix.bneck")]);
}

#[test]
fn a_file_is_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/summary.json");
    write_atomically(&path, b"old").unwrap();
    write_atomically(&path, b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

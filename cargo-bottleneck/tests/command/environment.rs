//! A program sees the same under the command as under cargo: environment, arguments, folder, streams.

use std::io::Write as _;
use std::process::Stdio;

use crate::project::{PROGRAM, Project, assert_same, manifest, output, stderr, stdout, text};

/// A package with everything that shows in the environment of its programs, and a member of its workspace.
const MANIFEST: &str = r#"
[package]
name = "rich"
version = "1.2.3-beta.4"
edition = "2024"
rust-version = "1.85"
authors = ["A <a@example.org>", "B"]
description = """two
lines"""
homepage = "https://example.org"
repository = "https://example.org/repo"
license-file = "LICENSE"
readme = "docs/READ.md"

[[test]]
name = "t"
harness = false

[[bench]]
name = "b"
harness = false

[workspace]
members = ["crates/member"]
"#;

const MEMBER: &str = r#"
[package]
name = "member"
version = "4.5.6"
edition = "2024"

[[test]]
name = "mt"
harness = false
"#;

const BUILD_SCRIPT: &str = r#"
fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    println!("cargo::rustc-link-search={out}/z");
    println!("cargo::rustc-link-search=native={out}/a");
    println!("cargo::rustc-link-search=all=/opt/elsewhere");
    println!("cargo::rustc-env=FROM_BUILD_SCRIPT=a b");
}
"#;

const CONFIG: &str = r#"
[env]
PLAIN = "from config"
HOME = "not forced"
LANG = { value = "forced", force = true }
RELATIVE = { value = "some/dir", relative = true }
FROM_BUILD_SCRIPT = "cargo has set it already"

[target.'cfg(unix)']
runner = ["env", "FROM_RUNNER=1"]
"#;

pub(crate) fn rich() -> Project {
    Project::new(&[
        ("Cargo.toml", MANIFEST),
        ("LICENSE", ""),
        ("docs/READ.md", ""),
        ("build.rs", BUILD_SCRIPT),
        (".cargo/config.toml", CONFIG),
        ("src/main.rs", PROGRAM),
        ("examples/ex.rs", PROGRAM),
        ("tests/t.rs", PROGRAM),
        ("benches/b.rs", PROGRAM),
        ("crates/member/Cargo.toml", MEMBER),
        ("crates/member/build.rs", BUILD_SCRIPT),
        ("crates/member/src/main.rs", PROGRAM),
        ("crates/member/tests/mt.rs", PROGRAM),
    ])
}

#[test]
fn a_program_sees_what_cargo_run_gives() {
    let project = rich();
    for folder in ["", "src"] {
        for target in [&[][..], &["--example", "ex"], &["--bin", "rich"]] {
            let args = [&["run"][..], target, &["--", "a b", "--color", ""]].concat();
            let ours = [&["run", "--dev"][..], target, &["--", "a b", "--color", ""]].concat();
            let expected = output(&mut project.cargo(folder, &args));
            assert!(stdout(&expected).contains("FROM_RUNNER=1"), "{}", stderr(&expected));
            assert_same(&expected, &output(&mut project.bottleneck(folder, &ours)));
        }
    }
}

#[test]
fn a_cross_build_and_folders_apart_look_as_under_cargo() {
    let project = rich();
    let host = host();
    for flags in [
        &["--target", host.as_str()][..],
        &["--target-dir", "elsewhere"],
        &["--config", "build.build-dir='apart'"],
        &["--profile", "release"],
    ] {
        assert_same(
            &output(&mut project.cargo("", &[&["run"][..], flags].concat())),
            &output(
                &mut project
                    .bottleneck("", &[&["run"][..], dev_unless_profile(flags), flags].concat()),
            ),
        );
    }
}

fn dev_unless_profile<'a>(flags: &[&str]) -> &'a [&'a str] {
    if flags.contains(&"--profile") { &[] } else { &["--dev"] }
}

/// The triple of this machine.
pub(crate) fn host() -> String {
    let output = std::process::Command::new("rustc").arg("-vV").output().unwrap();
    let text = stdout(&output);
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

#[test]
fn the_library_path_of_the_user_stays_behind_that_of_cargo() {
    let project = Project::with_program();
    for library_path in ["/opt/lib", "", "/a::/b"] {
        let expected = output(project.cargo("", &["run"]).env("LD_LIBRARY_PATH", library_path));
        let actual =
            output(project.bottleneck("", &["run", "--dev"]).env("LD_LIBRARY_PATH", library_path));
        assert_same(&expected, &actual);
    }
}

#[test]
fn a_runner_of_the_environment_and_one_of_a_flag_apply() {
    let project = rich();
    let flag = "target.'cfg(unix)'.runner=['env', 'FROM_RUNNER=2']";
    assert_same(
        &output(&mut project.cargo("", &["run", "--config", flag])),
        &output(&mut project.bottleneck("", &["run", "--dev", "--config", flag])),
    );
    let variable = &format!("CARGO_TARGET_{}_RUNNER", host().to_uppercase().replace('-', "_"));
    assert_same(
        &output(project.cargo("", &["run"]).env(variable, "env FROM_RUNNER=3")),
        &output(project.bottleneck("", &["run", "--dev"]).env(variable, "env FROM_RUNNER=3")),
    );
}

#[test]
fn the_alias_of_a_checkout_leaks_nothing() {
    let project = Project::with_program();
    let expected = output(&mut project.cargo("", &["run"]));
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_cargo-bottleneck")).parent().unwrap();
    // What `cargo run --package cargo-bottleneck` adds.
    let library_path =
        format!("{0}:{0}/deps:/toolchain/lib/rustlib/x86_64-unknown-linux-gnu/lib", text(folder));
    let mut command = project.bottleneck("", &["run", "--dev"]);
    command
        .env("LD_LIBRARY_PATH", library_path)
        .env("CARGO_PKG_NAME", "cargo-bottleneck")
        .env("CARGO_PKG_LICENSE", "MIT OR Apache-2.0")
        .env("CARGO_MANIFEST_DIR", env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_MANIFEST_PATH", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    assert_same(&expected, &output(&mut command));
}

#[test]
fn a_prebuilt_program_sees_the_environment_of_the_user() {
    let project = Project::with_program();
    output(&mut project.cargo("", &["build"]));
    let actual = output(
        &mut project.bottleneck("src", &["run", "--exec", "--", "../target/debug/prog", "x"]),
    );
    let text = stdout(&actual);
    assert!(text.contains("argv [\"../target/debug/prog\", \"x\"]"), "{}", stderr(&actual));
    for name in ["CARGO=", "CARGO_PKG_", "CARGO_MANIFEST_", "LD_LIBRARY_PATH="] {
        assert!(!text.lines().any(|line| line.starts_with(name)), "{name} leaks:\n{text}");
    }
    assert!(project.latest("prog").join("run.json").exists());
}

#[test]
fn a_program_reads_the_stdin_of_the_command_and_writes_its_stdout() {
    let project = Project::with_program();
    let mut command = project.bottleneck("", &["run", "--dev", "--", "cat"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"hello\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(stdout(&output), "HELLO\n", "nothing of ours is on stdout");
}

#[test]
fn the_recording_folder_is_absolute_and_exists() {
    let project = Project::new(&[
        ("Cargo.toml", &manifest("prog")),
        (
            "src/main.rs",
            "fn main() { let dir = std::env::var(\"BOTTLENECK_RUN_DIR\").unwrap(); \
             assert!(std::path::Path::new(&dir).is_absolute() && std::path::Path::new(&dir).is_dir()); print!(\"{dir}\"); }",
        ),
    ]);
    let actual = output(&mut project.bottleneck("", &["run", "--dev", "-o", "reports"]));
    assert_eq!(stdout(&actual), text(&project.path().join("reports")), "{}", stderr(&actual));
    // The measured ceilings are kept beside the reports; the folder of a run is not there.
    assert!(!project.path().join("target/bottleneck-reports/prog").exists(), "-o says where");
}

//! Settings in variables and manifests, in the real command.

use std::process::Output;

use crate::project::{Project, manifest, output, stderr};

const QUICK: &str = "fn main() { std::process::exit(3) }";

fn run(project: &Project, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = project.bottleneck("", &[&["run", "-v"][..], args].concat());
    output(command.envs(variables.iter().copied()))
}

fn with_table(table: &str) -> Project {
    let text = format!("{}\n{table}", manifest("prog"));
    Project::new(&[("Cargo.toml", &text), ("src/main.rs", QUICK)])
}

#[test]
fn a_manifest_sets_what_no_flag_and_no_variable_does() {
    let project = with_table(
        "[package.metadata.bottleneck]\nprofile = \"dev\"\nduration = \"1h\"\noutput = \"mine\"\n\
         [workspace.metadata.bottleneck]\nduration = 5\n",
    );
    let actual = run(&project, &[], &[]);
    let text = stderr(&actual);
    assert_eq!(actual.status.code(), Some(3), "{text}");
    assert!(text.contains("Running `target/debug/prog` for 1 h"), "{text}");
    assert!(text.contains("duration = 1h (`package.metadata.bottleneck.duration`)"), "{text}");
    assert!(project.path().join("mine/run.json").exists());

    let text = stderr(&run(&project, &["-o", "out"], &[("BOTTLENECK_DURATION", "2m")]));
    assert!(text.contains("Running `target/debug/prog` for 2 min"), "{text}");
    assert!(text.contains("duration = 2m (`BOTTLENECK_DURATION`)"), "{text}");
    assert!(project.path().join("out/run.json").exists());

    let flags = ["--duration", "7", "-o", "out"];
    let text = stderr(&run(&project, &flags, &[("BOTTLENECK_DURATION", "2m")]));
    assert!(text.contains("Running `target/debug/prog` for 7 s"), "{text}");
}

#[test]
fn a_member_has_its_own_table_before_that_of_the_workspace() {
    let member = |name: &str, table: &str| format!("{}\n{table}", manifest(name));
    let root = "[workspace]\nmembers = [\"a\", \"b\"]\nresolver = \"3\"\n\
        [workspace.metadata.bottleneck]\nduration = 40\nprofile = \"dev\"\n";
    let project = Project::new(&[
        ("Cargo.toml", root),
        ("a/Cargo.toml", &member("a", "[package.metadata.bottleneck]\nduration = 30")),
        ("a/src/main.rs", QUICK),
        ("b/Cargo.toml", &member("b", "")),
        ("b/src/main.rs", QUICK),
    ]);
    for (name, line) in [("a", "`target/debug/a` for 30 s"), ("b", "`target/debug/b` for 40 s")] {
        let text = stderr(&run(&project, &["--bin", name], &[]));
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn what_nobody_knows_is_a_warning_and_what_makes_no_sense_an_error() {
    let project = with_table("[package.metadata.bottleneck]\nprofile = \"dev\"\ndurations = 5\n");
    let actual = run(&project, &[], &[("BOTTLENECK_FORMT", "svg"), ("BOTTLENECK_RUN_DIR", "/x")]);
    let text = stderr(&actual);
    assert_eq!(actual.status.code(), Some(3), "{text}");
    assert!(
        text.contains("warning: unknown key `package.metadata.bottleneck.durations` in `"),
        "{text}"
    );
    assert!(text.contains("fix: did you mean `package.metadata.bottleneck.duration`?"), "{text}");
    assert!(text.contains("warning: unknown variable `BOTTLENECK_FORMT` has no effect"), "{text}");
    assert!(!text.contains("variable `BOTTLENECK_RUN_DIR`"), "{text}");

    let project = with_table("[package.metadata.bottleneck]\nopen = \"yes\"\n");
    let actual = run(&project, &[], &[]);
    let text = stderr(&actual);
    assert_eq!(actual.status.code(), Some(96), "{text}");
    assert!(text.contains("error: cannot use `package.metadata.bottleneck.open` in `"), "{text}");
    assert!(text.contains("why: `yes` is no value for it\n  fix: write true or false"), "{text}");
}

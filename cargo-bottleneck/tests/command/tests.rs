//! `cargo bottleneck test` and `cargo bottleneck bench`: which executable, with which arguments, and what it ends with.

use crate::project::{Project, manifest, output, stderr, stdout};

/// A test that prints its arguments.
fn prints(name: &str, target: &str) -> String {
    format!(
        "#[test] fn {name}() {{ println!(\"{target} {{:?}}\", std::env::args().skip(1).collect::<Vec<_>>()); }}\n"
    )
}

const FAILS: &str = "#[test] fn fails() { assert_eq!(1, 2); }\n";

const WITHOUT_HARNESS: &str =
    "fn main() { println!(\"measured {:?}\", std::env::args().skip(1).collect::<Vec<_>>()); }\n";

/// A library with a test, a binary without any, two test targets, and a benchmark.
fn project() -> Project {
    let tables =
        "[[bench]]\nname = \"speed\"\nharness = false\n[workspace]\nmembers = [\"member\"]\n";
    Project::new(&[
        ("Cargo.toml", &(manifest("prog") + tables)),
        ("src/lib.rs", &prints("in_library", "library")),
        ("src/main.rs", "fn main() {}"),
        ("tests/one.rs", &(prints("in_one", "one") + FAILS)),
        ("tests/two.rs", &prints("in_two", "two")),
        ("benches/speed.rs", WITHOUT_HARNESS),
        ("member/Cargo.toml", &manifest("member")),
        ("member/src/lib.rs", &prints("in_member", "member")),
    ])
}

fn run(project: &Project, folder: &str, args: &[&str]) -> (String, String, Option<i32>) {
    let (subcommand, rest) = args.split_first().unwrap();
    let args = [&[*subcommand, "--dev"], rest].concat();
    let actual = output(&mut project.bottleneck(folder, &args));
    (stdout(&actual), stderr(&actual), actual.status.code())
}

#[test]
fn the_name_of_a_test_finds_its_executable() {
    let project = project();
    for (name, expected) in [("in_library", "library"), ("in_one", "one"), ("in_two", "two")] {
        let (said, error, _) = run(&project, "src", &["test", name, "--", "--nocapture"]);
        let line = format!("{expected} [\"{name}\", \"--nocapture\"]");
        assert!(said.contains(&line), "{said}{error}");
        assert!(said.contains("1 passed; 0 failed"), "{said}");
    }
    let (_, error, _) = run(&project, "", &["test", "in_library"]);
    assert!(error.contains("  Running unittests src/lib.rs (target/debug/deps/prog-"), "{error}");
    let (_, error, _) = run(&project, "", &["test", "in_one"]);
    assert!(error.contains("  Running tests/one.rs (target/debug/deps/one-"), "{error}");
}

#[test]
fn of_several_executables_the_flags_to_choose_are_listed() {
    let project = project();
    let (_, error, code) = run(&project, "", &["test"]);
    // The binary has no test, so it is not among them.
    let expected = "error: `cargo bottleneck test` runs one executable, but 3 have something to run\n  \
                    why: a report is about one program\n  fix: add one of these:\n       --lib\n       --test one\n       --test two\n";
    assert!(error.ends_with(expected), "{error}");
    assert_eq!(code, Some(101));
    let (_, error, _) = run(&project, "", &["test", "--workspace", "--lib"]);
    assert!(error.contains("\n       -p prog --lib\n       -p member --lib\n"), "{error}");
    // Each works as it stands.
    for flags in [&["--lib"][..], &["--test", "two"], &["-p", "member", "--lib"]] {
        let (said, error, _) = run(&project, "", &[&["test"], flags].concat());
        assert!(said.contains("1 passed"), "{said}{error}");
    }
    let (said, error, _) = run(&project, "member/src", &["test"]);
    assert!(said.contains("in_member ... ok"), "the only one needs no flag: {said}{error}");
}

#[test]
fn what_nothing_matches_is_said() {
    let project = project();
    let (_, error, code) = run(&project, "", &["test", "nowhere"]);
    assert!(
        error.contains("error: no test matches `nowhere`\n  why: these were asked: --lib, "),
        "{error}"
    );
    assert!(error.contains("\n  fix: see what there is: cargo test -- --list"), "{error}");
    assert_eq!(code, Some(101));
    let (_, error, _) = run(&project, "", &["test", "--test"]);
    assert!(
        error.contains(
            "error: \"--test\" takes one argument.\nAvailable test targets:\n    one\n    two\n"
        ),
        "{error}"
    );
    let (_, error, _) = run(&project, "", &["test", "--lib", "--exclude", "member"]);
    assert!(
        error.contains("error: --exclude can only be used together with --workspace"),
        "{error}"
    );
}

#[test]
fn a_failed_test_gives_its_code_and_a_report() {
    let project = project();
    let (said, error, code) = run(&project, "", &["test", "fails"]);
    assert!(said.contains("test fails ... FAILED"), "{said}{error}");
    assert_eq!(code, Some(101));
    assert_eq!(project.facts("one")["exit"]["code"], 101);
}

#[test]
fn the_benchmark_is_found_among_tests_and_told_to_measure() {
    let project = project();
    let (said, error, code) = run(&project, "", &["bench"]);
    assert_eq!((said.as_str(), code), ("measured [\"--bench\"]\n", Some(4)), "{error}");
    let (said, ..) =
        run(&project, "", &["bench", "--bench", "speed", "decode", "--", "--save", "x"]);
    assert_eq!(said, "measured [\"decode\", \"--save\", \"x\", \"--bench\"]\n");
}

#[test]
fn quiet_reaches_the_harness_as_under_cargo() {
    let project = project();
    let arguments = |output: &std::process::Output| {
        let text = stdout(output);
        let line = text.lines().find(|line| line.contains("two [")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{text}{}", stderr(output)))
    };
    for flags in [
        &["-q", "in_two", "--", "--nocapture"][..],
        &["in_two", "--", "--nocapture", "-q"],
        &["in_two", "--config", "term.quiet=true", "--", "--nocapture"],
        &["in_two", "--", "--nocapture", "--test-threads", "1"],
    ] {
        let target = ["test", "--test", "two"];
        let expected = output(&mut project.cargo("", &[&target, flags].concat()));
        let actual =
            output(&mut project.bottleneck("", &[&target, &["--dev"][..], flags].concat()));
        assert_eq!(arguments(&actual), arguments(&expected), "{flags:?}");
    }
    // One without the harness has no such flag.
    let bench = ["bench", "--bench", "speed", "-q"];
    let expected = output(&mut project.cargo("", &bench));
    let actual = output(&mut project.bottleneck("", &[&bench[..], &["--release"]].concat()));
    assert_eq!(stdout(&actual), stdout(&expected));
}

//! Which program is run, and cargo's words where that cannot be told.

use crate::project::{Project, manifest, output, stderr, stdout, text};

const PRINTS_ITSELF: &str = "fn main() { println!(\"{}\", env!(\"CARGO_BIN_NAME\")); }";
const PRINTS_EXAMPLE: &str = "fn main() { println!(\"example\"); }";

fn two_binaries(more: &str) -> Project {
    Project::new(&[
        ("Cargo.toml", &(manifest("ws") + more)),
        ("src/main.rs", PRINTS_ITSELF),
        ("src/bin/other.rs", PRINTS_ITSELF),
        ("examples/ex.rs", PRINTS_EXAMPLE),
    ])
}

/// The message of cargo's error, with our name in place of cargo's.
fn message(output: &std::process::Output) -> String {
    let text = stderr(output);
    let start = text.find("error:").unwrap_or_else(|| panic!("no error: {text}"));
    text[start..].trim_end().replace("`cargo run`", "`cargo bottleneck run`")
}

#[test]
fn default_run_is_honored() {
    let project = two_binaries("default-run = \"other\"\n");
    let actual = output(&mut project.bottleneck("examples", &["run", "--dev"]));
    assert_eq!(stdout(&actual), "other\n", "{}", stderr(&actual));
}

#[test]
fn a_flag_selects() {
    let project = two_binaries("");
    for (args, expected) in [(&["--bin", "ws"][..], "ws\n"), (&["--example", "ex"], "example\n")] {
        let actual = output(&mut project.bottleneck("", &[&["run", "--dev"][..], args].concat()));
        assert_eq!(stdout(&actual), expected, "{}", stderr(&actual));
    }
}

#[test]
fn errors_are_in_the_words_of_cargo() {
    let project = two_binaries("");
    for args in [
        &[][..],
        &["--bin"],
        &["--example"],
        &["--bin", "nope"],
        &["-p", "nope"],
        &["-p", "w*"],
        &["-p", "./"],
        &["-p", "ws@9.9.9"],
        &["--bin", "w*"],
        &["--target"],
        &["--bin", "ws", "--profile", "nope"],
        &["-p"],
        &["--manifest-path", "nowhere/Cargo.toml"],
        &["--features", "nope", "--bin", "ws"],
    ] {
        let expected = output(&mut project.cargo("", &[&["run"][..], args].concat()));
        let dev: &[&str] = if args.contains(&"--profile") { &[] } else { &["--dev"] };
        let actual = output(&mut project.bottleneck("", &[&["run"], dev, args].concat()));
        assert_eq!(message(&actual), message(&expected), "{args:?}");
        assert_eq!(actual.status.code(), Some(101), "{args:?}");
    }
}

#[test]
fn features_that_a_target_requires_are_named() {
    let more =
        "[features]\nextra = []\n[[example]]\nname = \"ex\"\nrequired-features = [\"extra\"]\n";
    let project = two_binaries(more);
    let args = |more: &[&'static str]| [&["run", "--example", "ex"][..], more].concat();
    let expected = output(&mut project.cargo("", &args(&[])));
    let actual = output(&mut project.bottleneck("", &args(&["--dev"])));
    assert_eq!(message(&actual), message(&expected));
    let actual = output(&mut project.bottleneck("", &args(&["--dev", "-F", "extra"])));
    assert_eq!(stdout(&actual), "example\n", "{}", stderr(&actual));
}

#[test]
fn a_dependency_is_no_package_to_run() {
    let project = Project::new(&[
        (
            "Cargo.toml",
            &(manifest("ws")
                + "[dependencies]\ndep.path = \"dep\"\n[workspace]\nexclude = [\"dep\"]\n"),
        ),
        ("src/main.rs", PRINTS_ITSELF),
        ("dep/Cargo.toml", &(manifest("dep") + "[workspace]\n")),
        ("dep/src/lib.rs", ""),
        ("dep/src/main.rs", PRINTS_ITSELF),
    ]);
    for spec in ["dep", "dep@1.2.3"] {
        let expected = output(&mut project.cargo("", &["run", "-p", spec]));
        let actual = output(&mut project.bottleneck("", &["run", "--dev", "-p", spec]));
        assert_eq!(message(&actual), message(&expected), "{spec}");
    }
    let actual =
        output(&mut project.bottleneck("", &["run", "--dev", "--manifest-path", "dep/Cargo.toml"]));
    assert_eq!(stdout(&actual), "dep\n", "{}", stderr(&actual));
}

#[test]
fn two_targets_are_refused() {
    let project = two_binaries("");
    // Cargo has listed them since 1.95.
    let refused = |project: &Project, args: &[&str]| {
        let expected = output(&mut project.cargo("", &[&["run"], args].concat()));
        let actual = output(&mut project.bottleneck("", &[&["run"], args].concat()));
        assert!(message(&actual).starts_with(&message(&expected)), "{}", message(&actual));
        assert!(!stderr(&actual).contains("Compiling"), "{}", stderr(&actual));
        message(&actual)
    };
    let listed = refused(&project, &["--bin", "ws", "--example", "ex"]);
    assert!(listed.ends_with("    bin `ws` in package `ws`\n    example `ex` in package `ws`"));

    let twins = Project::new(&[
        ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"a\", \"b\"]\n"),
        ("a/Cargo.toml", &manifest("a")),
        ("a/src/bin/twin.rs", PRINTS_ITSELF),
        ("b/Cargo.toml", &manifest("b")),
        ("b/src/bin/twin.rs", PRINTS_ITSELF),
    ]);
    let listed = refused(&twins, &["--bin", "twin"]);
    assert!(listed.ends_with("    bin `twin` in package `a`\n    bin `twin` in package `b`"));
}

#[test]
fn a_program_after_the_dashes_is_taken_for_what_was_meant() {
    let project = two_binaries("");
    let actual = output(&mut project.bottleneck("", &["run", "--", "Cargo.toml"]));
    assert!(
        message(&actual)
            .ends_with("fix: to run a program that is already built: --exec -- Cargo.toml")
    );
}

#[test]
fn a_library_names_its_examples() {
    let project = Project::new(&[
        ("Cargo.toml", &manifest("lib")),
        ("src/lib.rs", ""),
        ("examples/ex.rs", PRINTS_EXAMPLE),
    ]);
    let actual = output(&mut project.bottleneck("", &["run"]));
    assert_eq!(
        message(&actual),
        "error: a bin target must be available for `cargo bottleneck run`\n  fix: run an example: --example ex"
    );
}

#[test]
fn a_member_of_a_virtual_workspace_is_found_from_everywhere() {
    let project = Project::new(&[
        ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"alpha\", \"beta\"]\n"),
        ("alpha/Cargo.toml", &manifest("alpha")),
        ("alpha/src/main.rs", PRINTS_ITSELF),
        ("beta/Cargo.toml", &manifest("beta")),
        ("beta/src/main.rs", PRINTS_ITSELF),
        ("beta/src/deep/er/x.txt", ""),
    ]);
    let run = |folder: &str, args: &[&str]| {
        let actual =
            output(&mut project.bottleneck(folder, &[&["run", "--dev"][..], args].concat()));
        (stdout(&actual), stderr(&actual))
    };
    assert_eq!(run("beta/src/deep/er", &[]).0, "beta\n");
    assert_eq!(run("beta", &["-p", "alpha"]).0, "alpha\n");
    assert_eq!(run("", &["-p", "beta@1.2.3"]).0, "beta\n");
    let address = format!("path+file://{}/beta", text(&project.path()));
    assert_eq!(run("alpha", &["-p", &address]).0, "beta\n");
    assert_eq!(run("alpha", &["-p", &format!("{address}#1.2.3")]).0, "beta\n");
    assert_eq!(run("alpha", &["--manifest-path", "../beta/Cargo.toml"]).0, "beta\n");
    assert_eq!(run("", &["--bin", "alpha"]).0, "alpha\n");
    let (_, ambiguous) = run("", &[]);
    assert!(ambiguous.contains("available binaries: alpha, beta"), "{ambiguous}");
}

#[test]
fn a_profile_of_the_workspace_is_not_overridden() {
    let program = "fn main() { println!(\"{}\", cfg!(debug_assertions)); }";
    let of = |more: &str| {
        let project =
            Project::new(&[("Cargo.toml", &(manifest("prog") + more)), ("src/main.rs", program)]);
        let actual = output(&mut project.bottleneck("", &["run"]));
        assert!(project.path().join("target/bottleneck/prog").exists(), "{}", stderr(&actual));
        assert!(!project.path().join("target/release").exists());
        (stdout(&actual), stderr(&actual))
    };
    let (own, said) = of("[profile.bottleneck]\ninherits = \"dev\"\n");
    assert_eq!((own.as_str(), said.contains("Profile")), ("true\n", false), "{said}");
    let (ours, said) = of("");
    assert_eq!(ours, "false\n");
    let announced = said.find("Profile").expect("the profile is announced");
    assert!(announced < said.find("Compiling").unwrap(), "before it compiles:\n{said}");
}

#[test]
fn a_build_without_line_numbers_or_optimization_is_pointed_out() {
    let project = Project::with_program();
    let said = |args: &[&str]| stderr(&output(&mut project.bottleneck("", args)));
    assert!(said(&["run", "-r"]).contains("profile `release` has no line numbers"));
    assert!(said(&["run", "--dev"]).contains("dev profile: verdicts describe unoptimized code"));
    let ours = said(&["run"]);
    assert!(!ours.contains("warning"), "{ours}");
}

//! Cargo's configuration, wherever it is written, decides the same under the command as under cargo.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use crate::environment::host;
use crate::project::{PROGRAM, Project, assert_same, manifest, output, stderr, stdout};

fn project(config: &str) -> Project {
    let test = "[[test]]\nname = \"t\"\nharness = false\n";
    Project::new(&[
        ("Cargo.toml", &(manifest("prog") + test)),
        (".cargo/config.toml", config),
        ("src/main.rs", PROGRAM),
        ("tests/t.rs", PROGRAM),
    ])
}

/// The same arguments and variables on both sides; `--dev` is ours alone.
fn both(project: &Project, folder: &str, args: &[&str], variables: &[(&str, &str)]) -> [Output; 2] {
    let (subcommand, rest) = args.split_first().unwrap();
    let with = |command: &mut Command| output(command.envs(variables.iter().copied()));
    [
        with(&mut project.cargo(folder, args)),
        with(&mut project.bottleneck(folder, &[&[*subcommand, "--dev"], rest].concat())),
    ]
}

#[test]
fn included_files_and_files_of_flags_apply_with_their_own_folders() {
    let project = project("include = [\"../more/included.toml\"]\n[env]\nOWN = \"1\"\n");
    let file = |path: &str, name: &str| {
        let path = project.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let entry = format!("[env]\n{name} = {{ value = \"x\", relative = true }}\n");
        fs::write(path, entry).unwrap();
    };
    file("more/included.toml", "INCLUDED");
    file("flags/sub/file.toml", "OF_FILE");
    let args = [
        "run",
        "--config",
        "../flags/sub/file.toml",
        "--config",
        "env.OF_FLAG.value='x'",
        "--config",
        "env.OF_FLAG.relative=true",
        "--config",
        "env.OWN='2'",
    ];
    let [expected, actual] = both(&project, "src", &args, &[]);
    assert_same(&expected, &actual);
    for name in ["OF_FILE", "OF_FLAG", "OWN=2"] {
        assert!(stdout(&actual).contains(&format!("\n{name}")), "{name}: {}", stdout(&actual));
    }
}

#[test]
fn folders_and_platforms_of_the_build_are_those_of_the_configuration() {
    let host = host();
    let both_platforms = format!("build.target=['{host}', 'x']");
    let project = project(&format!("[build]\ntarget-dir = \"built\"\ntarget = \"{host}\"\n"));
    let [expected, actual] = both(&project, "src", &["run"], &[]);
    assert_same(&expected, &actual);
    assert!(stdout(&actual).contains(&format!("built/{host}/debug")), "{}", stdout(&actual));
    assert!(project.path().join("built/bottleneck-reports/prog/latest").exists());

    let variables = [("CARGO_BUILD_TARGET", host.as_str()), ("CARGO_TARGET_DIR", "by-variable")];
    let [expected, actual] = both(&project, "", &["run"], &variables);
    assert_same(&expected, &actual);

    for args in
        [&["run", "--target", &host, "--target", "x"][..], &["run", "--config", &both_platforms]]
    {
        // A list and a string cannot be merged, so the second needs a project without one.
        let project = Project::with_program();
        for output in both(&project, "", args, &[]) {
            let text = stderr(&output);
            assert!(text.contains("error: only one `--target` argument is supported"), "{text}");
            assert_eq!(output.status.code(), Some(101));
        }
    }
}

#[test]
fn a_runner_is_relative_to_where_it_is_written() {
    let script = "#!/bin/sh\nFROM_SCRIPT=$0 exec \"$@\"\n";
    let project = project("[target.'cfg(unix)']\nrunner = [\"tools/run\"]\n");
    let tool = project.path().join("tools/run");
    fs::create_dir_all(tool.parent().unwrap()).unwrap();
    fs::write(&tool, script).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let variable = format!("CARGO_TARGET_{}_RUNNER", host().to_uppercase().replace('-', "_"));
    let by_flag = format!("target.{}.runner='../tools/run'", host());
    for (args, variables) in [
        (&["run"][..], &[][..]),
        (&["test", "--test", "t"], &[]),
        // A test starts in the folder of its package, its runner does not.
        (&["test", "--test", "t"], &[(variable.as_str(), "../tools/run")]),
        // The flag comes before the variable.
        (&["run", "--config", &by_flag], &[(variable.as_str(), "no-such-runner")]),
    ] {
        let [expected, actual] = both(&project, "src", args, variables);
        assert_same(&expected, &actual);
        let text = stdout(&actual);
        assert!(text.contains("\nFROM_SCRIPT=/"), "{text}{}", stderr(&actual));
    }
}

#[test]
fn our_lines_are_as_loud_as_cargos() {
    let said = |config: &str, args: &[&str], variables: &[(&str, &str)]| {
        let project = project(config);
        let args = [&["run"], args, &["--", "exit", "3"]].concat();
        let [cargo, ours] = both(&project, "", &args, variables);
        let (cargo, ours) = (stderr(&cargo), stderr(&ours));
        for line in ["Running", "Finished"] {
            let which = format!("{config} {args:?} {variables:?}\n{cargo}\n---\n{ours}");
            assert_eq!(cargo.contains(line), ours.contains(line), "{which}");
        }
        ours
    };
    let (quiet, verbose) = ("[term]\nquiet = true\n", "[term]\nverbose = true\n");
    assert!(said("", &[], &[]).contains("  Running"));
    assert!(!said(quiet, &[], &[]).contains("  Running"));
    assert!(
        !said("", &["--config", "term.quiet=true"], &[("CARGO_TERM_QUIET", "false")])
            .contains("  Running")
    );
    assert!(!said("", &[], &[("CARGO_TERM_QUIET", "true")]).contains("  Running"));
    assert!(said(quiet, &[], &[("CARGO_TERM_QUIET", "false")]).contains("  Running"));
    // What is typed now comes before what was written once.
    assert!(said(quiet, &["-v"], &[]).contains("  Running"));
    assert!(!said(verbose, &["-q"], &[]).contains("  Running"));
    for loud in [said(verbose, &[], &[]), said("", &["-v"], &[])] {
        assert!(loud.contains("   Asking `") && loud.contains("cargo metadata"), "{loud}");
    }
    assert!(!said("", &[], &[]).contains("   Asking `"));
}

#[test]
fn v_shows_our_commands_and_vv_those_of_cargo() {
    let said = |flag: &str| {
        let project = Project::with_program();
        stderr(&output(&mut project.bottleneck("", &["run", "--dev", flag, "--", "exit", "3"])))
    };
    let once = said("-v");
    assert!(once.contains(" build --message-format=json-render-diagnostics "), "{once}");
    assert!(!once.contains("Running `rustc "), "{once}");
    let twice = said("-vv");
    assert!(twice.contains("--crate-name prog"), "{twice}");
}

#[test]
fn our_lines_are_as_colorful_as_cargos() {
    let is_colorful = |config: &str, args: &[&str], variables: &[(&str, &str)]| {
        let project = project(config);
        let [cargo, ours] =
            both(&project, "", &[&["run"], args, &["--", "exit", "3"]].concat(), variables);
        let colorful = |output: &Output| stderr(output).contains("\u{1b}[");
        assert_eq!(colorful(&cargo), colorful(&ours), "{config} {args:?}: {}", stderr(&ours));
        let line = stderr(&ours).lines().find(|line| line.contains("Running")).unwrap().to_owned();
        line.contains("\u{1b}[")
    };
    let always = "[term]\ncolor = \"always\"\n";
    assert!(is_colorful(always, &[], &[]));
    assert!(!is_colorful(always, &["--color", "never"], &[]));
    assert!(!is_colorful(always, &[], &[("CARGO_TERM_COLOR", "never")]));
    assert!(is_colorful(
        "",
        &["--config", "term.color='always'"],
        &[("CARGO_TERM_COLOR", "never")]
    ));
    assert!(!is_colorful("", &[], &[]), "a pipe is no terminal");
}

#[test]
fn a_report_and_the_doctor_obey_too() {
    let project = project("[term]\nquiet = true\ncolor = \"always\"\n");
    output(&mut project.bottleneck("", &["run", "--dev", "--", "exit", "3"]));
    let report = output(&mut project.bottleneck("", &["report"]));
    assert!(!stderr(&report).contains("Flame"), "{}", stderr(&report));
    let loud = output(project.bottleneck("", &["report"]).env("CARGO_TERM_QUIET", "false"));
    assert!(stderr(&loud).contains("\u{1b}["), "{}", stderr(&loud));
}

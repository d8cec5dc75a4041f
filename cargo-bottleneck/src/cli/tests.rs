//! Words to options.

use std::ffi::OsString;
use std::path::PathBuf;

use super::*;
use crate::cargo::pick::{CargoCommand, RunKind};
use crate::commands::pipeline::Format;
use crate::commands::present::{Destination, MessageFormat};
use crate::commands::profile::Profile;
use crate::commands::run::ProgramChoice;
use crate::commands::settings::Settings;
use crate::commands::target::BuildOptions;
use crate::status::Verbosity;

fn parse_line(line: &str) -> Result<Invocation, clap::Error> {
    parse(line.split_whitespace().map(OsString::from))
}

#[track_caller]
fn run_of(line: &str) -> RunOptions {
    match parse_line(line).unwrap().command {
        Command::Run(options) => *options,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn build_of(line: &str) -> BuildOptions {
    match run_of(line).program {
        ProgramChoice::Built(options) => options,
        ProgramChoice::Prebuilt(program) => panic!("{program:?}"),
    }
}

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

#[test]
fn the_definition_is_sound() {
    definition().debug_assert();
}

#[test]
fn the_word_may_be_left_out() {
    assert_eq!(run_of("cargo-bottleneck run a"), run_of("cargo-bottleneck bottleneck run a"));
}

#[test]
fn words_after_the_program_belong_to_it() {
    assert_eq!(run_of("x run --release -- --port 80 -v").args, words("--port 80 -v"));
    assert_eq!(run_of("x run --bin a x y -v").args, words("x y -v"));
    assert_eq!(run_of("x run -- --color never").args, words("--color never"));
}

#[test]
fn a_target_may_lack_its_name() {
    assert_eq!(build_of("x run --bin --").targets, [(RunKind::Bin, None)]);
    assert_eq!(
        build_of("x run --example tiny").targets,
        [(RunKind::Example, Some("tiny".to_owned()))]
    );
    assert_eq!(build_of("x run --test a --bench b").targets.len(), 2);
}

#[test]
fn a_test_is_run_as_cargo_test_does() {
    let run = build_of("x run -p a --test t");
    assert_eq!(run.command, CargoCommand::Test);
    assert_eq!(run.selection, words("--package a --test t"));
    assert_eq!(build_of("x run --bench b").command, CargoCommand::Bench);
    assert_eq!(build_of("x test -p a --test t"), run);

    let bench = build_of("x bench --workspace --exclude a --lib --bin --all-targets");
    assert_eq!(bench.command, CargoCommand::Bench);
    assert_eq!(bench.selection, words("--workspace --exclude a --lib --bin --all-targets"));
}

#[test]
fn the_name_of_a_test_comes_before_the_arguments_of_its_executable() {
    assert_eq!(
        run_of("x test name --lib -- --test-threads 1").args,
        words("name --test-threads 1")
    );
    assert!(build_of("x test name").has_test_name);
    assert_eq!(run_of("x test -- --exact").args, words("--exact"));
    assert!(!build_of("x test -- --exact").has_test_name);
}

#[test]
fn what_cannot_be_honored_is_refused_with_the_way_out() {
    for (line, way_out) in [
        ("x run --unit-graph", "--unit-graph"),
        ("x test --unit-graph", "--unit-graph"),
        ("x test --no-run", "cargo test --no-run"),
        ("x bench --no-run", "cargo bench --no-run"),
        ("x test --doc", "move the code"),
    ] {
        let text = parse_line(line).unwrap_err().to_string();
        assert!(text.contains("cannot be honored\n  why: ") && text.contains(way_out), "{text}");
    }
    let text =
        parse_line("x run --message-format json-render-diagnostics").unwrap_err().to_string();
    assert!(text.contains("tip: this is the format of the verdict"), "{text}");
}

#[test]
fn the_profile_is_ours_unless_another_is_named() {
    assert_eq!(build_of("x run").profile, Profile::Bottleneck);
    assert_eq!(build_of("x run -r").profile, Profile::Release);
    assert_eq!(build_of("x run --dev").profile, Profile::Dev);
    assert_eq!(build_of("x run --profile fast").profile, Profile::Named("fast".to_owned()));
    parse_line("x run --release --dev").unwrap_err();
}

#[test]
fn flags_of_cargo_are_handed_on() {
    let build = build_of(
        "x run -F a,b --features c --all-features --no-default-features -j 2 --keep-going --ignore-rust-version \
         --manifest-path p/Cargo.toml --locked --offline --frozen -Z unstable --color never --config a.b=1 --config f.toml \
         -vv",
    );
    assert_eq!(
        build.build_flags,
        words(
            "--verbose --features a,b --features c --all-features --no-default-features --jobs 2 --keep-going \
             --ignore-rust-version"
        )
    );
    assert_eq!(
        build.common_flags,
        words("--manifest-path p/Cargo.toml --locked --offline --frozen -Z unstable --color never")
    );
    assert_eq!(build.config_flags, words("--config a.b=1 --config f.toml"));
}

#[test]
fn a_prebuilt_program_takes_no_flags_of_a_build() {
    let run = run_of("x run --exec -- ./server --port 80");
    assert_eq!(run.program, ProgramChoice::Prebuilt("./server".into()));
    assert_eq!(run.args, words("--port 80"));
    parse_line("x run --exec").unwrap_err();
    let error = parse_line("x run --exec --bin a -- ./server").unwrap_err();
    assert!(error.to_string().contains("'--exec' cannot be used with '--bin'"), "{error}");
}

#[test]
fn an_output_with_an_extension_is_a_file() {
    let settings = run_of("x run -o out/flame.svg --format json").settings;
    let file = Destination::File(PathBuf::from("out/flame.svg"), Format::Svg);
    assert_eq!(settings.destination(), file);
    assert_eq!(settings.report().formats, [Format::Svg, Format::Json]);
    let folder = Destination::Directory(PathBuf::from("out"));
    assert_eq!(run_of("x run -o out").settings.destination(), folder);
    assert_eq!(run_of("x run").settings.destination(), Destination::Usual);
}

#[test]
fn formats_are_listed_once_and_in_order() {
    let formats = |line: &str| run_of(line).settings.report().formats;
    assert_eq!(formats("x run"), [Format::Svg, Format::Json]);
    assert_eq!(formats("x run --format folded,svg,folded"), [Format::Svg, Format::Folded]);
    parse_line("x run --format html").unwrap_err();
}

#[test]
fn message_formats() {
    let format = |line: &str| run_of(line).settings.presentation().message_format;
    assert_eq!(format("x run --message-format json"), MessageFormat::Json);
    assert_eq!(format("x run"), MessageFormat::Human);
}

#[test]
fn what_no_flag_says_is_left_to_variables_and_manifests() {
    assert_eq!(run_of("x run").settings, Settings::default());
    let open = |line: &str| run_of(line).settings.open;
    assert_eq!([open("x run --open"), open("x run --open=false")], [Some(true), Some(false)]);
    // Not taken for the value of `--open`.
    assert_eq!(run_of("x run --open a").args, words("a"));
}

#[test]
fn a_duration_is_a_time() {
    let run = run_of("x run --duration 1.5m -- --duration 7");
    assert_eq!(run.settings.duration, Some(std::time::Duration::from_secs(90)));
    assert_eq!(run.args, words("--duration 7"));
    let error = parse_line("x run --duration soon").unwrap_err().to_string();
    assert!(error.contains("`soon` is no unit of time; write 500ms, 30s"), "{error}");
}

#[test]
fn clean_takes_what_decides_where_the_target_directory_is() {
    let line = "x clean --build --dry-run --keep 3 --target-dir t --manifest-path p/Cargo.toml";
    let expected = CleanOptions {
        build: true,
        dry_run: true,
        keep: 3,
        target_directory: Some("t".into()),
        manifest: Some("p/Cargo.toml".into()),
    };
    assert_eq!(parse_line(line).unwrap().command, Command::Clean(expected));
    parse_line("x clean --keep -1").unwrap_err();
}

#[test]
fn verbosity() {
    let of = |line: &str| parse_line(line).unwrap().terminal.verbosity;
    assert_eq!(of("x run -q"), Some(Verbosity::Quiet));
    assert_eq!(of("x run -v"), Some(Verbosity::Verbose));
    assert_eq!(of("x run"), None, "cargo's configuration decides");
    assert_eq!(of("x run -- -q"), None, "it is the program's");
    assert_eq!(of("x test -- -q"), None, "it is the harness's");
    parse_line("x run -q -v").unwrap_err();
}

#[test]
fn color_is_found_before_the_program_only() {
    let of = |line: &str| color::early(&words(line));
    assert_eq!(of("x run --color always"), anstream::ColorChoice::Always);
    assert_eq!(of("x run --color always --color=never"), anstream::ColorChoice::Never);
}

fn help_of(line: &str) -> String {
    // A fixed width: the terminal that the tests run in must not matter.
    let command = definition().term_width(100);
    command.try_get_matches_from(with_word(words(line))).unwrap_err().to_string()
}

#[test]
fn help() {
    insta::assert_snapshot!("help", help_of("x --help"));
    insta::assert_snapshot!("help_run", help_of("x run --help"));
    insta::assert_snapshot!("help_test", help_of("x test --help"));
    insta::assert_snapshot!("help_bench", help_of("x bench --help"));
    insta::assert_snapshot!("help_report", help_of("x report --help"));
    insta::assert_snapshot!("help_doctor", help_of("x doctor --help"));
    insta::assert_snapshot!("help_clean", help_of("x clean --help"));
    insta::assert_snapshot!("help_completions", help_of("x completions --help"));
}

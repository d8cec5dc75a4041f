//! What `#[bottleneck]` accepts and refuses, one program per case.
//!
//! `ui/pass` compiles and runs; `ui/fail` is refused, with the messages in the `.stderr` files. The wording of the compiler
//! changes between releases, so the messages are compared only by the release that they were blessed with; any other
//! release, or `UI_WITHOUT_MESSAGES=1`, checks that the programs are refused. `TRYBUILD=overwrite cargo test --test ui` blesses them anew.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// The release that wrote the `.stderr` files.
const BLESSED_WITH: &str = "1.95.0";

/// The 38 cases on which every attribute of another profiler failed somewhere, by the program that holds them.
///
/// A case about one form stands in the program of that form, so a program may hold several.
const CASES: [(&str, &str); 38] = [
    ("async fn returning Option<&[u8]> from Some(&vec)", "pass/async_ref_coercion"),
    ("the same without async", "pass/sync_ref_coercion"),
    ("async fn returning Box<dyn T>", "pass/async_boxed_dyn"),
    ("async fn stays Send", "pass/async_send"),
    ("async fn(&mut self, &[u8]) -> &[u8]", "pass/async_mut_self_slice"),
    ("-> impl Future", "pass/returns_impl_future"),
    ("-> Pin<Box<dyn Future>>", "pass/returns_boxed_future"),
    ("async_trait method", "pass/async_trait"),
    ("busy and waiting of an async fn", "pass/async_busy_and_waiting"),
    ("cancelled future, panic inside", "pass/async_cancelled_and_panicking"),
    ("const fn", "fail/const_fn"),
    ("extern \"C\" and no_mangle", "pass/extern_c_no_mangle"),
    ("unsafe fn", "pass/unsafe_fn"),
    ("arguments and self without Debug, impl Trait argument", "pass/arguments_without_debug"),
    ("fn -> !", "pass/never"),
    ("parameter named like a local of ours", "pass/parameters_named_like_locals"),
    ("local module named like the crate", "pass/local_mod_named_like_the_crate"),
    ("crate renamed", "pass/renamed_crate"),
    ("local mod std and mod core", "pass/local_mod_std_and_core"),
    ("deny(warnings, clippy::pedantic)", "pass/deny_warnings"),
    ("forbid(unsafe_code)", "pass/forbid_unsafe"),
    ("must_use", "pass/must_use"),
    ("track_caller", "pass/track_caller"),
    ("inline, cold", "pass/inline_and_cold"),
    ("deprecated, docs", "pass/deprecated_and_docs"),
    ("attribute twice on one fn", "fail/twice"),
    ("unknown argument", "fail/unknown_option"),
    ("on a struct", "fail/on_a_struct"),
    ("on a trait fn without a body", "fail/bodyless_trait_fn"),
    ("the same label twice", "pass/same_name_twice"),
    ("generics", "pass/generics"),
    ("const generics", "pass/const_generics"),
    ("lifetimes", "pass/lifetimes"),
    ("pattern arguments", "pass/pattern_arguments"),
    ("self: Box, self: Pin", "pass/self_box_and_pin"),
    ("made by macro_rules, with cfg attributes", "pass/made_by_macro_rules"),
    ("? and early return", "pass/early_return"),
    ("boxed recursion", "pass/boxed_recursion"),
];

#[test]
fn programs_are_accepted_or_refused() {
    for (case, program) in CASES {
        let path = format!("ui/{program}.rs");
        assert!(Path::new(&path).is_file(), "the program of the case `{case}` is missing: {path}");
    }
    let cases = trybuild::TestCases::new();
    cases.pass("ui/pass/*.rs");
    if compiler_is_the_blessed_one() {
        println!("messages are compared: this is rustc {BLESSED_WITH}");
        cases.compile_fail("ui/fail/*.rs");
    } else {
        println!("messages are not compared: they were blessed with rustc {BLESSED_WITH}");
        refused_without_comparing();
    }
}

fn compiler_is_the_blessed_one() -> bool {
    if std::env::var_os("UI_WITHOUT_MESSAGES").is_some() {
        return false;
    }
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("-V").output().expect("rustc answers to -V");
    String::from_utf8_lossy(&version.stdout).split(' ').nth(1) == Some(BLESSED_WITH)
}

/// Builds every program of `ui/fail` by itself and expects the compiler to refuse it.
fn refused_without_comparing() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = tempfile::tempdir().expect("a temporary folder can be made");
    let mut manifest = format!(
        "[package]\nname = \"refused\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
         bottleneck-runtime = {{ path = \"{}\" }}\n",
        package.join("../../bottleneck-runtime").display()
    );
    let mut names = Vec::new();
    for file in package.join("ui/fail").read_dir().expect("ui/fail is there") {
        let path = file.expect("ui/fail can be read").path();
        if path.extension().is_some_and(|it| it == "rs") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let _ = write!(manifest, "[[bin]]\nname = \"{name}\"\npath = \"{}\"\n", path.display());
            names.push(name);
        }
    }
    std::fs::write(project.path().join("Cargo.toml"), manifest)
        .expect("the project can be written");
    // The versions of the workspace, so that nothing has to be fetched.
    let _ = std::fs::copy(package.join("../../Cargo.lock"), project.path().join("Cargo.lock"));
    for name in names {
        let output = Command::new(env!("CARGO"))
            .args(["check", "--quiet", "--offline", "--bin", &name])
            .current_dir(project.path())
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("refused"))
            .output()
            .expect("cargo runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{name} was accepted");
        assert!(
            said.contains(&format!("could not compile `refused` (bin \"{name}\")")),
            "{name}: {said}"
        );
    }
}

//! Scripts for shells. Only bash is run: the others are seldom there.

use std::process::Command;

use crate::project::{Project, manifest, output, stderr, stdout};

fn script(shell: &str) -> String {
    let project =
        Project::new(&[("Cargo.toml", &manifest("prog")), ("src/main.rs", "fn main() {}")]);
    let actual = output(&mut project.bottleneck("", &["completions", shell]));
    assert_eq!(actual.status.code(), Some(0), "{}", stderr(&actual));
    stdout(&actual)
}

#[test]
fn there_is_a_script_for_each_shell() {
    for (shell, mark) in [
        ("bash", "complete -F _cargo__bottleneck"),
        ("zsh", "#compdef cargo-bottleneck"),
        ("fish", "complete -c cargo-bottleneck"),
        ("elvish", "edit:completion:arg-completer[cargo-bottleneck]"),
        ("powershell", "Register-ArgumentCompleter -Native -CommandName 'cargo-bottleneck'"),
    ] {
        let script = script(shell);
        assert!(script.contains(mark), "{shell}: {script}");
        for word in ["example", "completions", "duration", "clean"] {
            assert!(script.contains(word), "{shell} does not know `{word}`");
        }
    }
}

/// What bash offers behind these words, by a function.
fn offered(function: &str, words: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script");
    std::fs::write(&path, script("bash")).unwrap();
    let code = format!(
        "_cargo_own() {{ COMPREPLY=(own:$2); }}\ncomplete -F _cargo_own cargo\nsource '{}' || exit 9\n\
         COMP_WORDS=({words}); COMP_CWORD=$(({{#COMP_WORDS[@]}} - 1)); COMPREPLY=()\n\
         {function} \"${{COMP_WORDS[0]}}\" \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
         echo \"${{COMPREPLY[*]}}\"",
        path.display()
    )
    .replace("{#COMP_WORDS", "${#COMP_WORDS");
    let bash = Command::new("bash").args(["--norc", "-c", &code]).output().ok()?;
    assert!(bash.status.success() && bash.stderr.is_empty(), "{}", stderr(&bash));
    Some(stdout(&bash).trim().to_owned())
}

#[test]
fn bash_completes_the_plugin_and_the_subcommand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script");
    std::fs::write(&path, script("bash")).unwrap();
    // Where there is no bash, nobody needs the script.
    let Ok(checked) = Command::new("bash").arg("-n").arg(&path).output() else { return };
    assert!(checked.status.success() && checked.stderr.is_empty(), "{}", stderr(&checked));

    let behind_cargo = "_cargo_bottleneck_behind_cargo";
    for (function, words, expected) in [
        ("_cargo__bottleneck", "cargo-bottleneck run --exa", "--example"),
        (behind_cargo, "cargo bottleneck run --exa", "--example"),
        (behind_cargo, "cargo +stable bottleneck run --durat", "--duration"),
        (behind_cargo, "cargo bottleneck completions fi", "fish"),
        // What is not ours goes to whoever had it before.
        (behind_cargo, "cargo bui", "own:bui"),
        (behind_cargo, "cargo bottleneck", "own:bottleneck"),
    ] {
        assert_eq!(offered(function, words).as_deref(), Some(expected), "{words}");
    }
}

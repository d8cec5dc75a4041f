//! The documents: what they name exists, and what exists is named.

use super::{CRATES, files, has_ending, none, read, root, top_modules};

/// The command that does the main job on a fresh checkout.
const MAIN_JOB: &str = "cargo bottleneck run --example tiny_llm";
/// The command that runs every test.
const TESTS: &str = "cargo test";

fn documents() -> Vec<String> {
    files("").into_iter().filter(|path| has_ending(path, "md")).collect()
}

/// Texts between single backticks.
fn code_spans(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.starts_with("```"));
    lines.flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// The part of ARCHITECTURE.md about one crate: from its heading to the next one.
fn section<'a>(text: &'a str, krate: &str) -> &'a str {
    let heading = format!("### {krate}\n");
    let start = text.find(&heading).unwrap_or_else(|| panic!("no heading for {krate}"));
    let rest = &text[start + heading.len()..];
    &rest[..rest.find("\n#").unwrap_or(rest.len())]
}

#[test]
fn architecture_maps_every_module_and_nothing_else() {
    let text = read("ARCHITECTURE.md");
    let mut findings = Vec::new();
    for krate in CRATES {
        // A line `- a, b: what they are` maps the modules `a` and `b`.
        let mapped: Vec<&str> = section(&text, krate)
            .lines()
            .filter_map(|line| line.strip_prefix("- ")?.split_once(':'))
            .flat_map(|(modules, _)| code_spans(modules))
            .collect();
        let is_there = |module: &str| {
            let path = root().join(krate).join("src").join(module.replace("::", "/"));
            path.is_dir() || path.with_extension("rs").is_file()
        };
        for module in &mapped {
            if !is_there(module) {
                findings.push(format!("{krate}: `{module}` is on the map and not in `src`"));
            }
        }
        for module in top_modules(krate) {
            if !mapped.contains(&module.as_str()) {
                findings.push(format!("{krate}: `{module}` is in `src` and not on the map"));
            }
        }
    }
    none(&findings);
}

#[test]
fn architecture_is_short() {
    assert!(read("ARCHITECTURE.md").lines().count() <= 220);
}

#[test]
fn links_and_paths_lead_somewhere() {
    let folders: Vec<String> = CRATES
        .into_iter()
        .chain(["examples", "tests", ".ci", ".cargo"])
        .map(|it| format!("{it}/"))
        .collect();
    let mut findings = Vec::new();
    for document in documents() {
        let text = read(&document);
        let home = root().join(&document).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if !link.starts_with("http") && !path.is_empty() && !home.join(path).exists() {
                findings.push(format!("{document}: link to `{link}`"));
            }
        }
        for path in code_spans(&text) {
            let is_path = folders.iter().any(|folder| path.starts_with(folder))
                && !path.contains(['*', '<', ' ']);
            if is_path && !root().join(path).exists() {
                findings.push(format!("{document}: path `{path}`"));
            }
        }
    }
    none(&findings);
}

#[test]
fn the_two_commands_of_the_readme_are_those_of_the_gate() {
    let readme = read("README.md");
    let first: Vec<&str> =
        readme.lines().filter_map(|line| line.strip_prefix("$ ")).take(2).collect();
    assert_eq!(first, [MAIN_JOB, TESTS]);
    let gate = read(".ci/run");
    for command in [MAIN_JOB, TESTS] {
        let is_step =
            |line: &str| line.starts_with("step ") && line.ends_with(&format!(" {command}"));
        assert!(gate.lines().any(is_step), "no step of .ci/run is `{command}`");
    }
}

#[test]
fn the_alias_starts_the_command_of_this_checkout() {
    let config = read(".cargo/config.toml");
    assert!(config.contains(r#"bottleneck = ["run", "--package", "cargo-bottleneck", "--"]"#));
}

#[test]
fn the_contracts_that_documents_name_are_there() {
    let architecture = read("ARCHITECTURE.md");
    let contracts =
        ["cargo-bottleneck/schema/summary.schema.json", "bottleneck-runtime/src/format/mod.rs"];
    for contract in contracts {
        assert!(architecture.contains(contract), "ARCHITECTURE.md does not name {contract}");
        assert!(root().join(contract).is_file(), "{contract}");
    }
    assert!(read(contracts[1]).contains("| kind | chunk | aux | payload |"), "the byte table");
}

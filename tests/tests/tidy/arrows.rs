//! Which part may use which: arrows of use point one way.

use super::{files, has_ending, none, read, top_modules};

/// The modules of the command. Each may use those before it, never one behind it.
///
/// `report::model` is plain data without behavior: `analysis` fills it, and the renderers in `report` see nothing else.
const ORDER: [&str; 24] = [
    "exit_code",
    "syscalls",
    "units",
    "kind",
    "number",
    "escape",
    "error",
    "status",
    "descendants",
    "signals",
    "run_dir",
    "fault",
    "machine",
    "profile",
    "instructions",
    "symbols",
    "report::model",
    "analysis",
    "report",
    "launch",
    "partner",
    "cargo",
    "commands",
    "cli",
];

fn place(module: &str) -> Option<usize> {
    ORDER.iter().position(|&name| name == module)
}

/// A use of another module: the line, and the path behind `crate::`, at most two names long.
#[derive(Debug, PartialEq, Eq)]
struct Use {
    line: usize,
    path: Vec<String>,
}

/// Every path of the form `crate::...` outside of comments, with the names in braces right behind `crate::` one by one.
fn uses(source: &str) -> Vec<Use> {
    let mut res = Vec::new();
    for (at, line) in source.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (start, found) in code.match_indices("crate::") {
            let is_whole_word = !code[..start]
                .ends_with(|before: char| before.is_alphanumeric() || "_$".contains(before));
            if is_whole_word {
                res.extend(
                    heads(&code[start + found.len()..])
                        .into_iter()
                        .map(|path| Use { line: at + 1, path }),
                );
            }
        }
    }
    res
}

/// The first two names of the path, or of each path of the list, that a text begins with.
fn heads(text: &str) -> Vec<Vec<String>> {
    let Some(list) = text.strip_prefix('{') else {
        return vec![names(text)];
    };
    let mut depth = 0;
    let split = list.split(|letter: char| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        letter == ',' && depth == 0
    });
    split.map(|part| names(part.trim())).filter(|path| !path.is_empty()).collect()
}

fn names(text: &str) -> Vec<String> {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.split("::")
        .map_while(|part| {
            let end = part.find(|letter| !is_name(letter)).unwrap_or(part.len());
            (end > 0).then(|| (part[..end].to_owned(), end == part.len()))
        })
        .scan(true, |goes_on, (name, is_whole)| goes_on.then(|| (name, *goes_on = is_whole).0))
        .take(2)
        .collect()
}

/// The part of a file that is in the product: tests and test kits may look anywhere.
fn product_code(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

fn is_for_tests(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.ends_with("tests.rs") || ["fixture.rs", "sample.rs"].contains(&name)
}

#[test]
fn an_arrow_of_use_never_points_right() {
    let mut findings = Vec::new();
    for path in files("cargo-bottleneck/src") {
        let inner = path.trim_start_matches("cargo-bottleneck/src/");
        let module = match inner {
            "lib.rs" | "main.rs" => continue,
            "report/model.rs" => "report::model",
            _ => inner.split('/').next().unwrap_or_default().trim_end_matches(".rs"),
        };
        if !has_ending(inner, "rs") || is_for_tests(&path) {
            continue;
        }
        let Some(own) = place(module) else {
            findings.push(format!("{path}: `{module}` has no place in the order"));
            continue;
        };
        for used in uses(product_code(&read(&path))) {
            let target = match &used.path[..] {
                [first, second, ..] if first == "report" && second == "model" => "report::model",
                [first, ..] => first.as_str(),
                [] => continue,
            };
            match place(target) {
                Some(other) if other <= own => {}
                Some(_) => findings.push(format!(
                    "{path}:{}: `{module}` uses `{target}`, which is to its right",
                    used.line
                )),
                None => findings.push(format!("{path}:{}: no module `{target}`", used.line)),
            }
        }
    }
    none(&findings);
}

#[test]
fn the_order_names_every_module_of_the_command() {
    let mut ordered: Vec<&str> = ORDER.into_iter().filter(|name| !name.contains("::")).collect();
    ordered.sort_unstable();
    assert_eq!(ordered, top_modules("cargo-bottleneck"));
}

#[test]
fn the_command_knows_only_the_format_the_timed_load_and_the_text_of_the_runtime() {
    let mut findings = Vec::new();
    for path in files("cargo-bottleneck/src") {
        if !has_ending(&path, "rs") {
            continue;
        }
        for (at, line) in read(&path).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for (start, found) in code.match_indices("bottleneck_runtime::") {
                let is_text = code[..start].contains('"');
                let used = &code[start + found.len()..];
                let is_known = ["format", "sources", "__private::time_load"]
                    .iter()
                    .any(|it| used.starts_with(it));
                if !is_text && !is_known {
                    findings.push(format!("{path}:{}: {}", at + 1, line.trim()));
                }
            }
        }
    }
    none(&findings);
}

#[test]
fn uses_are_found_in_every_form() {
    let source = "use crate::units::Nanos;\nuse crate::{kind, report::model::{A, B}};\n\
        let x = crate::cli; // crate::launch\npub(crate) fn f() {}\n$crate::x!()";
    let found: Vec<(usize, String)> =
        uses(source).into_iter().map(|used| (used.line, used.path.join("::"))).collect();
    let wanted = [(1, "units::Nanos"), (2, "kind"), (2, "report::model"), (3, "cli")];
    assert_eq!(found, wanted.map(|(line, path)| (line, path.to_owned())));
}

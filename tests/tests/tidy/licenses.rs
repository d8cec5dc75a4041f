//! What the crates are built from: licenses, sources, and what reaches the user's program.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::{none, root};

/// Licenses that ask for no more than a notice.
const PERMISSIVE: [&str; 9] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// The only crate under another license: see `cargo-bottleneck/THIRD-PARTY.md`.
const COPYLEFT: (&str, &str) = ("inferno", "CDDL-1.0");

/// Crates that become part of the profiled program.
const IN_THE_PROGRAM: [&str; 2] = ["bottleneck-runtime", "bottleneck-macros"];

/// The packages of the lock file and how they depend on each other.
struct Packages {
    packages: Vec<Value>,
    /// Ids of the packages that each id is built with, tests left out.
    uses: BTreeMap<String, Vec<String>>,
}

impl Packages {
    fn load() -> Self {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--offline"])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
        let uses = nodes.iter().map(|node| (text(&node["id"]), built_with(node))).collect();
        Self { packages: metadata["packages"].as_array().unwrap().clone(), uses }
    }

    fn name(&self, id: &str) -> String {
        text(&self.packages.iter().find(|package| package["id"] == id).unwrap()["name"])
    }

    /// Names of a package and of everything that it is built with.
    fn closure(&self, name: &str) -> BTreeSet<String> {
        let start = self.packages.iter().find(|package| package["name"] == name).unwrap();
        let mut open = vec![text(&start["id"])];
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if seen.insert(id.clone()) {
                open.extend(self.uses[&id].iter().cloned());
            }
        }
        seen.iter().map(|id| self.name(id)).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn built_with(node: &Value) -> Vec<String> {
    let is_built_with = |dependency: &&Value| {
        dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"] != "dev")
    };
    let dependencies = node["deps"].as_array().unwrap();
    dependencies.iter().filter(is_built_with).map(|it| text(&it["pkg"])).collect()
}

/// Whether every part of a license expression offers one of the permissive licenses.
fn is_permissive(expression: &str) -> bool {
    expression.replace('/', " OR ").split(" AND ").all(|part| {
        let offers = part.trim_start_matches('(').trim_end_matches(')');
        offers.split(" OR ").any(|license| PERMISSIVE.contains(&license.trim()))
    })
}

#[test]
fn every_license_is_permissive_but_that_of_inferno() {
    let mut findings = Vec::new();
    for package in Packages::load().packages {
        let (name, license) = (text(&package["name"]), text(&package["license"]));
        if !is_permissive(&license) && (name.as_str(), license.as_str()) != COPYLEFT {
            findings.push(format!("{name}: `{license}`"));
        }
    }
    none(&findings);
}

#[test]
fn expressions_are_read_by_their_parts() {
    assert!(is_permissive("MIT/Apache-2.0"));
    assert!(is_permissive("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(is_permissive("MIT OR Apache-2.0 OR LGPL-2.1-or-later"));
    assert!(!is_permissive("MIT AND GPL-3.0"));
    assert!(!is_permissive("CDDL-1.0"));
    assert!(!is_permissive(""));
}

#[test]
fn only_the_command_carries_inferno() {
    let packages = Packages::load();
    for krate in IN_THE_PROGRAM.into_iter().chain(["bottleneck-examples"]) {
        assert!(!packages.closure(krate).contains(COPYLEFT.0), "{krate} reaches inferno");
    }
    assert!(packages.closure("cargo-bottleneck").contains(COPYLEFT.0));
}

#[test]
fn the_runtime_is_lean_and_never_depends_on_the_command() {
    let packages = Packages::load();
    let of_macros = packages.closure("bottleneck-macros");
    let mut runtime = packages.closure("bottleneck-runtime");
    assert!(!runtime.contains("cargo-bottleneck"));
    runtime.remove("bottleneck-runtime");
    let beside_the_macros: Vec<_> = runtime.difference(&of_macros).collect();
    assert!(beside_the_macros.len() <= 3, "{beside_the_macros:?}");
}

#[test]
fn every_crate_comes_from_the_registry_or_this_repository() {
    let mut findings = Vec::new();
    for package in Packages::load().packages {
        let source = text(&package["source"]);
        if !source.is_empty() && !source.starts_with("registry+") {
            findings.push(format!("{}: {source}", text(&package["name"])));
        }
    }
    none(&findings);
}

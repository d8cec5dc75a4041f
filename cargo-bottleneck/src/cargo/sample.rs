//! For tests: a workspace and a build of it, as cargo would describe them.
//!
//! `/w` is a virtual workspace of `server` (binaries `admin` and `server`, example `demo`, test `smoke`) and `tool`
//! (binary `tool`).

use cargo_metadata::{Artifact, BuildScript};
use serde_json::{Value, json};

use crate::cargo::metadata::Workspace;

/// The workspace; `server` has `default_run` if one is given, and lies in `build_directory` until it is finished.
pub(crate) fn workspace(default_run: Option<&str>, build_directory: &str) -> Workspace {
    let mut server = package(
        "server",
        &[("bin", "admin"), ("bin", "server"), ("example", "demo"), ("test", "smoke")],
    );
    server["default_run"] = json!(default_run);
    server["rust_version"] = json!("1.85");
    server["authors"] = json!(["A <a@example.org>", "B"]);
    server["readme"] = json!("README.md");
    let tool = package("tool", &[("bin", "tool")]);
    let ids = [id("server"), id("tool")];
    let metadata = json!({
        "packages": [server, tool], "workspace_members": ids, "workspace_default_members": ids, "resolve": null,
        "target_directory": "/w/target", "build_directory": build_directory, "version": 1, "workspace_root": "/w",
        "metadata": null,
    });
    Workspace::parse(&metadata.to_string()).unwrap()
}

/// What cargo says of a target that it has built; without an `executable` it is a library.
pub(crate) fn artifact(
    package: &str,
    kind: &str,
    name: &str,
    executable: Option<&str>,
) -> Artifact {
    from(json!({
        "package_id": id(package), "manifest_path": format!("/w/{package}/Cargo.toml"), "target": target(kind, name),
        "profile": {
            "opt_level": "3", "debuginfo": "line-tables-only", "debug_assertions": false, "overflow_checks": false,
            "test": false,
        },
        "features": [], "filenames": [], "executable": executable, "fresh": true,
    }))
}

/// What cargo says of a build script that it has run.
pub(crate) fn build_script(
    package: &str,
    linked_paths: &[&str],
    env: &[(&str, &str)],
) -> BuildScript {
    from(json!({
        "package_id": id(package), "linked_libs": [], "linked_paths": linked_paths, "cfgs": [], "env": env,
        "out_dir": format!("/w/target/bottleneck/build/{package}/out"),
    }))
}

fn package(name: &str, targets: &[(&str, &str)]) -> Value {
    let targets: Vec<Value> = targets.iter().map(|(kind, name)| target(kind, name)).collect();
    json!({
        "name": name, "version": "1.2.3-beta.4", "id": id(name), "license": null, "license_file": null,
        "description": "what it is", "source": null, "dependencies": [], "targets": targets, "features": {},
        "manifest_path": format!("/w/{name}/Cargo.toml"), "metadata": null, "publish": null, "authors": [],
        "categories": [], "keywords": [], "readme": null, "repository": null, "homepage": null, "documentation": null,
        "edition": "2024", "links": null, "default_run": null, "rust_version": null,
    })
}

fn target(kind: &str, name: &str) -> Value {
    json!({
        "kind": [kind], "crate_types": ["bin"], "name": name, "src_path": format!("/w/src/{name}.rs"),
        "edition": "2024", "doc": true, "doctest": false, "test": true,
    })
}

fn id(package: &str) -> String {
    format!("path+file:///w/{package}#1.2.3-beta.4")
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

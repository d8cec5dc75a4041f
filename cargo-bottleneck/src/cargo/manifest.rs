//! The two things that `cargo metadata` does not say of a manifest: whether it has a profile of a given name, and which
//! targets bring their own `main` instead of the test harness.

use std::path::Path;

use cargo_metadata::{Target, TargetKind};

/// A `Cargo.toml`.
#[derive(Debug, Default)]
pub struct Manifest(toml::Table);

impl Manifest {
    /// Reads one. What cannot be read counts as empty: cargo itself has read it, or says why not.
    pub fn read(path: &Path) -> Self {
        Self::parse(&std::fs::read_to_string(path).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        Self(text.parse().unwrap_or_default())
    }

    /// Whether it defines `[profile.NAME]`.
    pub fn has_profile(&self, name: &str) -> bool {
        self.0.get("profile").is_some_and(|profiles| profiles.get(name).is_some())
    }

    /// Whether a target is built with the test harness, which is so unless its table says `harness = false`.
    pub fn has_harness(&self, target: &Target) -> bool {
        let of_kind = |kind: &TargetKind| match kind {
            TargetKind::Bin => Some("bin"),
            TargetKind::Example => Some("example"),
            TargetKind::Test => Some("test"),
            TargetKind::Bench => Some("bench"),
            _ => None,
        };
        let table = match target.kind.iter().find_map(of_kind) {
            Some(kind) => self.0.get(kind).and_then(toml::Value::as_array).and_then(|tables| {
                let has_name = |table: &&toml::Value| {
                    table.get("name").and_then(toml::Value::as_str) == Some(&target.name)
                };
                tables.iter().find(has_name)
            }),
            None => self.0.get("lib"),
        };
        table.and_then(|table| table.get("harness")).and_then(toml::Value::as_bool).unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::sample::artifact;

    #[test]
    fn finds_a_profile_however_it_is_written() {
        for manifest in [
            "[profile.bottleneck]\ninherits = \"release\"",
            "[ profile . \"bottleneck\" ] # ours",
            "[profile]\nbottleneck = { inherits = \"release\" }",
            "profile.bottleneck.inherits = \"release\"",
            "[profile.bottleneck.package.x]\nopt-level = 3",
        ] {
            assert!(Manifest::parse(manifest).has_profile("bottleneck"), "{manifest}");
        }
    }

    #[test]
    fn does_not_take_others_for_it() {
        for manifest in [
            "",
            "not toml",
            "[package]\nname = \"bottleneck\"",
            "[profile.release]\ninherits = \"bottleneck\"",
            "# profile.bottleneck = {}",
            "[profile.bottleneck-dev]",
            "[package.metadata.profile.bottleneck]",
            "x = '''\n[profile.bottleneck]\n'''",
        ] {
            assert!(!Manifest::parse(manifest).has_profile("bottleneck"), "{manifest}");
        }
    }

    #[test]
    fn a_target_has_the_harness_unless_its_table_says_no() {
        let manifest = Manifest::parse(
            "lib.harness = false\n[[bench]]\nname = \"b\"\nharness = false\n[[bench]]\nname = \"c\"\n[[test]]\nname = \"b\"\n",
        );
        for (kind, name, expected) in [
            ("lib", "server", false),
            ("bench", "b", false),
            ("bench", "c", true),
            ("test", "b", true),
            ("bin", "b", true),
        ] {
            let artifact = artifact("server", kind, name, None);
            assert_eq!(manifest.has_harness(&artifact.target), expected, "{kind} {name}");
        }
    }
}

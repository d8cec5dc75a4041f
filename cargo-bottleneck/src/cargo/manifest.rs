//! The one thing that `cargo metadata` does not say of a manifest: whether it has a profile of a given name.

/// Whether the text of a workspace's `Cargo.toml` defines `[profile.NAME]`, in any of TOML's ways to write that.
///
/// Reads lines, not TOML: a table header inside a multi-line string would be taken for one. The cost of that mistake is
/// cargo's own message that the profile does not exist.
pub fn has_profile(manifest: &str, name: &str) -> bool {
    let mut table: Vec<String> = Vec::new();
    manifest.lines().any(|line| {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            table = keys(header.split(']').next().unwrap_or_default().trim_start_matches('['));
            return is_profile(&table, name);
        }
        let Some((key, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
            return false;
        };
        let path: Vec<String> = table.iter().cloned().chain(keys(key)).collect();
        is_profile(&path, name)
    })
}

fn is_profile(path: &[String], name: &str) -> bool {
    matches!(path, [profile, profile_name, ..] if profile == "profile" && profile_name == name)
}

fn keys(dotted: &str) -> Vec<String> {
    dotted.split('.').map(|key| key.trim().trim_matches(['"', '\'']).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_profile_however_it_is_written() {
        for manifest in [
            "[profile.bottleneck]\ninherits = \"release\"",
            "[ profile . \"bottleneck\" ] # ours",
            "[profile]\nbottleneck = { inherits = \"release\" }",
            "profile.bottleneck.inherits = \"release\"",
            "[profile.bottleneck.package.x]\nopt-level = 3",
        ] {
            assert!(has_profile(manifest, "bottleneck"), "{manifest}");
        }
    }

    #[test]
    fn does_not_take_others_for_it() {
        for manifest in [
            "",
            "[package]\nname = \"bottleneck\"",
            "[profile.release]\ninherits = \"bottleneck\"",
            "# profile.bottleneck = {}",
            "[profile.bottleneck-dev]",
            "[package.metadata.profile.bottleneck]",
        ] {
            assert!(!has_profile(manifest, "bottleneck"), "{manifest}");
        }
    }
}

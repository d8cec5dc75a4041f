//! Source files as reports name them: relative to what they are a part of.

use std::path::{Path, PathBuf};

/// Where the reader is.
#[derive(Debug)]
pub(super) struct Paths {
    here: Option<PathBuf>,
}

impl Paths {
    pub(super) fn of_this_process() -> Self {
        Self { here: std::env::current_dir().ok() }
    }

    /// `file` as the line tables name it, `directory` being where it was compiled: `src/model.rs`, `gemm-0.19.0/src/lib.rs`,
    /// `library/core/src/iter/range.rs`; the whole path where it is of none of these.
    pub(super) fn shown(&self, file: &str, directory: Option<&str>) -> String {
        if let Some(inside) = file.strip_prefix("/rustc/").and_then(|rest| rest.split_once('/')) {
            return inside.1.to_owned();
        }
        if let Some((_, inside)) = file.split_once("/registry/src/") {
            return inside.split_once('/').map_or(inside, |(_, inside)| inside).to_owned();
        }
        if let Some((_, inside)) = file.split_once("/lib/rustlib/src/rust/") {
            return inside.to_owned();
        }
        let bases = self.here.as_deref().into_iter().chain(directory.map(Path::new));
        let mut inside = bases
            .filter(|base| base.parent().is_some())
            .filter_map(|base| Path::new(file).strip_prefix(base).ok());
        inside
            .next()
            .map_or_else(|| file.to_owned(), |inside| inside.to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_what_they_are_a_part_of() {
        let paths = Paths { here: Some("/checkouts/app".into()) };
        let cases = [
            ("/checkouts/app/src/model.rs", "src/model.rs"),
            ("/checkouts/other/src/lib.rs", "/checkouts/other/src/lib.rs"),
            ("/build/kernels/src/dot.rs", "src/dot.rs"),
            ("/rustc/0a1b2c/library/core/src/ops/range.rs", "library/core/src/ops/range.rs"),
            ("/cache/registry/src/a-mirror-1949cf8c/gemm-0.19.0/src/x.rs", "gemm-0.19.0/src/x.rs"),
            (
                "/toolchains/stable/lib/rustlib/src/rust/library/std/src/f32.rs",
                "library/std/src/f32.rs",
            ),
            ("src/relative.rs", "src/relative.rs"),
            ("", ""),
        ];
        for (file, shown) in cases {
            assert_eq!(paths.shown(file, Some("/build/kernels")), shown);
        }
        assert_eq!(Paths { here: Some("/".into()) }.shown("/a.rs", None), "/a.rs");
    }
}

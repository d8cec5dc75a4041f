//! The page that shows what came of all runs: method, machine, date, tables.
//!
//! What was not measured this time is kept from the page before, and says so: a session about what-if loses no matrix. A
//! section never mixes two sessions.

mod causes;
mod machine;
mod measured;
mod verdicts;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::session::Findings;
use super::tier::Tier;
use machine::{machine, today};

const METHOD: &str = "# What the verdicts are worth

Programs whose bottleneck is known by construction run under `cargo bottleneck`, and this page compares its verdicts with
the truth. `cargo run -p bottleneck-truth --bin truth -- --write docs/TRUTH.md` makes it anew.

**Method.** Each program has one dominant cause, on data whose size comes from the caches of the machine. Before it is
recorded, and outside of spans, it checks its own label by clocks alone: the same code on data in a near cache against its
real data, or with the suspected resource doubled or taken away. Where that denies the label, the run does not count. The
true share of memory stalls is `1 - t(near) / t(real)`. A verdict is *right* if its kind is (a series and a borderline
program have several), *wrong* if it names another, *abstained* if it names none, *external* if it says that others
disturbed the run. A mix measures what its parts really were while it runs, and is judged by that: the larger part is right,
and `mixed` is right beside an even mix, elsewhere only with shares that are within 15 points of the truth. A run beside
which other programs had more than a tenth of the CPUs is made again, twice at most, and does not count if it stays so; how
many there are is told. Programs marked H were held out: no threshold was chosen by them. Seeds count up; odd ones take the
smaller size of data, even ones the larger.
";

const KEPT: &str = "*Not measured in this run; kept from an earlier one.*\n\n";
const NOT_MEASURED: &str = "Not measured in this run.\n";

/// A part of the page.
struct Section {
    title: String,
    /// `None` if nothing was measured.
    body: Option<String>,
}

impl Section {
    fn new(title: impl Into<String>, body: Option<String>) -> Self {
        Self { title: title.into(), body }
    }
}

/// The page; `before` is the one that it takes the place of.
#[must_use]
pub fn page(findings: &Findings, before: Option<&str>) -> String {
    let mut res = METHOD.to_owned();
    _ = writeln!(res, "\n**Machine.** {}", machine());
    _ = writeln!(res, "\n**Date.** {}", today());
    if let Some(left) = &findings.left_out {
        _ = writeln!(res, "\nThe time that was given ended before {left}.");
    }
    let mut sections: Vec<Section> = Vec::new();
    sections.extend(Tier::ALL.map(|tier| verdicts::matrix(findings, tier)));
    sections.extend([
        verdicts::wrong(findings),
        verdicts::abstained(findings),
        verdicts::programs(findings),
        verdicts::subkinds(findings),
        verdicts::mixes(findings),
        verdicts::memory(findings),
        measured::what_if(findings),
        measured::times(findings),
        measured::cost(findings),
    ]);
    let known = before.map(bodies).unwrap_or_default();
    for Section { title, body } in sections {
        let body = body.map(|it| format!("Measured on {}.\n\n{}", today(), it.trim()));
        let body = body.unwrap_or_else(|| kept(known.get(title.as_str()).copied()));
        _ = write!(res, "\n## {title}\n\n{}\n", body.trim());
    }
    res
}

/// What an earlier page has under a title.
fn kept(body: Option<&str>) -> String {
    let body = body.map(|it| it.strip_prefix(KEPT).unwrap_or(it).trim());
    match body {
        Some(body) if body != NOT_MEASURED.trim() => format!("{KEPT}{body}"),
        _ => NOT_MEASURED.to_owned(),
    }
}

/// The sections of a page, by their titles.
fn bodies(page: &str) -> BTreeMap<&str, &str> {
    let sections = page.split("\n## ").skip(1);
    sections
        .filter_map(|it| it.split_once('\n'))
        .map(|(title, body)| (title, body.trim()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_without_runs_says_how_it_is_made() {
        let page = page(&Findings::default(), None);
        assert!(page.contains("cargo run -p bottleneck-truth --bin truth"));
        assert!(
            page.contains("**Date.** 2")
                && page.contains("## What-if\n\nNot measured in this run.")
        );
    }

    #[test]
    fn what_was_not_measured_is_kept() {
        let costs = vec![("gemv", vec![0.01, 0.02])];
        let first = page(&Findings { costs, ..Findings::default() }, None);
        let second = page(&Findings::default(), Some(&first));
        assert!(first.contains("| `gemv` | +1.50 %") && !first.contains(KEPT));
        assert!(second.contains("| `gemv` | +1.50 %") && second.contains(KEPT));
        // It is kept as often as nothing is measured, and says so once.
        assert_eq!(page(&Findings::default(), Some(&second)), second);
    }
}

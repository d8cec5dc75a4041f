//! What an example says of its own bottleneck, in its first lines, and what a report says of it.
//!
//! ```text
//! //! Verdict: io / disk
//! //! Start at: `Weights::load`
//! ```

use std::fmt;

use serde_json::Value;

use crate::command::workspace;

/// What a verdict can be, but for `inconclusive`: no program is made for that.
const KINDS: [&str; 6] = ["memory", "compute", "io", "scheduling", "mixed", "none"];

/// What the first lines of an example say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The kind of the verdict.
    pub kind: String,
    /// Its sub-kind, where the program is made for one.
    pub subkind: Option<String>,
    /// The name of the span to start at, where there is one.
    pub start: Option<String>,
}

impl Label {
    /// Reads the label of a program from its source.
    ///
    /// # Errors
    /// What is missing or cannot be read.
    pub fn parse(source: &str) -> Result<Self, String> {
        let head = || source.lines().map_while(|line| line.strip_prefix("//!"));
        let field = |name: &str| {
            let mut found = head().filter_map(|line| line.strip_prefix(name));
            match (found.next(), found.next()) {
                (Some(text), None) => Ok(text.trim().to_owned()),
                (None, _) => Err(format!("no line `//!{name}`")),
                (Some(_), Some(_)) => Err(format!("two lines `//!{name}`")),
            }
        };
        let (verdict, start) = (field(" Verdict:")?, field(" Start at:")?);
        let (kind, subkind) = match verdict.split_once(" / ") {
            Some((kind, subkind)) => (kind.to_owned(), Some(subkind.to_owned())),
            None => (verdict, None),
        };
        if !KINDS.contains(&kind.as_str()) {
            return Err(format!("no kind `{kind}`"));
        }
        let start = if start == "-" {
            None
        } else {
            let name = start.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
            Some(name.ok_or_else(|| format!("no span in backticks: {start}"))?.to_owned())
        };
        if start.is_none() != (kind == "none") {
            return Err("a bottleneck has a span to start at, and nothing else has".to_owned());
        }
        if !head().any(|line| line.starts_with(" Why that holds by construction: ")) {
            return Err("it does not say why that holds by construction".to_owned());
        }
        Ok(Self { kind, subkind, start })
    }

    /// Every example that is one file and its label, by name.
    ///
    /// # Panics
    /// If one has no label.
    pub fn of_examples() -> Vec<(String, Self)> {
        let folder = workspace().join("examples");
        let mut res = Vec::new();
        for entry in folder.read_dir().expect("there are examples") {
            let path = entry.expect("the folder can be read").path();
            if path.extension().is_some_and(|ending| ending == "rs") {
                let source = std::fs::read_to_string(&path).expect("a source file can be read");
                let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
                let label = Self::parse(&source).unwrap_or_else(|why| panic!("{name}: {why}"));
                res.push((name, label));
            }
        }
        res.sort_by(|(a, _), (b, _)| a.cmp(b));
        res
    }
}

/// As in the first lines of an example.
impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        self.subkind.as_ref().map_or(Ok(()), |subkind| write!(f, " / {subkind}"))
    }
}

/// What a report says.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Kind, sub-kind and the name of the span.
    pub label: Label,
    /// Share of the time in flight, 0 where there is none.
    pub share: f64,
    /// How sure it is.
    pub confidence: String,
    /// Whether the kernel told every wait of a thread: if not, the report rests on samples and clocks.
    pub has_switches: bool,
}

impl Judged {
    /// Reads it from a summary.
    ///
    /// # Panics
    /// If the verdict names a span that the summary does not have.
    pub fn of(summary: &Value) -> Self {
        let verdict = &summary["verdict"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let start = text(&verdict["span"]).map(|id| {
            let mut spans = summary["spans"].as_array().into_iter().flatten();
            let span = spans.find(|span| span["id"] == id.as_str());
            text(&span.expect("the verdict names a span of the summary")["name"])
                .expect("a span has a name")
        });
        let kind = text(&verdict["kind"]).unwrap_or_default();
        Self {
            label: Label { kind, subkind: text(&verdict["subkind"]), start },
            share: verdict["share"].as_f64().unwrap_or(0.0),
            confidence: text(&verdict["confidence"]).unwrap_or_default(),
            has_switches: summary["on_cpu_source"] == "context switches",
        }
    }

    /// Whether the report says what the label does.
    pub fn agrees_with(&self, expected: &Label) -> bool {
        let Label { kind, subkind, start } = &self.label;
        *kind == expected.kind
            && (expected.subkind.is_none() || *subkind == expected.subkind)
            && (expected.start.is_none() || *start == expected.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHY: &str = "//!\n//! Why that holds by construction: so.\n";

    fn parsed(head: &str) -> Result<(String, Option<String>), String> {
        let label = Label::parse(&format!("//! It does.\n//!\n{head}{WHY}\nfn main() {{}}"))?;
        Ok((label.to_string(), label.start))
    }

    #[test]
    fn a_label_is_read_as_it_is_written() {
        assert_eq!(
            parsed("//! Verdict: io / child process\n//! Start at: `Weights::load`\n"),
            Ok(("io / child process".to_owned(), Some("Weights::load".to_owned())))
        );
        assert_eq!(
            parsed("//! Verdict: compute\n//! Start at: `matmul`\n"),
            Ok(("compute".to_owned(), Some("matmul".to_owned())))
        );
        assert_eq!(parsed("//! Verdict: none\n//! Start at: -\n"), Ok(("none".to_owned(), None)));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for (head, why) in [
            ("//! Start at: `x`\n", "no line `//! Verdict:`"),
            ("//! Verdict: io\n", "no line `//! Start at:`"),
            ("//! Verdict: io\n//! Verdict: io\n//! Start at: `x`\n", "two lines"),
            ("//! Verdict: disk\n//! Start at: `x`\n", "no kind `disk`"),
            ("//! Verdict: io\n//! Start at: x\n", "no span in backticks"),
            ("//! Verdict: io\n//! Start at: -\n", "a bottleneck has a span"),
            ("//! Verdict: none\n//! Start at: `x`\n", "and nothing else has"),
        ] {
            let error = parsed(head).unwrap_err();
            assert!(error.contains(why), "{head:?}: {error}");
        }
        let without = Label::parse("//! Verdict: io\n//! Start at: `x`\n").unwrap_err();
        assert!(without.contains("why that holds"), "{without}");
    }

    #[test]
    fn a_report_agrees_where_the_label_says_something() {
        let summary = serde_json::json!({
            "verdict": {"kind": "io", "subkind": "disk", "share": 0.8, "confidence": "strong", "span": "a1"},
            "spans": [{"id": "b2", "name": "serve"}, {"id": "a1", "name": "Weights::load"}],
            "on_cpu_source": "context switches",
        });
        let judged = Judged::of(&summary);
        assert!(judged.has_switches);
        let label = |kind: &str, subkind: Option<&str>, start: Option<&str>| Label {
            kind: kind.to_owned(),
            subkind: subkind.map(str::to_owned),
            start: start.map(str::to_owned),
        };
        assert_eq!(judged.label, label("io", Some("disk"), Some("Weights::load")));
        assert!(judged.agrees_with(&label("io", Some("disk"), Some("Weights::load"))));
        assert!(judged.agrees_with(&label("io", None, Some("Weights::load"))));
        assert!(!judged.agrees_with(&label("io", Some("network"), Some("Weights::load"))));
        assert!(!judged.agrees_with(&label("io", Some("disk"), Some("serve"))));
        assert!(!judged.agrees_with(&label("memory", None, Some("Weights::load"))));
    }
}

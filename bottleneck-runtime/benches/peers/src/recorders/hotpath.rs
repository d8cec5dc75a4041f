//! hotpath: `#[hotpath::measure]` under its guard, with its default features. It counts the calls in its JSON report.

use std::path::Path;

use hotpath::{Format, HotpathGuardBuilder, Section};

use super::{Recorder, Spans};
use crate::functions::functions;

functions!(#[hotpath::measure]);

/// Starts the guard, which writes its report into `folder` at the end.
#[expect(clippy::unnecessary_wraps, reason = "the signature that all recorders share")]
pub fn start(folder: &Path) -> Result<Recorder, String> {
    let file = folder.join("hotpath.json");
    let guard = HotpathGuardBuilder::new("peers")
        .format(Format::Json)
        .output_path(&file)
        .sections(vec![Section::FunctionsTiming])
        .build();
    Ok(Recorder {
        spans: Spans::plain(flat, d1),
        finish: Box::new(move || {
            drop(guard);
            let report = std::fs::read(&file).map_err(|error| error.to_string())?;
            let report: serde_json::Value =
                serde_json::from_slice(&report).map_err(|error| error.to_string())?;
            let functions = report["functions_timing"]["data"].as_array();
            let functions = functions.ok_or("no list of functions in the report")?;
            let calls = |function: &serde_json::Value| {
                let is_ours =
                    function["name"].as_str().is_some_and(|name| name.contains("hotpath::"));
                if is_ours { function["calls"].as_u64() } else { None }
            };
            Ok(Some(functions.iter().filter_map(calls).sum()))
        }),
    })
}

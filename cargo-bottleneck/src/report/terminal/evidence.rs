//! A measurement in words: its value, what it is a part of, and where it comes from.

use crate::number::{digits, percent, time};
use crate::report::model::{Evidence, Source};

/// `18.0 GB/s = 90% of 20.0 GB/s DRAM bandwidth`.
pub(super) fn evidence_words(evidence: &Evidence) -> String {
    let Evidence { what, value, unit, of, source } = evidence;
    let value_and_unit = match unit.as_str() {
        "s" => time(seconds(*value)),
        "copies" | "waits" | "kernels" if value.fract() == 0.0 => format!("{value:.0} {unit}"),
        _ => format!("{} {unit}", digits(*value)),
    };
    let words = match *of {
        Some(ridge) if unit.ends_with("/byte") => {
            let side = if *value < ridge { "left" } else { "right" };
            format!("{value_and_unit}, {side} of the ridge at {}", digits(ridge))
        }
        Some(of) if of > 0.0 && unit == "s" => {
            format!("{value_and_unit} = {} of {} {what}", percent(value / of), time(seconds(of)))
        }
        Some(of) if of > 0.0 => {
            format!("{value_and_unit} = {} of {} {unit} {what}", percent(value / of), digits(of))
        }
        Some(_) | None => {
            // `12 samples of its instructions`, of `samples`.
            let rest = what.strip_prefix(unit.as_str()).filter(|_| !unit.is_empty());
            format!("{value_and_unit} {}", rest.map_or(what.as_str(), str::trim_start))
        }
    };
    match source {
        Source::Declared => format!("{words} (declared)"),
        Source::DataSheet => format!("{words} (data sheet)"),
        Source::Inferred => format!("{words} (inferred)"),
        Source::Measured | Source::Counter => words,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and a time is not negative"
)]
fn seconds(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

//! Flags of cargo that cannot be honored: each is known, and says why not and what to do instead.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The error for a flag that makes no sense here.
pub(super) fn of_flag(flag: &str, why: &str, fix: &str) -> clap::Error {
    let text = format!("the argument '{flag}' cannot be honored\n  why: {why}\n  fix: {fix}\n");
    clap::Error::raw(ErrorKind::ArgumentConflict, text)
}

/// `--unit-graph` prints instead of building.
pub(super) fn unit_graph() -> clap::Error {
    of_flag(
        "--unit-graph",
        "cargo then prints a graph and builds nothing that could be run",
        "cargo +nightly build -Z unstable-options --unit-graph",
    )
}

/// Explains why a format of cargo's own messages is no value of ours.
pub(super) fn explain(mut error: clap::Error) -> clap::Error {
    let is = |kind, text: &str| matches!(error.get(kind), Some(ContextValue::String(value)) if value.starts_with(text));
    if error.kind() == ErrorKind::InvalidValue
        && is(ContextKind::InvalidArg, "--message-format")
        && is(ContextKind::InvalidValue, "json-")
    {
        let tip =
            "this is the format of the verdict; the messages of the build are always for people";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

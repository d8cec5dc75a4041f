//! The real command on small projects without dependencies, compared with what cargo itself does.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod cleaning;
mod completions;
mod ends;
mod environment;
mod folders;
mod outcome;
mod project;
mod settings;
mod signals;
mod targets;
mod terminal;

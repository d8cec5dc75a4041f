//! The real command on small projects without dependencies, compared with what cargo itself does.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod cleaning;
mod completions;
mod configuration;
mod ends;
mod environment;
mod folders;
mod help;
mod messages;
mod outcome;
mod parity;
mod project;
mod recordings;
mod settings;
mod signals;
mod streams;
mod targets;
mod terminal;
mod tests;

//! The real command on small projects without dependencies, compared with what cargo itself does.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod environment;
mod messages;
mod outcome;
mod project;
mod recordings;
mod signals;
mod streams;
mod targets;
mod terminal;

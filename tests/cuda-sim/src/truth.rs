//! The log of what really happened: a line of JSON for each operation, written as it is submitted, so that a program that is
//! killed has written all that it submitted. Only what is behind a host function is written when that has returned, and the
//! function with it. Tests hold reports against it.
//!
//! Every line has `op`, `corr`, `thread` (the kernel's number) and `host` (ns when the call began); the rest depends on `op`:
//!
//! | `op` | fields |
//! |---|---|
//! | `kernel` | `name device stream start end ready`, and the parts of the device's peaks that it uses: `memory arithmetic processors` |
//! | `copy` | `direction pinned bytes stream start end ready host_until` |
//! | `set` | `bytes stream start end ready` |
//! | `host` | `stream start end ready`: a host function |
//! | `record`, `wait` | `stream event at`; `stall_ns` for a wait |
//! | `sync` | `of` (`stream`, `event`, `context`), `stream`, `begin end` |
//! | `graph` | `graph nodes stream start end ready` |
//!
//! Times are on the clock of the simulation, `CLOCK_MONOTONIC` unless it is virtual.

use std::fmt::Arguments;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::sync::Mutex;

use crate::settings::TRUTH;

/// The log, where one was asked for.
#[derive(Debug)]
pub struct Truth(Option<Mutex<File>>);

impl Truth {
    /// The log that the environment names.
    ///
    /// # Errors
    /// A sentence that names the file that cannot be written.
    pub fn open() -> Result<Self, String> {
        let Some(path) = std::env::var_os(TRUTH) else { return Ok(Self(None)) };
        // The first process has it; what others do, such as a tool that measures the device later, is no part of it.
        match File::create_new(&path) {
            Ok(file) => Ok(Self(Some(Mutex::new(file)))),
            Err(why) if why.kind() == ErrorKind::AlreadyExists => Ok(Self(None)),
            Err(why) => Err(format!("{TRUTH}: {} cannot be written ({why})", path.display())),
        }
    }

    /// Writes a line: the fields of a JSON object, without its braces.
    pub fn write(&self, fields: Arguments<'_>) {
        let Some(file) = &self.0 else { return };
        let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // One call of the system for each line: whole lines are there at any moment.
        let line = format!("{{{fields}}}\n");
        // A log that cannot be written leaves a test without truth, which it will say.
        _ = file.write_all(line.as_bytes());
    }
}

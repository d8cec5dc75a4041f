//! Program 19: a log to which every token is written, and made safe, before the next one.
//!
//! Truth: I/O / disk. The token itself takes 0.2 ms of compute.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use bottleneck_examples::host;
use bottleneck_runtime::span;

use crate::loads::Compute;
use crate::removal::{self, Pass};
use crate::table::Program;
use crate::trial::{Denied, Trial};

/// What a token takes.
const TOKEN: Duration = Duration::from_micros(50);
/// Tokens of a pass.
const TOKENS: u32 = 64;
/// After: so many tokens are made safe at once.
const TOGETHER: u32 = 16;

/// Program 19.
pub const PROGRAMS: &[Program] = &[Program::known(
    "19",
    "request_log",
    "io",
    &["sync", "disk"],
    "every token is written to a log and made safe before the next one",
    run,
)
.with_after()];

/// A log that is removed when it is dropped.
struct Log {
    file: File,
    path: PathBuf,
}

impl Log {
    fn create() -> io::Result<Self> {
        let path = host::data_directory().join(format!("request-{}.log", std::process::id()));
        Ok(Self { file: File::create(&path)?, path })
    }

    #[inline(never)]
    fn append(&mut self, token: u32, every: u32) -> io::Result<()> {
        writeln!(self.file, "token {token}")?;
        if token.is_multiple_of(every) { self.file.sync_data() } else { Ok(()) }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // A log that stays takes a few KiB.
        let _ = fs::remove_file(&self.path);
    }
}

fn run(trial: &Trial) -> Result<(), Denied> {
    let mut model = Compute::taking(TOKEN);
    let mut log = Log::create().map_err(|why| Denied(format!("no log can be written: {why}")))?;
    removal::run(trial, 0.4, |Pass { after, seen }| {
        let every = if after { TOGETHER } else { 1 };
        for token in 1..=TOKENS {
            let _span = seen.then(|| span!("token"));
            {
                let _span = seen.then(|| span!("decode"));
                model.run();
            }
            let _span = seen.then(|| span!("append"));
            log.append(token, every).expect("the disk has room for a few bytes");
        }
        u64::from(TOKENS)
    })
}

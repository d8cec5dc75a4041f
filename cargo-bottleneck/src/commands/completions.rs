//! `cargo bottleneck completions`: a script on stdout, for a shell to read.

use std::io::Write as _;

use crate::error::Error;
use crate::exit_code::ExitCode;

/// Prints the script. Returns the code to end with.
///
/// # Errors
/// If stdout cannot be written: half a script must not pass for a whole one.
pub fn print(script: &str) -> Result<u8, Error> {
    let mut out = std::io::stdout().lock();
    out.write_all(script.as_bytes()).and_then(|()| out.flush()).map_or_else(
        |error| {
            Err(Error::new(ExitCode::CannotWrite, "cannot write the script to stdout")
                .why(error)
                .fix("write it to a file on a disk with room"))
        },
        |()| Ok(0),
    )
}

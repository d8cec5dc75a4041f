//! What cases say.

use std::error::Error;
use std::fmt::Debug;

use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult;

/// What came of a case.
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// Two things are the same.
#[expect(clippy::needless_pass_by_value, reason = "mostly something that has just been found")]
pub(crate) fn same<T: PartialEq + Debug>(found: T, expected: T) -> Outcome {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{found:?} instead of {expected:?}").into())
    }
}

/// Something is so.
pub(crate) fn holds(is_so: bool, what: &str) -> Outcome {
    if is_so { Ok(()) } else { Err(format!("not so: {what}").into()) }
}

/// The driver refuses, with this code.
#[expect(clippy::needless_pass_by_value, reason = "what a call has just returned")]
pub(crate) fn refused<T>(result: Result<T, DriverError>, code: CUresult) -> Outcome {
    match result {
        Ok(_) => Err(format!("not refused with {code:?}").into()),
        Err(error) => same(error.0, code),
    }
}

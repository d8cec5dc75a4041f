//! Faults of the command itself: a panic becomes an error like any other, and what was recorded is kept.
//!
//! Nothing is printed where a panic happens, on whatever thread: whoever waits for that work says what became of it.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::run_dir;

/// The folder of the run that is going on.
static RUN: Mutex<Option<PathBuf>> = Mutex::new(None);

thread_local! {
    /// Where the newest panic of this thread happened.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps panics quiet from here on; [`caught`] tells of them.
pub fn keep_quiet() {
    panic::set_hook(Box::new(|info| {
        // A thread that is ending has no place left to keep it; the error then says less.
        let _ = PLACE.try_with(|place| place.replace(Some(place_of(info))));
    }));
}

/// Remembers the folder that the recording goes to, for the error to name.
pub fn recording_goes_to(folder: &Path) {
    *RUN.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder.to_owned());
}

/// Does the work; a panic in it is an error.
///
/// # Errors
/// That of the work, or [`ExitCode::Fault`].
pub fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // Nothing that the work has left half done is looked at again: the command ends.
    panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|payload| Err(error_of(payload.as_ref())))
}

/// Panics where a test asks for it; there is no such thing in a release build.
pub fn on_demand(place: &str) {
    let is_asked = cfg!(debug_assertions)
        && std::env::var_os("BOTTLENECK_TEST_FAULT").is_some_and(|asked| asked == place);
    assert!(!is_asked, "a test asked for a fault");
}

fn place_of(info: &PanicHookInfo<'_>) -> String {
    info.location().map_or_else(
        || "a place that is not known".to_owned(),
        |location| {
            // A crate of another author has the whole path of the machine that built it.
            let parts: Vec<&str> = location.file().rsplit('/').take(4).collect();
            let file: Vec<&str> = parts.into_iter().rev().collect();
            format!("{}:{}", file.join("/"), location.line())
        },
    )
}

fn error_of(payload: &(dyn Any + Send)) -> Error {
    let message = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    let place = PLACE.take().unwrap_or_else(|| "another thread".to_owned());
    let fix = match kept() {
        Some(folder) => format!(
            "the recording is kept, try once more: cargo bottleneck report {}\n{}",
            folder.display(),
            please()
        ),
        None => please(),
    };
    Error::new(ExitCode::Fault, "cargo-bottleneck has met a fault of its own")
        .why(format!("{message} (version {}, {place})", env!("CARGO_PKG_VERSION")))
        .fix(fix)
}

fn please() -> String {
    format!("tell us these lines at {}/issues", env!("CARGO_PKG_REPOSITORY"))
}

/// The folder of the run, if it holds a recording.
fn kept() -> Option<PathBuf> {
    let folder = RUN.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
    (!run_dir::recordings(&folder).is_empty()).then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_a_code_of_its_own() {
        let empty: [u8; 0] = [];
        let error = caught(|| Ok(empty[std::hint::black_box(3)])).unwrap_err();
        assert_eq!(error.code().code(), 70);
        let text = error.to_string();
        assert!(text.contains("index out of bounds") && text.contains("/issues"), "{text}");
        assert_eq!(caught(|| Ok(5)).unwrap(), 5);
    }
}

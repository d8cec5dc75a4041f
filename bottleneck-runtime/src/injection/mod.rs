//! What the CUDA driver loads into a program that `cargo bottleneck run --gpu` starts: this crate, built alone as a shared library
//! with `--cfg bottleneck_injection`.
//!
//! The program may know nothing of us. Then one span, the whole program, is open from its first call of the driver to its end.
//! Or it has a recorder of its own, which knows nothing of devices: then only what devices do is recorded here, in a file beside
//! its recording, and the span of each call is asked of that recorder ([`host`]). The command puts both together.

pub(crate) mod host;

use core::ffi::c_int;

use crate::record::process;
use crate::site::{Site, SiteOptions};
use crate::span;

/// What the command says of the program: [`WHOLE`], or anything else for one that has a recorder.
const MODE_VARIABLE: &str = "BOTTLENECK_INJECTION";
const WHOLE: &str = "whole";

static PROGRAM: Site = Site::new("[whole program]", "", "", "", 0, 0, SiteOptions::REQUEST);

/// Whether the program has a recorder of its own, or may have.
pub(crate) fn is_beside_another() -> bool {
    std::env::var_os(MODE_VARIABLE).is_none_or(|mode| mode != WHOLE)
}

/// What the driver calls when the program begins to use it. Returns 1: by its documents, that is success.
#[unsafe(no_mangle)]
pub extern "C" fn InitializeInjection() -> c_int {
    // Nothing of ours may end the program, and nothing may unwind into the driver.
    let _ = std::panic::catch_unwind(begin);
    1
}

fn begin() {
    if is_beside_another() {
        host::look();
        if !host::collects_devices() {
            let _ = process::session();
        }
    } else {
        // Open until the end.
        core::mem::forget(span::enter(&PROGRAM));
    }
}

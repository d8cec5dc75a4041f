//! Whether this process records: decided at the first span, and again in a child after `fork`.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::io::Write as _;

use super::background;
use super::sampling;
use super::session::{Place, RECORDING, Session};
use super::thread;
use crate::os;

/// Names the directory of the run; its presence switches recording on.
pub(crate) const DIRECTORY_VARIABLE: &str = "BOTTLENECK_RUN_DIR";
/// Names a file that the first process uses where the directory cannot be mapped.
pub(crate) const FALLBACK_VARIABLE: &str = "BOTTLENECK_FALLBACK_FILE";

const UNDECIDED: u32 = 0;
const OFF: u32 = 1;
const STARTING: u32 = 2;
const ON: u32 = 3;
/// Nothing is recorded, and a tool wants spans as ranges.
const LISTENED: u32 = 4;

static STATE: AtomicU32 = AtomicU32::new(UNDECIDED);
static SESSION: AtomicPtr<Session> = AtomicPtr::new(ptr::null_mut());
/// Whether the handlers for `fork` and `exit` are in place: a child inherits them.
static HANDLERS: AtomicU32 = AtomicU32::new(0);

/// Whether it is settled that nothing is recorded. One relaxed load: all that a span costs then.
#[inline(always)]
pub(crate) fn is_off() -> bool {
    // Relaxed: a thread that has not seen the decision yet asks `session`.
    STATE.load(Ordering::Relaxed) == OFF
}

/// The session of this process, begun if need be; `None` where nothing is recorded.
pub(crate) fn session() -> Option<&'static Session> {
    loop {
        // Acquire: pairs with the Release in `decide`; publishes the session.
        match STATE.load(Ordering::Acquire) {
            OFF | LISTENED => return None,
            // SAFETY: in this state `SESSION` is null or a leaked session.
            ON => return unsafe { SESSION.load(Ordering::Relaxed).as_ref() },
            UNDECIDED => {
                let won = STATE.compare_exchange(
                    UNDECIDED,
                    STARTING,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                );
                if won.is_ok() {
                    decide();
                }
            }
            // Another thread decides; it takes well under a millisecond.
            _ => std::thread::yield_now(),
        }
    }
}

/// Begins a session, or settles that there is none.
fn decide() {
    let started = std::env::var_os(DIRECTORY_VARIABLE).filter(|value| !value.is_empty()).and_then(|directory| {
        let place = Place {
            directory: directory.into(),
            fallback: std::env::var_os(FALLBACK_VARIABLE).map(Into::into).filter(|_| extension() == RECORDING),
            extension: extension(),
        };
        match Session::start(&place) {
            Ok(session) => Some(session),
            Err(error) => {
                // The user asked for a recording: say once that there is none. Nothing to do if even that fails.
                let _ = writeln!(
                    std::io::stderr(),
                    "bottleneck: nothing is recorded: cannot make a profile in {}: {error}; set {DIRECTORY_VARIABLE} to a \
                     folder that can be written and mapped",
                    place.directory.display(),
                );
                None
            }
        }
    });
    let Some(session) = started else {
        // Release: pairs with the Acquire in `session`, for uniformity; there is nothing to publish.
        STATE.store(if is_listened_to() { LISTENED } else { OFF }, Ordering::Release);
        return;
    };
    let session: &'static Session = Box::leak(Box::new(session));
    SESSION.store(ptr::from_ref(session).cast_mut(), Ordering::Relaxed);
    if HANDLERS.swap(1, Ordering::Relaxed) == 0 {
        let forks = os::fork::after_fork_in_child(in_forked_child);
        session.note_capability("fork", forks.err().map(|error| error.to_string()).as_deref());
        os::thread::at_exit(at_exit);
    }
    // Else the program is looked at by its own.
    if extension() == RECORDING {
        background::start(session);
    }
    #[cfg(feature = "cuda")]
    crate::cuda::collector::start(session);
    // Release: pairs with the Acquire in `session`.
    STATE.store(ON, Ordering::Release);
}

/// Whether a tool wants spans as NVTX ranges.
fn is_listened_to() -> bool {
    #[cfg(all(feature = "cuda", not(bottleneck_injection)))]
    return crate::cuda::nvtx::listener().is_some();
    #[cfg(not(all(feature = "cuda", not(bottleneck_injection))))]
    false
}

/// The tool that wants spans as ranges, where nothing is recorded.
#[cfg(all(feature = "cuda", not(bottleneck_injection)))]
pub(crate) fn listener() -> Option<crate::cuda::nvtx::Listener> {
    // Relaxed: the tool itself is behind a lock of its own.
    (STATE.load(Ordering::Relaxed) == LISTENED).then(crate::cuda::nvtx::listener).flatten()
}

fn extension() -> &'static str {
    #[cfg(bottleneck_injection)]
    if crate::injection::is_beside_another() {
        return super::session::OF_DEVICES;
    }
    RECORDING
}

/// Notes the orderly end of the process.
extern "C" fn at_exit() {
    if STATE.load(Ordering::Acquire) != ON {
        return;
    }
    // SAFETY: as in `session`.
    if let Some(session) = unsafe { SESSION.load(Ordering::Relaxed).as_ref() } {
        thread::account_now();
        session.note_conditions();
        let (_, ns) = session.anchor();
        session.arena.header().end_ns.store(ns, Ordering::Relaxed);
    }
}

/// In the child of a fork, on its only thread: the parent's file is left alone; the child's first span begins a file of its
/// own. Makes system calls and stores only, as a child of a threaded process may.
unsafe extern "C" fn in_forked_child() {
    // SAFETY: as in `session`.
    if let Some(session) = unsafe { SESSION.load(Ordering::Relaxed).as_ref() } {
        thread::forget_in_child();
        #[cfg(feature = "cuda")]
        crate::cuda::collector::forget_in_child();
        sampling::forget_in_child();
        crate::future::forget_requests();
        session.arena.cut_off();
    }
    SESSION.store(ptr::null_mut(), Ordering::Relaxed);
    // A thread that was deciding in the parent does not exist here.
    if STATE.load(Ordering::Relaxed) != OFF {
        STATE.store(UNDECIDED, Ordering::Relaxed);
    }
}

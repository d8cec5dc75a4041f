//! Puts right a fault of a timed load, whose memory went away in the last moment. Every other fault goes to whoever had the
//! signal before, as if we were not there.

use crate::os::Errno;
use crate::os::bare_call;
use crate::os::signal::Previous;
use crate::time_load::faulted;

const SIGNALS: [i32; 2] = [libc::SIGSEGV, libc::SIGBUS];
static PREVIOUS: [Previous; 2] = [const { Previous::new() }; 2];

/// Handles the two signals from now on.
pub(super) fn install() -> Result<(), Errno> {
    for (previous, signal) in PREVIOUS.iter().zip(SIGNALS) {
        // On the other stack where there is one: a stack that overflowed has no room for us either.
        previous.install(signal, on_fault, libc::SA_SIGINFO | libc::SA_ONSTACK)?;
    }
    Ok(())
}

/// Whether the handlers are still ours. Two system calls.
pub(super) fn is_installed() -> bool {
    SIGNALS
        .iter()
        .all(|&signal| bare_call::handler_of(signal) == Some(on_fault as *const () as usize))
}

extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands over the registers at the fault, which are restored from there.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let instruction = &mut registers[libc::REG_RIP as usize];
    // SAFETY: the kernel hands over a valid description.
    let is_fault = unsafe { (*info).si_code } > 0;
    if is_fault && let Some(next) = faulted(instruction.cast_unsigned()) {
        *instruction = next.cast_signed();
        return;
    }
    let which = usize::from(signal == SIGNALS[1]);
    PREVIOUS[which].chain(signal, info, context);
}

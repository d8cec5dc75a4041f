//! Handlers of signals that the program may handle too: what is not ours goes to whoever had the signal before.

use core::sync::atomic::{AtomicPtr, Ordering};

use super::Errno;

/// A handler as the kernel calls it.
pub(crate) type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);

/// Who had a signal before us. One for each signal, in a `static`.
#[derive(Debug)]
pub(crate) struct Previous {
    /// Null until the signal is ours. Never freed: a handler may be looking at it.
    action: AtomicPtr<libc::sigaction>,
}

impl Previous {
    pub(crate) const fn new() -> Self {
        Self { action: AtomicPtr::new(core::ptr::null_mut()) }
    }

    /// Puts `handler` in front of whoever has `signal` now. `default_flags` where nobody has it.
    ///
    /// The mask and the flags of the handler before are kept, but for signals whose fault would end the program while they
    /// are blocked.
    pub(crate) fn install(
        &self,
        signal: i32,
        handler: Handler,
        default_flags: i32,
    ) -> Result<(), Errno> {
        // SAFETY: all zeros is a valid `sigaction`.
        let mut before: libc::sigaction = unsafe { core::mem::zeroed() };
        // SAFETY: asks only.
        if unsafe { libc::sigaction(signal, core::ptr::null(), &raw mut before) } != 0 {
            return Err(Errno::last());
        }
        if before.sa_sigaction == handler as *const () as usize {
            // Inherited over a fork.
            return Ok(());
        }
        let mut ours = before;
        ours.sa_sigaction = handler as *const () as usize;
        if !has_handler(&before) {
            ours.sa_flags = default_flags;
            // SAFETY: the mask is a valid place.
            unsafe { libc::sigemptyset(&raw mut ours.sa_mask) };
        }
        ours.sa_flags |= libc::SA_SIGINFO;
        ours.sa_flags &= !libc::SA_RESETHAND;
        for fault in [libc::SIGSEGV, libc::SIGBUS] {
            // SAFETY: as above.
            unsafe { libc::sigdelset(&raw mut ours.sa_mask, fault) };
        }
        // Release: pairs with the Acquire in `chain`. Before the handler is there, which may be called at once.
        self.action.store(Box::into_raw(Box::new(before)), Ordering::Release);
        // SAFETY: `ours` is valid, and its handler stays for the life of the process.
        if unsafe { libc::sigaction(signal, &raw const ours, core::ptr::null_mut()) } == 0 {
            Ok(())
        } else {
            Err(Errno::last())
        }
    }

    /// Hands a signal on to whoever had it before, as if we were not there. For signal handlers.
    pub(crate) fn chain(
        &self,
        signal: i32,
        info: *mut libc::siginfo_t,
        context: *mut libc::c_void,
    ) {
        // Acquire: pairs with the Release in `install`.
        // SAFETY: null, or leaked there.
        let Some(action) = (unsafe { self.action.load(Ordering::Acquire).as_ref() }) else {
            return;
        };
        if !has_handler(action) {
            without_handler(signal, action, info);
            return;
        }
        if action.sa_flags & libc::SA_RESETHAND != 0 {
            // As the kernel would have done before the call.
            set_default(signal);
        }
        if action.sa_flags & libc::SA_SIGINFO != 0 {
            // SAFETY: the program installed it as such a handler.
            let handler = unsafe { core::mem::transmute::<usize, Handler>(action.sa_sigaction) };
            handler(signal, info, context);
        } else {
            // SAFETY: as above; without the flag it takes the number only.
            let handler =
                unsafe { core::mem::transmute::<usize, extern "C" fn(i32)>(action.sa_sigaction) };
            handler(signal);
        }
    }
}

fn has_handler(action: &libc::sigaction) -> bool {
    ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction)
}

fn set_default(signal: i32) {
    // SAFETY: all zeros is a valid `sigaction`: the default.
    let action: libc::sigaction = unsafe { core::mem::zeroed() };
    // SAFETY: `action` is valid. Allowed in a handler.
    unsafe { libc::sigaction(signal, &raw const action, core::ptr::null_mut()) };
}

/// The signal was the default's, or ignored.
fn without_handler(signal: i32, before: &libc::sigaction, info: *mut libc::siginfo_t) {
    if ![libc::SIGSEGV, libc::SIGBUS].contains(&signal) {
        // Only signals whose default is to do nothing come here.
        return;
    }
    // SAFETY: the kernel hands over a valid description.
    let is_fault = unsafe { (*info).si_code } > 0;
    if !is_fault && before.sa_sigaction == libc::SIG_IGN {
        return;
    }
    // SAFETY: `before` is what the kernel gave us. Allowed in a handler.
    unsafe { libc::sigaction(signal, before, core::ptr::null_mut()) };
    if !is_fault {
        // It was sent: it is sent again, and comes when this handler returns. A fault happens again by itself.
        // SAFETY: takes numbers only.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), super::thread::tid(), signal) };
    }
}

/// Whether the calling thread blocks a signal.
pub(crate) fn is_blocked_here(signal: i32) -> bool {
    // SAFETY: all zeros is a valid `sigset_t`.
    let mut mask: libc::sigset_t = unsafe { core::mem::zeroed() };
    // SAFETY: asks only; `mask` is a valid place.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, core::ptr::null(), &raw mut mask) };
    // SAFETY: `mask` was filled by the call above.
    unsafe { libc::sigismember(&raw const mask, signal) == 1 }
}

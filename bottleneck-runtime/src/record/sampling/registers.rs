//! The registers of a thread where a signal interrupted it.

/// In the order of the processor's own numbers.
const ORDER: [i32; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// Where a thread was interrupted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers {
    /// The instruction that it goes on with.
    pub(super) ip: u64,
    pub(super) values: [u64; 16],
    /// It does not block the signals of faults: one that it blocks ends the program, whatever handlers there are.
    pub(super) can_fault: bool,
}

impl Registers {
    /// Reads the third argument of a signal handler.
    ///
    /// # Safety
    /// `context` is that argument.
    #[expect(clippy::cast_sign_loss, reason = "the places of registers are positive")]
    pub(super) unsafe fn of(context: *const libc::c_void) -> Self {
        // SAFETY: by contract.
        let context = unsafe { &*context.cast::<libc::ucontext_t>() };
        let register =
            |at: i32| context.uc_mcontext.gregs.get(at as usize).map_or(0, |it| it.cast_unsigned());
        let blocks = |signal| {
            // SAFETY: the mask is the kernel's, in a valid place.
            unsafe { libc::sigismember(&raw const context.uc_sigmask, signal) != 0 }
        };
        Self {
            ip: register(libc::REG_RIP),
            values: ORDER.map(register),
            can_fault: !blocks(libc::SIGSEGV) && !blocks(libc::SIGBUS),
        }
    }

    /// The register with this number.
    pub(super) fn get(&self, number: usize) -> Option<u64> {
        self.values.get(number).copied()
    }
}

//! Facts about the calling thread and process.

/// Kernel id of the calling thread.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ids are positive and fit 32 bits"
)]
pub(crate) fn tid() -> u32 {
    // SAFETY: `gettid` takes nothing and cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

/// Whether the calling thread is the one that the process began with.
pub(crate) fn is_main() -> bool {
    tid() == pid()
}

/// Process id.
pub(crate) fn pid() -> u32 {
    // SAFETY: `getpid` takes nothing and cannot fail.
    unsafe { libc::getpid() }.cast_unsigned()
}

/// Process id of the parent.
pub(crate) fn parent_pid() -> u32 {
    // SAFETY: `getppid` takes nothing and cannot fail.
    unsafe { libc::getppid() }.cast_unsigned()
}

/// Name of the calling thread as the kernel knows it, zero padded.
pub(crate) fn name() -> [u8; 16] {
    let mut name = [0_u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes, which `name` has.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name
}

/// CPUs that the process may use; 0 where the kernel does not tell. The larger of what the calling thread and the main thread
/// may use: one of them may be bound to a CPU of its own.
pub(crate) fn cpus() -> u32 {
    cpus_of(0).max(cpus_of(pid()))
}

/// CPUs that a thread may use; 0 is the calling one.
fn cpus_of(tid: u32) -> u32 {
    // SAFETY: all zeros is a valid `cpu_set_t`.
    let mut set: libc::cpu_set_t = unsafe { core::mem::zeroed() };
    // SAFETY: `set` is a valid place of the size given.
    if unsafe {
        libc::sched_getaffinity(tid.cast_signed(), size_of::<libc::cpu_set_t>(), &raw mut set)
    } != 0
    {
        return 0;
    }
    // SAFETY: `set` was filled by the call above.
    unsafe { libc::CPU_COUNT(&set) }.cast_unsigned()
}

/// Blocks every signal on the calling thread while `make` runs, so that a thread made by it never takes a signal that
/// the program wants to handle elsewhere.
pub(crate) fn with_signals_blocked<R>(make: impl FnOnce() -> R) -> R {
    // SAFETY: all zeros is a valid `sigset_t`, and `sigfillset` writes all of it.
    let mut all: libc::sigset_t = unsafe { core::mem::zeroed() };
    // SAFETY: as above.
    let mut before: libc::sigset_t = unsafe { core::mem::zeroed() };
    // SAFETY: both sets are valid; the mask is the calling thread's own.
    unsafe {
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
    }
    let made = make();
    // SAFETY: `before` was filled by the call above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, core::ptr::null_mut()) };
    made
}

/// Asks for short turns on the CPU, so that the calling thread gets one soon after it wakes up also where every CPU is busy:
/// one that asks for less at a time is let in before the others' turns are over (Linux 6.12 and later; before it changes
/// nothing). No privilege is needed for it, and no more CPU time comes of it.
pub(crate) fn ask_for_short_turns() {
    const SHORTEST_NS: u64 = 100_000;
    /// `struct sched_attr` in its first version.
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    let mut attributes = Attributes::default();
    #[expect(clippy::cast_possible_truncation, reason = "48")]
    let size = size_of::<Attributes>() as u32;
    // SAFETY: `attributes` is a valid place of the size given; 0 is the calling thread.
    let known =
        unsafe { libc::syscall(libc::SYS_sched_getattr, 0_i32, &raw mut attributes, size, 0_u32) };
    if known != 0 || attributes.policy != libc::SCHED_OTHER.cast_unsigned() {
        return;
    }
    (attributes.size, attributes.runtime) = (size, SHORTEST_NS);
    // SAFETY: as above. Everything but the length of a turn is as it was.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0_i32, &raw const attributes, 0_u32) };
}

/// Calls `run` when the process ends in an orderly way (`exit`, or the end of `main`). Returns whether it could be arranged.
pub(crate) fn at_exit(run: extern "C" fn()) -> bool {
    // SAFETY: `run` is a function of this program and stays for the life of the process.
    unsafe { libc::atexit(run) == 0 }
}

/// Descriptors that the process may have open.
pub(crate) fn most_files() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for a `rlimit`.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } {
        0 => usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX),
        _ => 0,
    }
}

/// CPUs of the machine that are in use.
pub(crate) fn cpus_of_machine() -> u32 {
    // SAFETY: takes a number, returns one.
    u32::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).unwrap_or(0)
}

//! Where a thread that waits for a load is seen when a timer interrupts it: at the load, or so many instructions behind.
//!
//! A thread of our own follows a chain through memory, and the signal that the runtime samples with notes where it is. The
//! handler only counts into statics, and the action that was there before comes back.

use std::io;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::chain::Chain;
use crate::machine::kernels::{self, CHASE_LOOP};
use crate::machine::load_times::Skid;
use crate::machine::sys;
use crate::units::Ratio;

/// The signal that the runtime samples with.
const SIGNAL: libc::c_int = libc::SIGURG;
/// Of samples; the first sixteenth is lost on the way in.
const PERIOD: Duration = Duration::from_micros(200);
const TIME: Duration = Duration::from_millis(50);
/// Loads between two looks at the clock: about 1 ms.
const HOPS: usize = 8192;

/// Samples at each instruction of the loop, and elsewhere.
static AT: [AtomicU32; CHASE_LOOP.len()] = [const { AtomicU32::new(0) }; CHASE_LOOP.len()];
static ELSEWHERE: AtomicU32 = AtomicU32::new(0);
/// Where the loop begins; 0 while nothing is measured.
static LOOP: AtomicU64 = AtomicU64::new(0);

/// Measures for 50 ms. `chain` must be larger than the caches of the core.
///
/// The clock of the timer is not that of the runtime, which ticks 250 times a second: where an interrupt finds a thread does
/// not depend on what set it off.
///
/// # Errors
/// Where the kernel gives no timer or no thread can be started.
pub(super) fn measure(chain: &Chain) -> io::Result<Option<Skid>> {
    // The statics and the action of the signal are the process's.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for count in AT.iter().chain([&ELSEWHERE]) {
        count.store(0, Ordering::Relaxed);
    }
    let action = Action::install()?;
    let followed = thread::scope(|scope| {
        let builder = thread::Builder::new().name("skid".to_owned());
        let handle = builder.spawn_scoped(scope, || follow_sampled(chain))?;
        handle.join().unwrap_or_else(|_| Err(io::Error::other("the sampled thread panicked")))
    });
    drop(action);
    followed?;
    let counts = AT.each_ref().map(|count| count.load(Ordering::Relaxed));
    Ok(mode(&counts, ELSEWHERE.load(Ordering::Relaxed)))
}

/// The most frequent distance; `None` without samples.
fn mode(counts: &[u32], elsewhere: u32) -> Option<Skid> {
    let samples = counts.iter().sum::<u32>() + elsewhere;
    let (instructions, most) = (0..).zip(counts).max_by_key(|(_, count)| **count)?;
    (samples > 0).then(|| Skid {
        instructions,
        share: Ratio(f64::from(*most) / f64::from(samples)),
        samples,
    })
}

fn follow_sampled(chain: &Chain) -> io::Result<()> {
    unblock()?;
    LOOP.store(kernels::chase as *const () as u64, Ordering::Relaxed);
    let timer = Timer::start()?;
    let begin = Instant::now();
    let mut at = 0;
    while begin.elapsed() < TIME {
        at = std::hint::black_box(chain.follow(at, HOPS));
    }
    drop(timer);
    LOOP.store(0, Ordering::Relaxed);
    Ok(())
}

extern "C" fn on_signal(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let begin = LOOP.load(Ordering::Relaxed);
    if begin == 0 {
        return;
    }
    // SAFETY: the kernel passes the context of the interrupted thread, because the action was installed with SA_SIGINFO.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let at = registers[libc::REG_RIP as usize].cast_unsigned().wrapping_sub(begin);
    let slot = CHASE_LOOP.iter().position(|&offset| offset == at);
    slot.map_or(&ELSEWHERE, |slot| &AT[slot]).fetch_add(1, Ordering::Relaxed);
}

/// Lets the signal through to the calling thread, whatever its creator had blocked.
fn unblock() -> io::Result<()> {
    // SAFETY: a set of signals is bits, for which zeros are a value.
    let mut set: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: `set` outlives the call, and the signal exists.
    unsafe { libc::sigaddset(&raw mut set, SIGNAL) };
    // SAFETY: `set` outlives the call; the old mask is not asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut()) } {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// The handler, until dropped.
struct Action(libc::sigaction);

impl Action {
    fn install() -> io::Result<Self> {
        // SAFETY: an action is numbers and pointers, for which zeros are a value: no handler, no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        // SAFETY: as above.
        let mut old: libc::sigaction = unsafe { mem::zeroed() };
        // SAFETY: both outlive the call; the handler is a function that stays and does nothing that is not allowed in one.
        if unsafe { libc::sigaction(SIGNAL, &raw const action, &raw mut old) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(old))
    }
}

impl Drop for Action {
    fn drop(&mut self) {
        // SAFETY: what the kernel gave in `install`.
        unsafe { libc::sigaction(SIGNAL, &raw const self.0, ptr::null_mut()) };
    }
}

/// Sends the signal to the thread that started it, until dropped.
struct Timer(libc::timer_t);

impl Timer {
    fn start() -> io::Result<Self> {
        // SAFETY: a request is numbers and pointers, for which zeros are a value.
        let mut event: libc::sigevent = unsafe { mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = SIGNAL;
        event.sigev_notify_thread_id = sys::thread_id();
        let mut id: libc::timer_t = ptr::null_mut();
        // SAFETY: both outlive the call.
        if unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut id) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let timer = Self(id);
        let period = libc::timespec { tv_sec: 0, tv_nsec: PERIOD.subsec_nanos().into() };
        let period = libc::itimerspec { it_interval: period, it_value: period };
        // SAFETY: the timer was just made; the old setting is not asked for.
        if unsafe { libc::timer_settime(timer.0, 0, &raw const period, ptr::null_mut()) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(timer)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: made by `start`, and deleted once.
        unsafe { libc::timer_delete(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::sys::Pages;

    #[test]
    fn the_most_frequent_distance_counts_against_all_samples() {
        let skid = mode(&[1, 90, 0, 2, 0], 7).unwrap();
        assert_eq!((skid.instructions, skid.share, skid.samples), (1, Ratio(0.9), 100));
        assert_eq!(mode(&[0; 5], 0), None);
    }

    #[test]
    fn a_waiting_thread_is_seen_at_one_place_and_the_signal_is_left_as_it_was() {
        let handler = || {
            // SAFETY: as in `install`.
            let mut now: libc::sigaction = unsafe { mem::zeroed() };
            // SAFETY: asks only.
            unsafe { libc::sigaction(SIGNAL, ptr::null(), &raw mut now) };
            now.sa_sigaction
        };
        let before = handler();
        let mut chain = Chain::new(Pages::small(16 << 20).unwrap());
        chain.link(16 << 20);
        let skid = measure(&chain).unwrap().expect("there are samples");
        println!("{skid:?}");
        assert!(skid.samples > 10 && skid.share.get() > 0.3, "{skid:?}");
        assert_eq!(handler(), before);
    }
}

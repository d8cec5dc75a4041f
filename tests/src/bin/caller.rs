//! A program that counts what signals do to it.
//!
//! - `calls SECONDS`: makes system calls that sleep, wait and move data, and counts those that were interrupted or cut short.
//! - `signals SECONDS`: has handlers of its own for the signals that sampling uses.
//! - `gaps SECONDS`: walks over a few lines again and again, and says for which part of its CPU time it was held up, and how often,
//!   by what takes 1 to 60 µs: ticks of the kernel, and samples.
//! - `overflow`, `null`, `sent`: ends by a stack overflow, by a fault, or by a signal that is sent to it.
#![expect(clippy::print_stdout, reason = "tells the test what it did")]

use std::arch::asm;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bottleneck_runtime::span;
use bottleneck_tests::walk;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let seconds: f64 = args.get(1).and_then(|it| it.parse().ok()).unwrap_or(1.0);
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    match args.first().map(String::as_str) {
        Some("calls") => calls(until),
        Some("signals") => signals(until),
        Some("gaps") => gaps(until),
        Some("overflow") => {
            work_until(until);
            println!("{}", deeper(&[1; 512]));
        }
        Some("null") => {
            work_until(until);
            // SAFETY: none: the test is about the fault.
            println!("{}", unsafe { walk::walk_at(std::ptr::without_provenance(8), 1, 1) });
        }
        Some("sent") => {
            // Else the standard library's handler takes the first one that is sent.
            handle(libc::SIGSEGV, libc::SIG_DFL, 0);
            work_until(until);
            // SAFETY: a signal to this process.
            unsafe { libc::kill(libc::getpid(), libc::SIGSEGV) };
            work_until(Instant::now() + Duration::from_secs(5));
        }
        other => panic!("no mode {other:?}"),
    }
}

fn work_until(until: Instant) {
    let data = vec![1_u64; 1 << 20];
    while Instant::now() < until {
        let _span = span!("work");
        walk::walk(&data, 1);
    }
}

#[expect(unconditional_recursion, reason = "the test is about the end of the stack")]
fn deeper(values: &[u64; 512]) -> u64 {
    let mut next = *values;
    next[3] = next[2] + 1;
    deeper(std::hint::black_box(&next)) + next[3]
}

/// Uses the CPU for about a tick.
fn burn(data: &[u64]) {
    let _span = span!("burn");
    walk::walk(data, 1);
}

fn calls(until: Instant) {
    let mut wrong = Vec::new();
    let mut made = 0_u64;
    let data = vec![1_u64; 512 << 10];
    let mut large = vec![0_u8; 32 << 20];
    let zero = std::fs::File::open("/dev/zero").expect("there is one");
    let mut ends = [0_i32; 2];
    // SAFETY: a place for two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    let reader = std::thread::spawn(move || {
        let mut place = vec![0_u8; 64 << 10];
        let mut sum = 0_u64;
        let mut interrupted = 0_u64;
        loop {
            let _span = span!("reader");
            // SAFETY: `place` has the length given.
            match unsafe { libc::read(ends[0], place.as_mut_ptr().cast(), place.len()) } {
                0 => return (sum, interrupted),
                count if 0 < count => sum += count.cast_unsigned() as u64,
                _ => interrupted += 1,
            }
        }
    });
    let mut written = 0_u64;
    let text = vec![7_u8; 1 << 20];
    let word = AtomicU32::new(0);
    let mut note = |name: &'static str, is_right: bool| {
        made += 1;
        if !is_right {
            wrong.push((name, std::io::Error::last_os_error().raw_os_error()));
        }
    };
    while Instant::now() < until {
        burn(&data);
        let time = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        // SAFETY: a valid time.
        note("nanosleep", unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) } == 0);
        burn(&data);
        // SAFETY: no descriptors.
        note("poll", unsafe { libc::poll(std::ptr::null_mut(), 0, 1) } == 0);
        burn(&data);
        // SAFETY: a valid word and time.
        let waited = unsafe {
            libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, 0, &raw const time)
        };
        let errno = std::io::Error::last_os_error().raw_os_error();
        note("futex", waited == -1 && errno == Some(libc::ETIMEDOUT));
        // SAFETY: `large` has the length given.
        let read = unsafe { libc::read(zero.as_raw_fd(), large.as_mut_ptr().cast(), large.len()) };
        note("read", read.cast_unsigned() == large.len());
        // SAFETY: `text` has the length given.
        let wrote = unsafe { libc::write(ends[1], text.as_ptr().cast(), text.len()) };
        note("write", wrote.cast_unsigned() == text.len());
        written += wrote.max(0).cast_unsigned() as u64;
    }
    // SAFETY: ours, and not used any more.
    unsafe { libc::close(ends[1]) };
    let (read, interrupted) = reader.join().expect("it does not panic");
    println!(
        "{made} calls, wrong {wrong:?}, read all {}, interrupted {interrupted}",
        read == written
    );
}

fn gaps(until: Instant) {
    const LEAST_NS: f64 = 1_000.0;
    const MOST_NS: f64 = 60_000.0;
    let data = vec![1_u64; 2048];
    let (mut held_up, mut count) = (0.0, 0_u64);
    let began = Instant::now();
    // SAFETY: reads a register.
    let ticks = || unsafe { std::arch::x86_64::_rdtsc() };
    let first = ticks();
    let mut lengths = Vec::with_capacity(1 << 16);
    while Instant::now() < until {
        let _span = span!("walks");
        let mut before = ticks();
        for _ in 0..2000 {
            walk::walk(&data[..256], 8);
            let now = ticks();
            lengths.push(now - before);
            before = now;
        }
        lengths.retain(|&length| 1000 < length);
    }
    let rate = (ticks() - first) as f64 / began.elapsed().as_nanos() as f64;
    for length in lengths {
        let ns = length as f64 / rate;
        if (LEAST_NS..MOST_NS).contains(&ns) {
            held_up += ns;
            count += 1;
        }
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let cpu = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    println!(
        "{:.1} gaps a CPU second, {:.2} us each, {:.3} % of its CPU time",
        count as f64 / cpu,
        held_up / count.max(1) as f64 / 1e3,
        held_up / cpu / 1e7
    );
}

static URGENT: AtomicU64 = AtomicU64::new(0);
static FAULTS: AtomicU64 = AtomicU64::new(0);

extern "C" fn on_urgent(_: i32) {
    URGENT.fetch_add(1, Relaxed);
}

extern "C" fn on_fault(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    FAULTS.fetch_add(1, Relaxed);
    // SAFETY: the kernel hands over the registers; the faulting instruction below has three bytes.
    unsafe {
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        registers[libc::REG_RIP as usize] += 3;
    }
}

fn handle(signal: i32, handler: usize, flags: i32) {
    // SAFETY: all zeros is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: valid, and the handler stays.
    assert_eq!(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) }, 0);
}

fn signals(until: Instant) {
    handle(libc::SIGURG, on_urgent as *const () as usize, 0);
    handle(libc::SIGSEGV, on_fault as *const () as usize, libc::SA_SIGINFO);
    let data = vec![1_u64; 1 << 20];
    let mut rounds = 0;
    while Instant::now() < until {
        let _span = span!("work");
        walk::walk(&data, 1);
        // SAFETY: a signal to this thread; and a load that faults, which the handler skips.
        unsafe {
            libc::raise(libc::SIGURG);
            asm!("mov rax, [rax]", inout("rax") 8_u64 => _);
        }
        rounds += 1;
    }
    println!("{}", (URGENT.load(Relaxed), FAULTS.load(Relaxed)) == (rounds, rounds));
}

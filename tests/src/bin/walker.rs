//! A program whose loads are known to the byte: one loop in assembly, which a test can write the recipe of.
//!
//! - `stable SECONDS`: walks over one large and one small buffer again and again, for so much CPU time of its thread.
//! - `pool SECONDS`: threads without spans walk, and a span waits for them.
//! - `masked SECONDS`: the same, but the threads block all signals in the first 50 ms of their CPU time.
//! - `sigwait SECONDS`: a thread waits for signals, all of which it blocks, and says which came.
//! - `hostile SECONDS`: threads walk over memory that they map, unmap, protect and move all the time, and over a device.
//! - `served SECONDS`: walks over memory whose page faults the program serves itself. Ends with 77 where that is refused.
//! - `fork SECONDS`: forks and starts programs while it walks.
#![expect(clippy::print_stdout, reason = "tells the test what it did")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bottleneck_runtime::span;
use bottleneck_tests::hostile_memory::{Arena, churn, device, serve_faults};
use bottleneck_tests::{NOT_ALLOWED_HERE, walk};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let seconds: f64 = args.get(1).and_then(|it| it.parse().ok()).unwrap_or(1.0);
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    match args.first().map(String::as_str) {
        Some("stable") => stable(|| cpu_seconds() < seconds),
        Some("pool") => pool(until, || ()),
        Some("masked") => pool(until, begin_masked),
        Some("sigwait") => sigwait(until),
        Some("hostile") => hostile(until),
        Some("served") => return served(until),
        Some("fork") => fork(until),
        other => panic!("no mode {other:?}"),
    }
    ExitCode::SUCCESS
}

/// CPU time of the calling thread: how much a test sees does not depend on who else uses the machine.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn stable(goes_on: impl Fn() -> bool) {
    let large = vec![1_u64; 16 << 20];
    let small = vec![1_u64; 2048];
    let (mut sum, mut rounds) = (0_u64, 0_u64);
    while goes_on() {
        {
            let _span = span!("large");
            sum = sum.wrapping_add(walk(&large, 8));
        }
        {
            let _span = span!("small");
            for _ in 0..10_000 {
                sum = sum.wrapping_add(walk(&small, 1));
            }
        }
        rounds += 1;
    }
    println!("{}", sum == rounds * ((2 << 20) + 2048 * 10_000));
}

/// Works with all signals blocked, as a thread is while it is being made.
fn begin_masked() {
    // SAFETY: all zeros is a valid `sigset_t`.
    let [mut all, mut before]: [libc::sigset_t; 2] = unsafe { std::mem::zeroed() };
    // SAFETY: both are valid places.
    unsafe {
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
    }
    while cpu_seconds() < 0.05 {
        std::hint::spin_loop();
    }
    // SAFETY: `before` was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
}

/// What programs do that take their signals on a thread for them: here it works a little between two.
fn sigwait(until: Instant) {
    let waits = std::thread::spawn(move || {
        // SAFETY: all zeros is a valid `sigset_t`.
        let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: a valid place.
        unsafe {
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
        }
        let mut came = Vec::new();
        while Instant::now() < until {
            let begin = cpu_seconds();
            while cpu_seconds() < begin + 0.001 {
                std::hint::spin_loop();
            }
            let timeout = libc::timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            // SAFETY: both are valid places, and what came is not asked for more.
            let signal = unsafe {
                libc::sigtimedwait(&raw const all, std::ptr::null_mut(), &raw const timeout)
            };
            if 0 < signal {
                came.push(signal);
            }
        }
        came
    });
    let data = vec![1_u64; 1 << 20];
    while Instant::now() < until {
        let _span = span!("walks");
        walk(&data, 8);
    }
    println!("{:?}", waits.join().expect("the thread does not panic"));
}

fn pool(until: Instant, begin: fn()) {
    let _span = span!("waits");
    let threads: Vec<_> = (0..2)
        .map(|_| {
            std::thread::spawn(move || {
                begin();
                let data = vec![1_u64; 1 << 20];
                while Instant::now() < until {
                    walk(&data, 8);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("the thread does not panic");
    }
}

fn hostile(until: Instant) {
    let arena = Arena::reserve(192 << 20);
    println!("{:x} {:x}", arena.start(), arena.end());
    let third = arena.thirds();
    std::thread::scope(|scope| {
        for (part, seed) in [(&third[0], 1), (&third[1], 2)] {
            scope.spawn(move || {
                let mut random = seed;
                while Instant::now() < until {
                    let _span = span!("churns");
                    churn(part, &mut random);
                }
            });
        }
        let part = &third[2];
        scope.spawn(move || {
            device(
                part,
                || Instant::now() < until,
                |words| {
                    let _span = span!("device");
                    words()
                },
            );
        });
        scope.spawn(move || stable(|| Instant::now() < until));
    });
}

fn served(until: Instant) -> ExitCode {
    let arena = Arena::reserve(64 << 20);
    println!("{:x} {:x}", arena.start(), arena.end());
    match serve_faults(&arena) {
        Err(error) => {
            println!("userfaultfd: {error}");
            return ExitCode::from(NOT_ALLOWED_HERE);
        }
        Ok(words) => {
            while Instant::now() < until {
                let _span = span!("served");
                assert_eq!(walk(words, 8), 0);
            }
        }
    }
    println!("true");
    ExitCode::SUCCESS
}

fn fork(until: Instant) {
    let data = vec![1_u64; 1 << 20];
    let mut is_right = true;
    while Instant::now() < until {
        let _span = span!("parent");
        // SAFETY: the child makes no use of what other threads may hold: it walks, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let sum = {
                let _span = span!("child");
                (0..20).map(|_| walk(&data, 1)).sum::<u64>()
            };
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(sum != 20 << 20)) };
        }
        let own = (0..20).map(|_| walk(&data, 1)).sum::<u64>();
        let mut status = 0;
        // SAFETY: `status` is a valid place.
        let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
        is_right &= own == 20 << 20 && ended == child && status == 0;
        let program = std::env::current_exe().expect("a program has a path");
        let output = std::process::Command::new(program).args(["stable", "0.05"]).output();
        is_right &= output.is_ok_and(|it| it.status.success() && it.stdout == b"true\n");
    }
    println!("{is_right}");
}

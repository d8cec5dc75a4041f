//! A program that does one known thing under spans: `probe WHAT [ARGUMENT]`. The tests run it and read its profile.
#![expect(clippy::print_stdout, reason = "tells the test its own account of the time")]
#![expect(clippy::unwrap_used, reason = "a probe that fails fails its test")]
#![expect(clippy::exit, reason = "how a process ends is what some probes are about")]

use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bottleneck_runtime::{Dtype, Work, span, work};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize| arguments.get(at).map(String::as_str).unwrap_or_default();
    let number = argument(1).parse().unwrap_or(0);
    match argument(0) {
        "sleep" => under_clock("nap", || std::thread::sleep(Duration::from_millis(number))),
        "spin" => under_clock("busy", || spin(Duration::from_millis(number))),
        "mixed" => mixed(),
        "contended" => contended(),
        "waits" => waits(number),
        "nested" => nested(),
        "keys" => keys(),
        "recursion" => recursion(number),
        "out-of-order" => out_of_order(),
        "stale" => stale(),
        "leak" => leak(),
        "threads" => threads(number),
        "fork" => fork(),
        "exec" => exec(),
        "panic" => panics(),
        "exit" => exits(),
        "abort" => aborts(),
        "count" => count_until_killed(),
        "many" => many(number),
        "paths" => paths(number),
        "say" => says(argument(1).parse().unwrap()),
        "signal" => signals_itself(argument(1).parse().unwrap()),
        "no-spans" => {}
        "panic-out" => panics_out(),
        "no-perf" => without_perf(argument(1)),
        other => panic!("no probe {other:?}"),
    }
}

/// Runs `inside` under a span and prints what the thread's own clocks say of it: wall and CPU time in ns.
fn under_clock(name: &'static str, inside: impl Fn()) {
    // The first span of a thread attaches it; that is not what is measured.
    drop(span!("warm-up"));
    let (wall, cpu) = (Instant::now(), thread_cpu());
    {
        let _span = if name == "nap" { span!("nap") } else { span!("busy") };
        inside();
    }
    println!("{} {}", wall.elapsed().as_nanos(), thread_cpu().saturating_sub(cpu).as_nanos());
}

fn thread_cpu() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid place for a `timespec`.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Computes for a stretch of wall time.
fn spin(time: Duration) {
    let end = Instant::now() + time;
    let mut x = 1_u64;
    while Instant::now() < end {
        for _ in 0..1000 {
            x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

/// 40 times 2 ms of work and 2 ms of sleep, in spans of their own.
fn mixed() {
    under_clock("busy", || {
        for _ in 0..40 {
            {
                let _span = span!("work");
                spin(Duration::from_millis(2));
            }
            let _span = span!("rest");
            std::thread::sleep(Duration::from_millis(2));
        }
    });
}

/// Four threads of work on the machine's cores, and a lock that they share.
fn contended() {
    let lock = Arc::new(Mutex::new(()));
    let threads: Vec<_> = (0..4)
        .map(|at| {
            let lock = Arc::clone(&lock);
            let body = move || {
                under_clock("busy", || {
                    for _ in 0..50 {
                        {
                            let _span = span!("alone");
                            spin(Duration::from_millis(2));
                        }
                        let _span = span!("locked");
                        let _held = lock.lock();
                        spin(Duration::from_millis(1));
                    }
                });
            };
            std::thread::Builder::new().name(format!("worker-{at}")).spawn(body)
        })
        .collect();
    for thread in threads {
        thread.unwrap().join().unwrap();
    }
}

/// So many hand-overs between two threads, inside one span.
fn waits(n: u64) {
    let (to_peer, from_main) = std::sync::mpsc::channel::<()>();
    let (to_main, from_peer) = std::sync::mpsc::channel::<()>();
    let peer = std::thread::spawn(move || {
        while from_main.recv().is_ok() {
            spin(Duration::from_micros(20));
            if to_main.send(()).is_err() {
                break;
            }
        }
    });
    under_clock("nap", || {
        for _ in 0..n {
            to_peer.send(()).unwrap();
            from_peer.recv().unwrap();
        }
    });
    drop(to_peer);
    peer.join().unwrap();
}

fn nested() {
    let _outer = span!("outer");
    for _ in 0..3 {
        let _middle = span!("middle");
        for _ in 0..5 {
            let _inner = span!("inner");
            work(Work::matmul(2, 3, 4, Dtype::F32));
        }
        let _other = span!("other");
    }
}

fn keys() {
    for phase in ["prefill", "decode", "decode", "prefill", "decode"] {
        let _span = span!("forward", key = phase);
        let _inner = span!("layer");
    }
    for layer in 0..3_usize {
        let _span = span!("numbered", key = layer);
    }
}

fn recursion(depth: u64) {
    let _span = span!("recursion");
    if depth > 0 {
        recursion(depth - 1);
    }
}

fn out_of_order() {
    let _main = span!("main_span");
    let first = span!("first");
    let second = span!("second");
    drop(first);
    {
        let _after = span!("after");
    }
    drop(second);
    let _last = span!("last");
}

/// A guard that outlives its span is dropped while its path is open anew.
fn stale() {
    let outer = || span!("outer");
    let inner = || span!("inner");
    let _main = span!("main_span");
    let first = outer();
    let left_over = inner();
    drop(first);
    spin(Duration::from_millis(5));
    let _second = outer();
    let _anew = inner();
    drop(left_over);
}

fn leak() {
    let _main = span!("main_span");
    {
        let _around = span!("around");
        std::mem::forget(span!("leaked"));
    }
    let _after = span!("after");
}

/// So many threads, one after the other, of one pool's name.
fn threads(n: u64) {
    for at in 0..n {
        let body = || {
            let _span = span!("request");
            let _inner = span!("inner");
        };
        std::thread::Builder::new().name(format!("conn-{at}")).spawn(body).unwrap().join().unwrap();
    }
}

fn fork() {
    let around = span!("around");
    let inner = span!("inner");
    // SAFETY: this thread is the only one of ours; the child goes on with ordinary code.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(inner);
        let in_child = span!("child");
        for _ in 0..100 {
            let _span = span!("child_work");
        }
        drop(in_child);
        drop(around);
        std::process::exit(7);
    }
    for _ in 0..10 {
        let _span = span!("parent_work");
    }
    drop(inner);
    let mut status = 0;
    // SAFETY: `status` is a valid place; `child` is ours.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    println!("child {}", libc::WEXITSTATUS(status));
}

fn exec() {
    use std::os::unix::process::CommandExt as _;
    {
        let _span = span!("before_exec");
    }
    let _open = span!("open_at_exec");
    let error = std::process::Command::new(std::env::current_exe().unwrap()).arg("nested").exec();
    panic!("{error}");
}

fn panics() {
    let caught = std::panic::catch_unwind(|| {
        let _outer = span!("outer");
        let _inner = span!("inner");
        panic!("as the test wants it");
    });
    assert!(caught.is_err());
    let _after = span!("after");
}

fn exits() {
    let _open = span!("open_at_exit");
    {
        let _closed = span!("closed");
    }
    std::process::exit(3);
}

fn aborts() {
    let _open = span!("open_at_abort");
    {
        let _closed = span!("closed");
    }
    std::process::abort();
}

/// Writes what must arrive as it is, and ends with a code.
fn says(code: i32) {
    use std::io::Write as _;
    let _open = span!("says");
    let _ = write!(std::io::stdout(), "to stdout, without an end of line");
    let _ = writeln!(std::io::stderr(), "to stderr");
    std::process::exit(code);
}

/// Ends by a signal within open spans.
fn signals_itself(signal: i32) {
    let _outer = span!("outer");
    for _ in 0..1000 {
        let _step = span!("step");
    }
    let _inner = span!("inner");
    // SAFETY: touches no memory.
    unsafe { libc::kill(libc::getpid(), signal) };
}

/// A panic that nobody catches.
fn panics_out() {
    let _outer = span!("outer");
    let _inner = span!("inner");
    panic!("as the test wants it");
}

/// Logs every thousandth closed span until it is killed.
fn count_until_killed() {
    use std::io::Write as _;
    let mut out = std::io::stdout();
    let _outer = span!("outer");
    for n in 1_u64.. {
        {
            let _span = span!("step");
        }
        if n.is_multiple_of(1000) && writeln!(out, "{n}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

/// So many million spans on about a hundred paths.
fn many(millions: u64) {
    for _ in 0..millions {
        for group in 0..10_u64 {
            let _group = span!("group", key = group);
            for at in 0..10_u64 {
                let _step = span!("step", key = at);
                for _ in 0..10_000 {
                    let _leaf = span!("leaf");
                }
            }
        }
    }
}

/// So many paths.
fn paths(n: u64) {
    for at in 0..n {
        let _span = span!("path", key = at);
    }
}

/// Runs another probe where the kernel refuses `perf_event_open` with EPERM, as a container's filter does.
fn without_perf(what: &str) {
    let load = |offset: u32| libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: offset };
    let give = |value: u32| libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: value };
    let mut program = [
        load(0),
        libc::sock_filter {
            code: 0x15,
            jt: 0,
            jf: 1,
            k: u32::try_from(libc::SYS_perf_event_open).unwrap(),
        },
        give(libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned()),
        give(libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    // SAFETY: both calls concern this process alone; `filter` points to four instructions.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter),
            0
        );
    }
    match what {
        "mixed" => mixed(),
        "contended" => contended(),
        other => panic!("no probe {other:?} without perf"),
    }
}

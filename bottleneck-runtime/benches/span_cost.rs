//! What a span costs, against two reads of the clock, interleaved in one run.
//!
//! `cargo bench -p bottleneck-runtime --bench span_cost`: medians of 15 rounds, ns per span, and the ratio to two reads of
//! the time-stamp counter. The process runs itself again with recording switched off for the last rows.
#![expect(clippy::print_stdout, reason = "a bench speaks on stdout")]

use std::hint::black_box;

use bottleneck_runtime::span;

const ROUNDS: usize = 31;
const CALLS: u64 = 300_000;

#[inline(never)]
fn plain(x: u64) -> u64 {
    black_box(x)
}

#[inline(never)]
fn two_reads(x: u64) -> u64 {
    let before = clock();
    let result = black_box(x);
    black_box(clock() - before);
    result
}

#[inline(never)]
fn spanned(x: u64) -> u64 {
    let _span = span!("spanned");
    black_box(x)
}

/// Eight functions, one inside the other, so that a path of eight spans is open in the innermost.
macro_rules! nest {
    ($name:ident, $plain:ident, $reads:ident) => {
        #[inline(never)]
        fn $name(x: u64) -> u64 {
            let _span = span!(stringify!($name));
            black_box(x)
        }
        #[inline(never)]
        fn $plain(x: u64) -> u64 {
            black_box(x)
        }
        #[inline(never)]
        fn $reads(x: u64) -> u64 {
            let before = clock();
            let result = black_box(x);
            black_box(clock() - before);
            result
        }
    };
    ($name:ident, $plain:ident, $reads:ident, $inner:ident, $inner_plain:ident, $inner_reads:ident) => {
        #[inline(never)]
        fn $name(x: u64) -> u64 {
            let _span = span!(stringify!($name));
            black_box($inner(x))
        }
        #[inline(never)]
        fn $plain(x: u64) -> u64 {
            black_box($inner_plain(x))
        }
        #[inline(never)]
        fn $reads(x: u64) -> u64 {
            let before = clock();
            let result = black_box($inner_reads(x));
            black_box(clock() - before);
            result
        }
    };
}
nest!(n8, p8, r8);
nest!(n7, p7, r7, n8, p8, r8);
nest!(n6, p6, r6, n7, p7, r7);
nest!(n5, p5, r5, n6, p6, r6);
nest!(n4, p4, r4, n5, p5, r5);
nest!(n3, p3, r3, n4, p4, r4);
nest!(n2, p2, r2, n3, p3, r3);
nest!(n1, p1, r1, n2, p2, r2);

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn clock() -> u64 {
    // SAFETY: `rdtsc` is part of every x86_64 and reads a register.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn clock() -> u64 {
    // No counter that is the same everywhere: the ratio then is to two reads of this.
    (thread_cpu_seconds() * 1e9) as u64
}

/// CPU time, so that what else runs on the machine shows as little as it can.
fn thread_cpu_seconds() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid place for a `timespec`.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn ns_per_call(calls: u64, run: fn(u64) -> u64) -> f64 {
    let start = thread_cpu_seconds();
    for x in 0..calls {
        black_box(run(x));
    }
    (thread_cpu_seconds() - start) * 1e9 / calls as f64
}

fn on_two_threads(run: fn(u64) -> u64) -> f64 {
    let each = std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| ns_per_call(CALLS, run)));
        threads.map(|thread| thread.join().unwrap_or(f64::NAN))
    });
    f64::midpoint(each[0], each[1])
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Medians of the columns: the functions run interleaved, round by round.
fn rounds(run: &[&dyn Fn() -> f64]) -> Vec<f64> {
    let mut columns = vec![Vec::new(); run.len()];
    for _ in 0..ROUNDS {
        for (column, run) in columns.iter_mut().zip(run) {
            column.push(run());
        }
    }
    columns.into_iter().map(median).collect()
}

fn row(name: &str, values: &[f64]) {
    let &[empty, reads, span] = values else { return };
    println!("{name:<22} {empty:>7.2} {reads:>10.2} {span:>8.2} {:>18.3}", span / reads);
}

fn main() {
    if std::env::args().any(|argument| argument == "--off") {
        let off = rounds(&[&|| ns_per_call(CALLS, plain), &|| ns_per_call(CALLS, spanned)]);
        println!("not switched on: {:.2} ns added to a call of {:.2} ns", off[1] - off[0], off[0]);
        return;
    }
    let folder = std::env::temp_dir().join(format!("bottleneck-bench-{}", std::process::id()));
    if std::env::var_os("BOTTLENECK_RUN_DIR").is_none() {
        // The variable is read at the first span: run again with it.
        let run = |arguments: &[&str], on: bool| {
            let mut command =
                std::process::Command::new(std::env::current_exe().unwrap_or_default());
            command.args(arguments);
            if on {
                command.env("BOTTLENECK_RUN_DIR", &folder);
            }
            let _ = command.status();
        };
        let _ = std::fs::create_dir_all(&folder);
        run(&[], true);
        run(&["--off"], false);
        let _ = std::fs::remove_dir_all(&folder);
        return;
    }
    println!("ns per span            empty  two reads     span   span / two reads");
    row(
        "flat",
        &rounds(&[&|| ns_per_call(CALLS, plain), &|| ns_per_call(CALLS, two_reads), &|| {
            ns_per_call(CALLS, spanned)
        }]),
    );
    let eighth = |run: fn(u64) -> u64| ns_per_call(CALLS / 8, run) / 8.0;
    row("depth 8", &rounds(&[&|| eighth(p1), &|| eighth(r1), &|| eighth(n1)]));
    row(
        "two threads",
        &rounds(&[&|| on_two_threads(plain), &|| on_two_threads(two_reads), &|| {
            on_two_threads(spanned)
        }]),
    );
}

//! Computes on several threads under spans and tells what came of it: bytes that are the same in every run.
//!
//! `checksums FOLDER THREADS CODE` writes a file per thread into the folder, and ends with the code. Nothing here depends on
//! time, addresses or the order of threads; a difference between two runs was made by whoever ran it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what is compared")]
#![expect(clippy::unwrap_used, reason = "a program that fails fails its test")]

use std::fmt::Write as _;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::{Barrier, Mutex};
use std::{env, fs, io, ptr, thread};

use bottleneck_attribute::executor::block_on;
use bottleneck_runtime::{Dtype, Work, bottleneck, span, work};

const ROUNDS: u64 = 300;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let [folder, threads, code] = &args[..] else { panic!("not {args:?}") };
    fs::create_dir_all(folder).unwrap();
    let (threads, code): (u64, u8) = (threads.parse().unwrap(), code.parse().unwrap());
    println!("stdin {:016x}", stdin());
    println!("{}", signals("self"));
    for text in compute(Path::new(folder), threads) {
        print!("{text}");
    }
    println!("caught {}", caught());
    println!("future {:016x}", block_on(steps(5)));
    if threads > 1 {
        print!("{}", child(Path::new(folder)));
    }
    eprintln!("checksums: ends with {code}");
    // No line feed at the end: what follows must not stand on this line.
    print!("done");
    ExitCode::from(code)
}

/// What each thread found, in the order of their numbers.
fn compute(folder: &Path, threads: u64) -> Vec<String> {
    let (meeting, total) = (Barrier::new(usize::try_from(threads).unwrap()), Mutex::new(0u64));
    let mut texts: Vec<String> = thread::scope(|scope| {
        let spawn = |number| {
            let (meeting, total) = (&meeting, &total);
            let body = move || on_thread(folder, number, meeting, total);
            thread::Builder::new().name(format!("summer-{number}")).spawn_scoped(scope, body)
        };
        let workers: Vec<_> = (0..threads).map(|number| spawn(number).unwrap()).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    texts.push(format!("all threads {:016x}\n", total.into_inner().unwrap()));
    texts
}

#[bottleneck(request)]
fn on_thread(folder: &Path, number: u64, meeting: &Barrier, total: &Mutex<u64>) -> String {
    let mut text = String::new();
    let (mut bits, mut number_sum) = (number + 1, 0.0);
    for round in 0..ROUNDS {
        bits = integers(bits, if round % 2 == 0 { "even" } else { "odd" });
        number_sum += floats(bits);
        if round % 64 == 0 {
            meeting.wait();
        }
        // Additions may come in any order; their sum is the same.
        let _span = span!("add");
        let mut total = total.lock().unwrap();
        *total = total.wrapping_add(bits);
    }
    writeln!(text, "thread {number}: {bits:016x} {:016x}", f64::to_bits(number_sum)).unwrap();
    writeln!(text, "{}", signals("thread-self")).unwrap();
    writeln!(text, "a wait of 20 ms: {}", poll(20)).unwrap();
    fs::write(folder.join(format!("thread-{number}.txt")), &text).unwrap();
    text
}

#[bottleneck(flops = 1000, key = parity)]
fn integers(mut bits: u64, parity: &str) -> u64 {
    let odd = u64::from(parity == "odd");
    for _ in 0..1000 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(2 * odd + 1);
        bits ^= bits >> 29;
    }
    bits
}

/// Rounds at every step: the mode of the floating-point unit shows in it, and subnormal numbers at the end do.
#[bottleneck]
fn floats(bits: u64) -> f64 {
    work(Work { flops: 2000.0, bytes: 0.0, dtype: Dtype::F32 });
    let mut x = (bits >> 12) as f64 / (1u64 << 52) as f64;
    for step in 1..1000 {
        x = (x * 1.000_1 + 1.0 / f64::from(step)).sqrt();
    }
    x + (f64::MIN_POSITIVE / x) * 2f64.powi(1000)
}

#[bottleneck]
async fn steps(n: u64) -> u64 {
    let mut bits = n;
    for _ in 0..n {
        std::future::ready(()).await;
        bits = integers(bits, "odd");
    }
    bits
}

/// What a panic in a span leaves behind.
fn caught() -> String {
    #[bottleneck]
    fn fails(at: u64) -> u64 {
        assert!(at < 3, "as asked at {at}");
        at + fails(at + 1)
    }
    let payload = catch_unwind(AssertUnwindSafe(|| fails(0))).unwrap_err();
    payload.downcast_ref::<String>().unwrap().clone()
}

/// What a child of this program prints: it inherits everything that a child does.
#[bottleneck]
fn child(folder: &Path) -> String {
    let folder = folder.join("child");
    let output =
        Command::new(env::current_exe().unwrap()).arg(&folder).args(["1", "9"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    format!("child ended with {:?}\n{stdout}\n", output.status.code())
}

fn stdin() -> u64 {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).unwrap();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Which signals are blocked and ignored: a profiler that uses signals could leave traces there.
fn signals(task: &str) -> String {
    // Signals 32 and 33 are the C library's own: what a child inherits of them depends on how it was started.
    const NOT_OF_PROGRAMS: u64 = 3 << 31;
    let status = fs::read_to_string(format!("/proc/{task}/status")).unwrap();
    let set = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        u64::from_str_radix(line.unwrap().trim(), 16).unwrap() & !NOT_OF_PROGRAMS
    };
    format!("blocked {:x}, ignored {:x}", set("SigBlk:"), set("SigIgn:"))
}

/// Waits for nothing, as a program does that never expects to be interrupted by a signal.
#[bottleneck]
fn poll(milliseconds: libc::c_int) -> String {
    // SAFETY: no descriptors are given, so nothing is read or written.
    match unsafe { libc::poll(ptr::null_mut(), 0, milliseconds) } {
        0 => "over".to_owned(),
        _ => io::Error::last_os_error().to_string(),
    }
}

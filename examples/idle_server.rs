//! Serves clients that seldom ask: five requests a second, each answered in a millisecond.
//!
//! Verdict: none
//! Start at: -
//!
//! Why that holds by construction: no request waits for anything. It finds an idle worker and an idle CPU, computes for a
//! millisecond, and is answered. In between the server waits for clients, which is what servers are for: that time is
//! idle, whoever waits in which system call. At this load nothing limits it.
//!
//! The trap: the workers wait for one queue, all but one of them behind its lock, while CPUs idle; the thread that accepts
//! waits for the network, and the main thread for a child process. By the hour they look like a lock convoy, starvation
//! and slow I/O.

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, ExitCode};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bottleneck_examples::clocks::{Stopwatch, Times};
use bottleneck_examples::portion::{Portion, Products};
use bottleneck_examples::trial;
use bottleneck_runtime::bottleneck;

/// Threads that answer.
const WORKERS: usize = 4;
/// What an answer takes.
const ANSWERING: Duration = Duration::from_millis(1);
/// What the clients wait between two requests.
const PAUSE: Duration = Duration::from_millis(200);
/// Bytes of a prompt and of an answer.
const MESSAGE: usize = 64;

/// Connections that nobody has served yet; one worker waits for them, the others for this worker.
type Queue = Mutex<Receiver<TcpStream>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        // Started by `serve`.
        [role, address, seconds] if role == "--clients" => match ask(address, seconds) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        _ => trial::try_run(4.0, serve),
    }
}

/// The clients, in a process of their own: one request after the other, until their time is over.
fn ask(address: &str, seconds: &str) -> io::Result<()> {
    let time = Duration::from_secs_f64(seconds.parse().map_err(io::Error::other)?);
    let start = Instant::now();
    loop {
        let mut server = TcpStream::connect(address)?;
        server.write_all(&[1; MESSAGE])?;
        server.read_exact(&mut [0; MESSAGE])?;
        if start.elapsed() >= time {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
}

fn serve(time: Duration) -> io::Result<()> {
    let portion = Portion::taking(ANSWERING);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let (accepted, connections) = mpsc::channel();
    let queue = Arc::new(Queue::new(connections));
    let served = Arc::new(Mutex::new((0u32, Times::default())));
    for number in 1..=WORKERS {
        let (queue, served) = (Arc::clone(&queue), Arc::clone(&served));
        trial::named("worker", number).spawn(move || work(&queue, portion, &served))?;
    }
    trial::named("accept", 1)
        .spawn(move || listener.incoming().flatten().try_for_each(|it| accepted.send(it)))?;

    let start = Instant::now();
    let mut clients = Command::new(std::env::current_exe()?)
        .args(["--clients", &address, &time.as_secs_f64().to_string()])
        .spawn()?;
    // A server runs until somebody ends it; this one until there are no more clients.
    let ended = clients.wait()?;
    let (requests, times) = *served.lock().unwrap_or_else(PoisonError::into_inner);
    if !ended.success() || requests == 0 {
        return Err(io::Error::other(format!("the clients ended early: {ended}")));
    }
    println!(
        "{requests} requests: {:.2} ms each, {:.2} ms of them on a CPU",
        (times.wall / requests).as_secs_f64() * 1e3,
        (times.on_cpu / requests).as_secs_f64() * 1e3
    );
    let busy = 100.0 * times.wall.as_secs_f64() / start.elapsed().as_secs_f64();
    let verdict = if busy > 5.0 { "does not hold here now" } else { "holds" };
    println!(
        "oracle: a request was in flight for {busy:.1} % of the time, at most 5 % expected: the label {verdict}"
    );
    Ok(())
}

/// A worker: takes connections from the queue. Nobody waits for it while it waits.
fn work(queue: &Queue, portion: Portion, served: &Mutex<(u32, Times)>) -> io::Result<()> {
    let mut products = Products::new();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let mut client = next.map_err(io::Error::other)?;
        let mut prompt = [0; MESSAGE];
        client.read_exact(&mut prompt)?;
        let watch = Stopwatch::start();
        let answer = handle(&mut products, portion, prompt);
        let times = watch.stop();
        // Counted before the client has its answer, and can end.
        let mut served = served.lock().unwrap_or_else(PoisonError::into_inner);
        served.0 += 1;
        served.1 += times;
        drop(served);
        client.write_all(&answer)?;
    }
}

/// One request.
#[bottleneck(request, flops = portion.flops(), bytes = Portion::BYTES, dtype = f32)]
fn handle(products: &mut Products, portion: Portion, prompt: [u8; MESSAGE]) -> [u8; MESSAGE] {
    products.compute(portion);
    prompt
}

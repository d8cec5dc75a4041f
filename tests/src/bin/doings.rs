//! A program whose threads each do one known thing: `doings WHAT [ARGUMENT]`. The tests look at its snapshots.
#![expect(clippy::unwrap_used, reason = "a probe that fails fails its test")]
#![expect(clippy::print_stdout, reason = "tells the test when it is to be killed")]

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bottleneck_runtime::{bottleneck, span};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize| arguments.get(at).map(String::as_str).unwrap_or_default();
    let count = || argument(1).parse::<usize>().unwrap();
    match argument(0) {
        "each" => each(Duration::from_millis(argument(1).parse().unwrap())),
        "busy" => many(count(), true),
        "blocked" => many(count(), false),
        "bare-busy" => many_bare(count(), true),
        "bare-blocked" => many_bare(count(), false),
        "spin" => spin(),
        "requests" => requests(),
        "closes" => closes(),
        "hidden" => hidden(),
        "flip" => flip(),
        "short-lived" => short_lived(count()),
        other => panic!("does not do {other:?}"),
    }
}

/// How long the threads of the measurements of cost live: what the beginning of a recording costs once is a small part of it.
const LIFE: Duration = Duration::from_secs(4);

static LOCK: Mutex<()> = Mutex::new(());
static IS_OVER: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name(name.to_owned()).spawn(body).unwrap()
}

/// Computes until a time.
fn compute_until(end: Instant) {
    let mut x = 1_u64;
    while Instant::now() < end {
        for _ in 0..1000 {
            x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

/// A thread for every thing that a thread can do.
fn each(life: Duration) {
    let end = Instant::now() + life;
    let _main = span!("main_span");
    let held = LOCK.lock().unwrap();
    let (pipe_reader, pipe_writer) = std::io::pipe().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    let (to_queue, queue) = mpsc::channel::<()>();
    let mut threads = vec![
        start("locked", || {
            let _span = span!("wants_lock");
            drop(LOCK.lock());
        }),
        start("sleeper", move || {
            let _span = span!("nap");
            thread::sleep(life);
        }),
        start("receiver", move || {
            let _span = span!("receive");
            (&peer).read_exact(&mut [0]).unwrap();
        }),
        start("piped", move || {
            let _span = span!("read_pipe");
            (&pipe_reader).read_exact(&mut [0]).unwrap();
        }),
        start("busy", move || {
            let _span = span!("compute");
            compute_until(end);
        }),
        start("queued", move || {
            let _span = span!("next_request");
            queue.recv().unwrap_err();
        }),
    ];
    // Without a span.
    threads.push(start("bare-busy", move || compute_until(end)));
    threads.push(start("bare-accept", move || drop(listener.accept())));
    thread::sleep(end.saturating_duration_since(Instant::now()));
    drop(held);
    client.write_all(&[1]).unwrap();
    (&pipe_writer).write_all(&[1]).unwrap();
    drop(to_queue);
    drop(TcpStream::connect(client.peer_addr().unwrap()));
    for thread in threads {
        thread.join().unwrap();
    }
}

/// So many threads with spans, busy or blocked.
fn many(n: usize, are_busy: bool) {
    drop(span!("first"));
    spawn(n, move |end| {
        let _span = span!("worker");
        if are_busy {
            while Instant::now() < end {
                let _span = span!("step");
                compute_until(Instant::now() + Duration::from_micros(200));
            }
        } else {
            wait();
        }
    });
}

/// The same without spans.
fn many_bare(n: usize, are_busy: bool) {
    drop(span!("first"));
    spawn(n, move |end| if are_busy { compute_until(end) } else { wait() });
}

fn spawn(n: usize, body: impl Fn(Instant) + Copy + Send + 'static) {
    let end = Instant::now() + LIFE;
    let threads: Vec<_> =
        (0..n).map(|at| start(&format!("worker-{at}"), move || body(end))).collect();
    thread::sleep(LIFE);
    *IS_OVER.0.lock().unwrap() = true;
    IS_OVER.1.notify_all();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Waits without a limit of time, until the main thread says so.
fn wait() {
    let mut is_over = IS_OVER.0.lock().unwrap();
    while !*is_over {
        is_over = IS_OVER.1.wait(is_over).unwrap();
    }
}

/// Waits in a loop with a hint for half a second, then computes for as long, in a span each.
fn spin() {
    let half = Duration::from_millis(500);
    {
        let _span = span!("spin_wait");
        let end = Instant::now() + half;
        while Instant::now() < end {
            for _ in 0..100 {
                // Several at once: in a build without optimization the loop itself would take most of the time.
                std::hint::spin_loop();
                std::hint::spin_loop();
                std::hint::spin_loop();
                std::hint::spin_loop();
            }
        }
    }
    let _span = span!("arithmetic");
    compute_until(Instant::now() + half);
}

/// What a future of `requests` waits for.
static MAY_GO_ON: AtomicBool = AtomicBool::new(false);

#[bottleneck(request)]
async fn request() {
    std::future::poll_fn(|_| {
        if MAY_GO_ON.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[bottleneck]
async fn no_request() {
    request().await;
}

/// Four requests at once, one of which is given up; for 300 ms none, all, three, and none.
fn requests() {
    drop(span!("first"));
    let nap = || thread::sleep(Duration::from_millis(300));
    let mut context = Context::from_waker(Waker::noop());
    let mut futures: Vec<Pin<Box<dyn Future<Output = ()>>>> =
        vec![Box::pin(request()), Box::pin(request()), Box::pin(no_request()), Box::pin(request())];
    nap();
    for future in &mut futures {
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
    nap();
    drop(futures.pop());
    nap();
    MAY_GO_ON.store(true, Ordering::Relaxed);
    for future in &mut futures {
        assert!(future.as_mut().poll(&mut context).is_ready());
    }
    nap();
}

/// Closes every descriptor that it did not open, as a daemon does, and opens its own under their numbers.
fn closes() {
    let _main = span!("main_span");
    let (to_waiter, waiter) = mpsc::channel::<()>();
    let idle = start("idle", move || {
        let _span = span!("idle");
        waiter.recv().unwrap_err();
    });
    let bare = start("bare", || drop(IS_OVER.1.wait_while(IS_OVER.0.lock().unwrap(), |it| !*it)));
    thread::sleep(Duration::from_millis(300));
    for fd in 3..1000 {
        // SAFETY: closes what this program does not use itself; what the recorder does about it is the question.
        unsafe { libc::close(fd) };
    }
    let mut pipes: Vec<_> = (0..100).map(|_| std::io::pipe().unwrap()).collect();
    thread::sleep(Duration::from_millis(700));
    for (reader, writer) in &mut pipes {
        writer.write_all(b"ours").unwrap();
        let mut read = [0; 4];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"ours");
    }
    *IS_OVER.0.lock().unwrap() = true;
    IS_OVER.1.notify_all();
    drop(to_waiter);
    bare.join().unwrap();
    idle.join().unwrap();
}

/// Hides what it waits for from everybody, itself included, then waits.
fn hidden() {
    // SAFETY: concerns this process alone.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    let _main = span!("main_span");
    let end = Instant::now() + Duration::from_millis(700);
    let threads = [
        start("sleeper", move || {
            let _span = span!("nap");
            thread::sleep(end.saturating_duration_since(Instant::now()));
        }),
        start("bare-busy", move || compute_until(end)),
        start("bare-idle", move || {
            thread::sleep(end.saturating_duration_since(Instant::now()));
        }),
    ];
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Many threads that do nothing, so that the tables of snapshots are full soon and often; says so when it has begun.
fn flip() {
    drop(span!("first"));
    for at in 0..200 {
        start(&format!("idle-{at}"), || {
            let _span = span!("idle");
            thread::park();
        });
    }
    println!("begun");
    thread::park();
}

/// So many threads without spans, one after the other.
fn short_lived(n: usize) {
    drop(span!("first"));
    for at in 0..n {
        let end = Instant::now() + Duration::from_millis(3);
        start(&format!("conn-{at}"), move || compute_until(end)).join().unwrap();
    }
}

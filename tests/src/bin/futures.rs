//! Futures that are moved, joined, cancelled and that panic, for `tests/futures.rs`, which reads what was recorded.
//!
//! Prints a line for each: its name, and two lengths in ns between which its life must be: one begins and ends inside of the
//! future, the other around its first poll and its end. However busy the machine is, both hold.

use std::future::poll_fn;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bottleneck_runtime::bottleneck;

/// Work of one poll, and of the executor between two.
const PIECE: Duration = Duration::from_micros(500);
const POLLS: u32 = 20;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

fn spin() {
    let start = Instant::now();
    while start.elapsed() < PIECE {
        std::hint::spin_loop();
    }
}

/// Measures the life of a future from inside, and sends it when the future ends, however it does.
struct Inside {
    since: Instant,
    to: Sender<Duration>,
}

impl Inside {
    fn begin(to: Sender<Duration>) -> Self {
        Self { since: Instant::now(), to }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // The receiver waits for it.
        let _ = self.to.send(self.since.elapsed());
    }
}

/// Not ready the first time.
async fn one_more_poll() {
    let mut is_polled = false;
    poll_fn(
        |_| {
            if std::mem::replace(&mut is_polled, true) { Poll::Ready(()) } else { Poll::Pending }
        },
    )
    .await;
}

async fn pieces() {
    for _ in 1..POLLS {
        spin();
        one_more_poll().await;
    }
    spin();
}

#[bottleneck]
async fn moved(to: Sender<Duration>) {
    let _inside = Inside::begin(to);
    pieces().await;
}

#[bottleneck]
async fn joined_first(to: Sender<Duration>) {
    let _inside = Inside::begin(to);
    pieces().await;
}

#[bottleneck]
async fn joined_second(to: Sender<Duration>) {
    let _inside = Inside::begin(to);
    pieces().await;
}

#[bottleneck]
async fn both(first: Sender<Duration>, second: Sender<Duration>) {
    let (mut first, mut second) = (pin!(joined_first(first)), pin!(joined_second(second)));
    let (mut first_is_ready, mut second_is_ready) = (false, false);
    poll_fn(|context| {
        first_is_ready = first_is_ready || first.as_mut().poll(context).is_ready();
        second_is_ready = second_is_ready || second.as_mut().poll(context).is_ready();
        if first_is_ready && second_is_ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[bottleneck]
async fn cancelled_here(to: Sender<Duration>) {
    let _inside = Inside::begin(to);
    pieces().await;
    std::future::pending::<()>().await;
}

#[bottleneck]
async fn cancelled_elsewhere(to: Sender<Duration>) {
    let _inside = Inside::begin(to);
    pieces().await;
    std::future::pending::<()>().await;
}

#[bottleneck]
async fn panics_late(to: Sender<Duration>) {
    let _inside = Inside::begin(to);
    pieces().await;
    resume_unwind(Box::new("on purpose"));
}

#[bottleneck]
async fn never_polled() {
    one_more_poll().await;
}

/// Polls a future once; says whether it is ready.
fn poll(task: &mut Task) -> bool {
    task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Polls a future so many times at most, with time between.
fn poll_times(task: &mut Task, n: u32) -> bool {
    (0..n).any(|_| {
        let is_ready = poll(task);
        spin();
        is_ready
    })
}

/// Polls a future on two threads in turn, each of which gives it to the other.
fn pass_to_and_fro(task: Task) {
    let (to_first, first) = channel::<Task>();
    let (to_second, second) = channel::<Task>();
    let seed = to_first.clone();
    let worker = |tasks: std::sync::mpsc::Receiver<Task>, to_other: Sender<Task>| {
        move || {
            for mut task in tasks {
                spin();
                if poll(&mut task) || to_other.send(task).is_err() {
                    break;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(worker(first, to_second));
        scope.spawn(worker(second, to_first));
        seed.send(task).expect("the first thread receives");
        drop(seed);
    });
}

/// Says how long a future lived, seen from inside and from outside.
fn life(name: &str, run: impl FnOnce(Sender<Duration>)) {
    let (to, inside) = channel();
    let start = Instant::now();
    run(to);
    let outside = start.elapsed();
    let inside = inside.recv().expect("the future ended");
    say(&format!("{name} {} {}", inside.as_nanos(), outside.as_nanos()));
}

fn main() {
    life("moved", |to| pass_to_and_fro(Box::pin(moved(to))));
    let (to, second) = channel();
    life("joined_first", |first| {
        let start = Instant::now();
        let mut task: Task = Box::pin(both(first, to));
        assert!(poll_times(&mut task, POLLS));
        drop(task);
        let inside = second.recv().expect("the future ended").as_nanos();
        say(&format!("joined_second {inside} {}", start.elapsed().as_nanos()));
    });
    life("cancelled_here", |to| {
        let mut task: Task = Box::pin(cancelled_here(to));
        assert!(!poll_times(&mut task, POLLS));
    });
    life("cancelled_elsewhere", |to| {
        let mut task: Task = Box::pin(cancelled_elsewhere(to));
        assert!(!poll_times(&mut task, POLLS));
        std::thread::scope(|scope| scope.spawn(move || drop(task)).join().expect("it is dropped"));
    });
    life("panics_late", |to| {
        let mut task: Task = Box::pin(panics_late(to));
        assert!(catch_unwind(AssertUnwindSafe(|| poll_times(&mut task, POLLS))).is_err());
    });
    drop(never_polled());
}

/// The reader of these lines is the test: a closed pipe is its business.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

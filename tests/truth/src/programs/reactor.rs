//! Program 28: an executor of one thread, whose tasks wait while one of them computes for 20 ms without a pause.
//!
//! Truth: scheduling. All of the time is on a CPU, and there is nothing slow about it; but a dozen requests that are ready
//! wait for one that should be elsewhere, while CPUs idle. Compute is right too, if it names `summarize`: what is ready is
//! known to the executor alone.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use bottleneck_runtime::{bottleneck, span};

use crate::loads::Compute;
use crate::removal::{self, Pass};
use crate::table::Program;
use crate::trial::{Denied, Trial};

/// The task that blocks the reactor.
const HEAVY: Duration = Duration::from_millis(20);
/// One step of a small request.
const LIGHT: Duration = Duration::from_micros(500);
/// Small requests at once, and their steps.
const REQUESTS: usize = 12;
/// See [`REQUESTS`].
const STEPS: usize = 3;

/// Program 28.
pub const PROGRAMS: &[Program] = &[Program::known(
    "28",
    "blocked_reactor",
    "scheduling",
    &[],
    "a task of 20 ms keeps the only thread of an executor from all others",
    run,
)
.or(&["compute"])
.with_after()];

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Tasks are polled in turns; one that is pending is asked again after the others.
fn drive(tasks: impl IntoIterator<Item = Task>) {
    struct Nothing;
    impl Wake for Nothing {
        fn wake(self: Arc<Self>) {}
    }
    let waker = Waker::from(Arc::new(Nothing));
    let mut context = Context::from_waker(&waker);
    let mut ready: VecDeque<Task> = tasks.into_iter().collect();
    while let Some(mut task) = ready.pop_front() {
        if task.as_mut().poll(&mut context).is_pending() {
            ready.push_back(task);
        }
    }
}

/// Lets the others go first, once.
async fn others_first() {
    let mut is_done = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut is_done, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[bottleneck]
async fn small_request(load: Arc<Mutex<Compute>>) {
    small_steps(load).await;
}

async fn small_steps(load: Arc<Mutex<Compute>>) {
    for _ in 0..STEPS {
        load.lock().expect("no step panics").run();
        others_first().await;
    }
}

/// After: the heavy task has a thread of its own.
fn run(trial: &Trial) -> Result<(), Denied> {
    let light = Arc::new(Mutex::new(Compute::taking(LIGHT)));
    let heavy = Arc::new(Mutex::new(Compute::taking(HEAVY)));
    removal::run(trial, 0.2, |Pass { after, seen }| {
        let (sender, summary) = channel();
        let heavy = Arc::clone(&heavy);
        let summarize = move || {
            let _span = seen.then(|| span!("summarize"));
            heavy.lock().expect("no step panics").run();
        };
        let light_task = || -> Task {
            if seen {
                Box::pin(small_request(Arc::clone(&light)))
            } else {
                Box::pin(small_steps(Arc::clone(&light)))
            }
        };
        let mut tasks: Vec<Task> = (0..REQUESTS).map(|_| light_task()).collect();
        if after {
            thread::spawn(move || {
                summarize();
                sender.send(()).expect("the summary is waited for");
            });
        } else {
            tasks.insert(
                REQUESTS / 2,
                Box::pin(async move {
                    summarize();
                }),
            );
        }
        drive(tasks);
        if after {
            summary.recv().expect("the thread summarizes");
        }
        REQUESTS as u64
    })
}

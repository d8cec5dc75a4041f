//! Programs 27 and 31: waits that nobody needs: asking again and again with a sleep in between, and a fixed time for which
//! requests are collected although all that can come are there.
//!
//! Truth: scheduling / timer, and so it is called for polling too where it is not told apart. The sleeps are the planted
//! cause.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use bottleneck_examples::trial::named;
use bottleneck_runtime::span;

use crate::loads::Compute;
use crate::removal::{self, Pass};
use crate::table::Program;
use crate::trial::{Denied, Trial};

/// What a task takes for which program 27 waits.
const TASK: Duration = Duration::from_micros(50);
/// For how long it sleeps.
const SLEEP: Duration = Duration::from_millis(1);
/// Tasks of a pass.
const TASKS: u64 = 50;
/// The window of program 31.
const WINDOW: Duration = Duration::from_millis(4);
/// The work of its batch.
const BATCH: Duration = Duration::from_millis(1);
/// Batches of a pass.
const BATCHES: u64 = 12;

/// Programs 27 and 31.
pub const PROGRAMS: &[Program] = &[
    Program::known(
        "27",
        "polling",
        "scheduling",
        &["poll loop", "timer"],
        "somebody asks once a millisecond for what takes 50 µs",
        polling,
    )
    .with_after(),
    Program::known(
        "31",
        "fixed_window",
        "scheduling",
        &["timer"],
        "a batch of 1 ms is collected for 4 ms, though nobody can come",
        fixed_window,
    )
    .with_after(),
];

/// The other thread, and the ways to it and back. It ends when the way to it does.
struct Helper {
    tasks: Sender<()>,
    results: Receiver<()>,
}

impl Helper {
    fn start() -> Self {
        let ((tasks, asked), (answer, results)) = (channel(), channel());
        let work = move || {
            let mut load = Compute::taking(TASK);
            while asked.recv().is_ok() {
                load.run();
                if answer.send(()).is_err() {
                    return;
                }
            }
        };
        named("helper", 1).spawn(work).expect("the system has a thread left");
        Self { tasks, results }
    }

    #[inline(never)]
    fn poll(&self) {
        while self.results.try_recv() == Err(TryRecvError::Empty) {
            thread::sleep(SLEEP);
        }
    }
}

/// After: the wait ends when the task does.
fn polling(trial: &Trial) -> Result<(), Denied> {
    let helper = Helper::start();
    removal::run(trial, 0.5, |Pass { after, seen }| {
        for _ in 0..TASKS {
            let _span = seen.then(|| span!("request"));
            helper.tasks.send(()).expect("the helper lives as long as it is asked");
            let _span = seen.then(|| span!("wait_for_result"));
            if after {
                helper.results.recv().expect("the helper answers");
            } else {
                helper.poll();
            }
        }
        TASKS
    })
}

/// After: the window ends when nobody can come.
fn fixed_window(trial: &Trial) -> Result<(), Denied> {
    let (sender, queue) = channel::<()>();
    let mut model = Compute::taking(BATCH);
    let res = removal::run(trial, 0.5, |Pass { after, seen }| {
        for _ in 0..BATCHES {
            let _span = seen.then(|| span!("request"));
            if !after {
                let _span = seen.then(|| span!("collect_batch"));
                let end = Instant::now() + WINDOW;
                while queue.recv_timeout(end.saturating_duration_since(Instant::now())).is_ok() {}
            }
            let _span = seen.then(|| span!("run_batch"));
            model.run();
        }
        BATCHES
    });
    // All who could ask are there: this one, who never does.
    drop(sender);
    res
}

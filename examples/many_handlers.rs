//! Serves eight clients at a time with one model: every handler hands its prompt to the thread of the model, and waits.
//!
//! Verdict: memory / bandwidth
//! Start at: `Model::forward`
//!
//! Why that holds by construction: the model computes without a pause, and each of its passes streams weights that no
//! cache holds. Of nine threads eight wait at any time, but a second thread of any kind would have nothing to do: only
//! a faster pass, or one that serves several prompts, makes the answers come sooner.
//!
//! The trap: nearly all the time of threads is spent waiting in `serve`. That is no scheduling problem: who waits for
//! the model is as slow as the model.
//!
//! What helps: smaller weights, or one pass over them for all the prompts that wait (a batch).

#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use bottleneck_examples::host;
use bottleneck_examples::kernels::{Isa, Matrix, gemv, sum};
use bottleneck_examples::random::fill_uniform;
use bottleneck_examples::trial::{self, Share};
use bottleneck_runtime::bottleneck;

/// Clients that are served at a time.
const HANDLERS: u8 = 8;
/// Values per row: 16 KiB, so that the vector stays in the first-level cache.
const COLS: usize = 4096;

/// What a handler sends to the model.
struct Prompt {
    text: u8,
    answer: Sender<f32>,
}

/// One large matrix, and its input and output.
struct Model {
    weights: Vec<f32>,
    rows: usize,
    x: Vec<f32>,
    y: Vec<f32>,
}

fn main() -> ExitCode {
    trial::run(3.0, serve_all)
}

fn serve_all(time: Duration) {
    let mut model = Model::new();
    let (queue, prompts) = mpsc::channel();
    let start = Instant::now();
    let (passes, computing) = thread::scope(|scope| {
        let model = &mut model;
        let computing = trial::named("model", 1)
            .spawn_scoped(scope, move || model.run(prompts))
            .expect("the system has a few threads left");
        for number in 1..=HANDLERS {
            let queue = queue.clone();
            trial::named("handler", usize::from(number))
                .spawn_scoped(scope, move || handle(&queue, number, start, time))
                .expect("the system has a few threads left");
        }
        // The model ends when the last handler has gone.
        drop(queue);
        computing.join().expect("the model never panics")
    });
    let share = computing.as_secs_f64() / start.elapsed().as_secs_f64();

    let bytes = (4 * model.weights.len()) as f64;
    let rate = f64::from(passes) * bytes / computing.as_secs_f64() / 1e9;
    let before = Instant::now();
    let total = sum(&model.weights);
    let plain = bytes / before.elapsed().as_secs_f64() / 1e9;
    println!("{passes} passes: {rate:.1} GB/s; a plain read: {plain:.1} GB/s (sum {total:.3})");
    println!("{}", Share { what: "in passes of the model", share, least: 0.9 });
}

/// A thread that serves one client after the other.
fn handle(queue: &Sender<Prompt>, text: u8, start: Instant, time: Duration) {
    let (answer, answers) = mpsc::channel();
    loop {
        serve(queue, Prompt { text, answer: answer.clone() }, &answers);
        if start.elapsed() >= time {
            return;
        }
    }
}

/// One request, from the prompt to its answer.
#[bottleneck(request)]
fn serve(queue: &Sender<Prompt>, prompt: Prompt, answers: &Receiver<f32>) -> f32 {
    queue.send(prompt).expect("the model outlives the handlers");
    answers.recv().expect("the model answers every prompt")
}

impl Model {
    fn new() -> Self {
        let rows = usize::try_from(host::streamed_bytes() / 4).unwrap_or(usize::MAX) / COLS;
        let mut weights = vec![0.0; rows * COLS];
        fill_uniform(&mut weights, 1, 0, 1.0);
        Self { weights, rows, x: vec![0.0; COLS], y: vec![0.0; rows] }
    }

    /// Answers prompts in the order in which they come, until no handler is left: the number of passes, and their time.
    fn run(&mut self, prompts: Receiver<Prompt>) -> (u32, Duration) {
        let mut passes = 0;
        let mut computing = Duration::ZERO;
        for prompt in prompts {
            let start = Instant::now();
            let answer = self.forward(prompt.text);
            computing += start.elapsed();
            passes += 1;
            // A handler that has gone needs no answer.
            let _ = prompt.answer.send(answer);
        }
        (passes, computing)
    }

    /// One pass over the weights for one prompt. The mistake: the others wait for passes of their own.
    #[bottleneck(
        flops = 2 * self.rows * COLS,
        bytes = 4 * (self.rows * COLS + self.rows + COLS),
        dtype = f32
    )]
    fn forward(&mut self, text: u8) -> f32 {
        self.x.fill(f32::from(text));
        gemv(Isa::detected(), Matrix::new(&self.weights, self.rows, COLS), &self.x, &mut self.y);
        self.y[0]
    }
}

//! Mixes M1 to M5: two causes in chosen parts of the time, as two spans side by side, or as two ordinary functions inside of one
//! span.
//!
//! The first cause runs for its time; how long the second one takes is computed from that, measured at the start and outside
//! of spans. What the parts really were is measured while the mix runs, and told at its end: that is the truth, the numbers
//! of the table are what was aimed at. `parts` are the times of the two; `kinds` are less where a part is not all of its
//! kind: a request on cold pages also computes, and in a convoy one of the CPUs works.

use std::time::{Duration, Instant};

use bottleneck_examples::clocks::Stopwatch;
use bottleneck_examples::trial::cpus;
use bottleneck_runtime::span;

use super::cold_mapping::{Order, Requests};
use super::{locks, oversubscription, starvation};
use crate::loads::{Compute, Gather, Stream};
use crate::oracle::{Oracle, time};
use crate::table::{Program, Set};
use crate::trial::{Denied, Trial};

/// The first part of a step, where it can be chosen.
const FIRST: Duration = Duration::from_millis(8);
/// Steps by which the parts are measured, and by which the oracle judges.
const MEASURED: usize = 7;
/// How often the second part is corrected.
const DIALLED: u32 = 3;
/// How far the parts may be from what was aimed at: the larger one stays the larger.
const MISSED: f64 = 0.2;

macro_rules! mixes {
    ($($number:literal $name:literal $first:literal + $second:literal $layout:ident $make:ident;)*) => {
        /// Each mix with 25, 50 and 75 % of its first cause.
        pub const PROGRAMS: &[Program] = &[$(
            mix($number, concat!($name, "_25"), $second, &[($first, 0.25), ($second, 0.75)],
                |trial| $make(trial, 0.25, Layout::$layout)),
            mix($number, concat!($name, "_50"), $first, &[($first, 0.5), ($second, 0.5)],
                |trial| $make(trial, 0.5, Layout::$layout)).or(&["mixed", $second, "inconclusive"]),
            mix($number, concat!($name, "_75"), $first, &[($first, 0.75), ($second, 0.25)],
                |trial| $make(trial, 0.75, Layout::$layout)),
        )*];
    };
}

mixes! {
    "M1" "mix_gemv_gemm" "memory" + "compute" Siblings gemv_gemm;
    "M1" "mix_gemv_gemm_in_one" "memory" + "compute" One gemv_gemm;
    "M2" "mix_cold_gemm" "io" + "compute" Siblings cold_gemm;
    "M3" "mix_convoy_gemv" "scheduling" + "memory" Siblings convoy_gemv;
    "M4" "mix_starvation_gemm" "scheduling" + "compute" Siblings starvation_gemm;
    "M5" "mix_crowd_gather" "scheduling" + "memory" Siblings crowd_gather;
    "M5" "mix_gather_gemm" "memory" + "compute" Siblings gather_gemm;
    "M5" "mix_gather_gemm_in_one" "memory" + "compute" One gather_gemm;
}

/// The larger part is right. So is `mixed`, because a part need not be all of its kind; the shares tell more.
const fn mix(
    number: &'static str,
    name: &'static str,
    larger: &'static str,
    shares: &'static [(&'static str, f64)],
    run: fn(&Trial) -> Result<(), Denied>,
) -> Program {
    let program = Program::known(number, name, larger, &[], "two causes in chosen parts", run);
    program.of(Set::Mix).made_of(shares).or(&["mixed"])
}

/// Where the spans are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// Each part has a span.
    Siblings,
    /// One span has both.
    One,
}

/// One of two parts.
trait Part {
    /// What is no part of the program.
    fn prepare(&mut self) {}

    /// Takes so many times as long from now on, where that can be chosen.
    fn scale(&mut self, _factor: f64) {}

    /// Does it; returns the seconds of the calling thread that are of its kind.
    fn run(&mut self, seen: bool) -> f64;
}

impl Part for Stream {
    fn scale(&mut self, factor: f64) {
        Self::scale(self, factor);
    }

    fn run(&mut self, seen: bool) -> f64 {
        let _span = seen.then(|| span!("stream_weights"));
        time(|| Self::run(self)).as_secs_f64()
    }
}

impl Part for Compute {
    fn scale(&mut self, factor: f64) {
        Self::scale(self, factor);
    }

    fn run(&mut self, seen: bool) -> f64 {
        let _span = seen.then(|| span!("multiply"));
        time(|| Self::run(self)).as_secs_f64()
    }
}

impl Part for Gather {
    fn scale(&mut self, factor: f64) {
        Self::scale(self, factor);
    }

    fn run(&mut self, seen: bool) -> f64 {
        let _span = seen.then(|| span!("embed"));
        time(|| Self::run(self)).as_secs_f64()
    }
}

/// Lookups that a user waits for, like the request of [`Crowd`] beside them.
struct Asked(Gather);

impl Part for Asked {
    fn scale(&mut self, factor: f64) {
        self.0.scale(factor);
    }

    fn run(&mut self, seen: bool) -> f64 {
        let _span = seen.then(|| span!("embed", request));
        time(|| self.0.run()).as_secs_f64()
    }
}

impl Part for Requests {
    fn prepare(&mut self) {
        self.make_cold();
    }

    fn run(&mut self, seen: bool) -> f64 {
        let watch = Stopwatch::start();
        self.answer(seen);
        watch.stop().blocked().as_secs_f64()
    }
}

/// Seconds of a part in which a CPU had nothing to do, of all CPUs.
fn idle(wall: Duration, computed: Duration) -> f64 {
    (wall.as_secs_f64() - computed.as_secs_f64() / cpus() as f64).max(0.0)
}

struct Convoy;

impl Part for Convoy {
    fn run(&mut self, seen: bool) -> f64 {
        let start = Instant::now();
        let computed = locks::convoy_of(25, seen);
        idle(start.elapsed(), computed)
    }
}

struct Starvation;

impl Part for Starvation {
    fn run(&mut self, seen: bool) -> f64 {
        let start = Instant::now();
        let computed = starvation::starved(6, seen);
        idle(start.elapsed(), computed)
    }
}

/// A request that waits for its turn.
struct Crowd(Compute);

impl Part for Crowd {
    fn run(&mut self, seen: bool) -> f64 {
        let watch = Stopwatch::start();
        oversubscription::crowded(&mut self.0, seen);
        watch.stop().queued.as_secs_f64()
    }
}

/// What the parts of some steps took.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    first: f64,
    second: f64,
    /// Of the first part, by its cause.
    caused: f64,
}

impl Spent {
    fn share(&self) -> f64 {
        self.first / (self.first + self.second)
    }
}

struct Mix<A, B> {
    first: A,
    second: B,
    layout: Layout,
}

impl<A: Part, B: Part> Mix<A, B> {
    /// Seconds of both parts in the middle one of some steps: other programs have the CPU during a few of them.
    fn medians(&mut self) -> (f64, f64) {
        let mut steps = [Spent::default(); MEASURED];
        for spent in &mut steps {
            self.step(false, spent);
        }
        let median = |part: fn(&Spent) -> f64| {
            let mut seconds = steps.map(|spent| part(&spent));
            seconds.sort_by(f64::total_cmp);
            seconds[MEASURED / 2]
        };
        (median(|it| it.first), median(|it| it.second))
    }

    fn step(&mut self, seen: bool, spent: &mut Spent) {
        self.first.prepare();
        let _span = (seen && self.layout == Layout::One).then(|| span!("step"));
        let seen = seen && self.layout == Layout::Siblings;
        let start = Instant::now();
        let caused = self.first.run(seen);
        let between = start.elapsed();
        self.second.run(seen);
        spent.caused += caused;
        spent.first += between.as_secs_f64();
        spent.second += start.elapsed().saturating_sub(between).as_secs_f64();
    }
}

/// What is left of a step whose first part takes this long.
fn rest(first: Duration, aimed: f64) -> Duration {
    first.mul_f64((1.0 - aimed) / aimed)
}

/// Runs `first`, and for the rest of the time what `second` makes of a duration.
fn run<A: Part, B: Part>(
    trial: &Trial,
    aimed: f64,
    layout: Layout,
    mut first: A,
    second: impl FnOnce(Duration) -> B,
) -> Result<(), Denied> {
    first.prepare();
    let once = time(|| first.run(false));
    let mut mix = Mix { first, second: second(rest(once, aimed)), layout };
    for _ in 0..DIALLED {
        let (first, second) = mix.medians();
        mix.second.scale(first * (1.0 - aimed) / aimed / second);
    }
    trial.check(|| {
        let (first, second) = mix.medians();
        let share = first / (first + second);
        Oracle::when((share - aimed).abs() <= MISSED, || {
            format!("the first part takes {share:.2} of the time, not {aimed}")
        })
        .with_cause(share)
    })?;
    let mut spent = Spent::default();
    trial.record(|_| {
        mix.step(true, &mut spent);
        1
    });
    let whole = spent.first + spent.second;
    trial.tell("parts", &[("first", spent.share()), ("second", 1.0 - spent.share())]);
    trial.tell("kinds", &[("first", spent.caused / whole), ("second", spent.second / whole)]);
    Ok(())
}

fn gemv_gemm(trial: &Trial, share: f64, layout: Layout) -> Result<(), Denied> {
    run(trial, share, layout, Stream::taking(FIRST), Compute::taking)
}

fn cold_gemm(trial: &Trial, share: f64, layout: Layout) -> Result<(), Denied> {
    run(trial, share, layout, Requests::new(Order::Sequential)?, Compute::taking)
}

fn convoy_gemv(trial: &Trial, share: f64, layout: Layout) -> Result<(), Denied> {
    run(trial, share, layout, Convoy, Stream::taking)
}

fn starvation_gemm(trial: &Trial, share: f64, layout: Layout) -> Result<(), Denied> {
    run(trial, share, layout, Starvation, Compute::taking)
}

fn crowd_gather(trial: &Trial, share: f64, layout: Layout) -> Result<(), Denied> {
    let crowd = Crowd(Compute::taking(Duration::from_millis(5)));
    run(trial, share, layout, crowd, |duration| Asked(Gather::taking(duration)))
}

fn gather_gemm(trial: &Trial, share: f64, layout: Layout) -> Result<(), Denied> {
    run(trial, share, layout, Gather::taking(FIRST), Compute::taking)
}

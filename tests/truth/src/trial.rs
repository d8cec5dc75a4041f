//! One run of a program: its own check first, then the recorded part. Two lines of JSON on stdout say what came of them.

use std::time::Instant;

use bottleneck_examples::portion::Portion;
use bottleneck_runtime::{Work, work};
use serde_json::{Map, Value, json};

use crate::options::{Options, Size, Variant};
use crate::oracle::Oracle;

/// The label does not hold on this machine now, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied(pub String);

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    name: &'static str,
    options: Options,
}

impl Trial {
    /// A run of the program called `name`.
    #[must_use]
    pub fn new(name: &'static str, options: Options) -> Self {
        Self { name, options }
    }

    /// The seed of its values.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.options.seed
    }

    /// How much data it has.
    #[must_use]
    pub fn size(&self) -> Size {
        self.options.size
    }

    /// Whether the bottleneck is taken away.
    #[must_use]
    pub fn is_after(&self) -> bool {
        self.options.variant == Variant::After
    }

    /// Declares the work of the innermost span, if spans are to declare any.
    #[inline]
    pub fn declare(&self, amount: impl FnOnce() -> Work) {
        if self.options.declare {
            work(amount());
        }
    }

    /// Checks the label. Call it before [`record`](Self::record) and outside of spans: what it computes is no part of the
    /// program.
    ///
    /// # Errors
    /// If the label does not hold here, and the run should end.
    pub fn check(&self, oracle: impl FnOnce() -> Oracle) -> Result<(), Denied> {
        if !self.options.oracle {
            return Ok(());
        }
        let started = Instant::now();
        let Oracle { measured, truth_share, cause_share, holds } = oracle();
        let verdict = match &holds {
            Ok(()) => "holds".to_owned(),
            Err(why) => format!("denied: {why}"),
        };
        let measured: Map<String, Value> =
            measured.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        print(&json!({
            "program": self.name,
            "oracle": verdict,
            "truth_share": truth_share,
            "cause_share": cause_share,
            "measured": measured,
            "oracle_seconds": started.elapsed().as_secs_f64(),
        }));
        holds.map_err(Denied)
    }

    /// Prints numbers that the run has found out about itself, such as the parts that it was really made of.
    pub fn tell(&self, what: &str, numbers: &[(&str, f64)]) {
        let numbers: Map<String, Value> =
            numbers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        print(&json!({ "program": self.name, what: numbers }));
    }

    /// The recorded part: repeats `pass` until the time is over, at least once, or as often as was asked for. `pass` gets
    /// its number and returns a checksum of its results.
    ///
    /// The checksum that is printed is of all passes where their number was given, else of the first: how many there are
    /// in two seconds is no result.
    pub fn record(&self, mut pass: impl FnMut(u32) -> u64) {
        let started = Instant::now();
        let (mut passes, mut checksum) = (0, 0u64);
        loop {
            let found = pass(passes);
            if passes == 0 || self.options.passes.is_some() {
                checksum = checksum.rotate_left(7) ^ found;
            }
            passes += 1;
            let is_over = match self.options.passes {
                Some(wanted) => passes >= wanted,
                None => self.options.time <= started.elapsed(),
            };
            if is_over {
                break;
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        if let Some(measure) = Portion::measure() {
            self.tell("portion", &[("measure", measure)]);
        }
        print(&json!({
            "program": self.name,
            "passes": passes,
            "seconds": seconds,
            "per_second": f64::from(passes) / seconds,
            "checksum": format!("{checksum:016x}"),
        }));
    }
}

#[expect(clippy::print_stdout, reason = "the result of a program")]
fn print(line: &Value) {
    println!("{line}");
}

/// A checksum of floats, bit for bit.
#[must_use]
pub fn checksum(values: &[f32]) -> u64 {
    values.iter().fold(0, |sum: u64, value| sum.rotate_left(5) ^ u64::from(value.to_bits()))
}

//! Holds the simulated driver against what cudarc's safe interface promises: `gpu_conformance [CASE ...]`. Prints a
//! line for each case, `ok NAME` or `failed NAME: why`, and ends with 1 if one has failed. `seen CASE WHAT VALUE` is something
//! that whoever started it can compare with what really happened.
#![expect(clippy::print_stdout, reason = "results, for who has started it")]

mod check;
mod devices;
mod events;
mod gate;
mod graphs;
mod host_functions;
mod kernels;
mod memory;
mod modules;
mod order;

use std::panic::catch_unwind;
use std::process::ExitCode;

use bottleneck_runtime::span;

use check::Outcome;

/// Something that is promised, and what holds the driver against it.
type Case = (&'static str, fn() -> Outcome);

const CASES: [&[Case]; 7] = [
    memory::CASES,
    order::CASES,
    events::CASES,
    host_functions::CASES,
    graphs::CASES,
    modules::CASES,
    devices::CASES,
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|it| it == name);
    let mut code = ExitCode::SUCCESS;
    for (name, case) in CASES.into_iter().flatten().filter(|(name, _)| is_wanted(name)) {
        let _span = span!("case");
        // What cudarc does not find in the driver is a panic.
        let outcome = catch_unwind(case).unwrap_or_else(|_| Err("it panicked".into()));
        match outcome {
            Ok(()) => println!("ok {name}"),
            Err(why) => {
                println!("failed {name}: {why}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

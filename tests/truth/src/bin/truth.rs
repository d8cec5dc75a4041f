//! `cargo run -p bottleneck-truth --bin truth -- [--runs N] [--only NAME,...] [--tiers TIER,...] [--write FILE]`: runs the truth
//! suite and prints what the verdicts are worth. Never two programs at a time: they would take each other's bandwidth.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::process::ExitCode;

use bottleneck_truth::runner::arguments::{Arguments, USAGE};
use bottleneck_truth::runner::cost;
use bottleneck_truth::runner::document::Findings;
use bottleneck_truth::runner::run::{Plan, Row};
use bottleneck_truth::runner::tally::Tally;
use bottleneck_truth::runner::tier::Tier;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("error: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let findings = run(&arguments);
    for &tier in &arguments.tiers {
        let tally = Tally::of(&findings.rows, tier);
        println!("\n{tier}: {}\n{}", tally.totals(), tally.matrix());
    }
    let Some(path) = &arguments.write else { return ExitCode::SUCCESS };
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    match folder.and_then(|()| std::fs::write(path, findings.page())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot write {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Findings {
    let mut res = Findings::default();
    let plan = |program, tier, seed, seconds| Plan {
        program,
        tier,
        seed,
        seconds,
        oracle: true,
        is_after: false,
    };
    // Runs outermost: a change of the machine hits all programs, not one of them.
    for seed in 1..=arguments.runs {
        for &program in &arguments.programs {
            for &tier in &arguments.tiers {
                res.rows.push(told(plan(program, tier, seed, arguments.seconds).run_undisturbed()));
            }
        }
    }
    for &seconds in &arguments.lengths {
        for &program in &arguments.programs {
            res.shorter.push(told(plan(program, Tier::ALL[0], 1, seconds).run()));
        }
    }
    if arguments.cost > 0 {
        for &program in &arguments.programs {
            let found =
                cost::measure(plan(program, Tier::ALL[0], 1, arguments.seconds), arguments.cost);
            res.costs.extend(found.map(|it| (program.name, it)));
        }
    }
    res
}

fn told(row: Row) -> Row {
    println!("{}", row.line());
    row
}

//! `cargo run -p bottleneck-truth --bin truth -- [OPTIONS]`: runs the truth suite and prints what the verdicts are worth. Never
//! two programs at a time: they would take each other's bandwidth.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use bottleneck_truth::runner::arguments::{Arguments, USAGE};
use bottleneck_truth::runner::page::page;
use bottleneck_truth::runner::session::{self, Findings};
use bottleneck_truth::runner::tally::Tally;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("error: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let findings = session::run(&arguments, |line| eprintln!("{line}"));
    for &tier in &arguments.tiers {
        let tally = Tally::of(&findings.rows, tier);
        if arguments.verdicts {
            println!("\n{tier}: {}\n{}", tally.totals(), tally.matrix());
        }
    }
    if let Some(left) = &findings.left_out {
        eprintln!("the time is over before {left}");
    }
    let Some(path) = &arguments.write else { return ExitCode::SUCCESS };
    match write(&findings, path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot write {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

/// What was not measured is kept from the page that is there.
fn write(findings: &Findings, path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let before = fs::read_to_string(path).ok();
    fs::write(path, page(findings, before.as_deref()))
}

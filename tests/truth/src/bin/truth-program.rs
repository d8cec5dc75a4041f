//! Runs one program of the truth suite: `truth-program NAME [OPTIONS]`; `--list` names them all.
//!
//! Ends with 77 where the program's label does not hold on this machine now.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::process::ExitCode;

use bottleneck_examples::portion::Portion;
use bottleneck_truth::options::{Options, USAGE};
use bottleneck_truth::trial::{Denied, Trial};
use bottleneck_truth::{DENIED, programs, table};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_default();
    if name == "--list" {
        for program in table::programs() {
            println!("{:4} {:24} {}", program.number, program.name, program.truth);
        }
        return ExitCode::SUCCESS;
    }
    if name == "--outsider" {
        programs::controls::disturb();
        return ExitCode::SUCCESS;
    }
    if name == "--peer" {
        let address = args.next().unwrap_or_default();
        return match programs::remote_tokens::answer(&address) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let Some(program) = table::find(&name) else {
        eprintln!("error: no program `{name}`\n{USAGE}");
        return ExitCode::from(2);
    };
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("error: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Some(measure) = options.measure {
        Portion::assume(measure);
    }
    match (program.run)(&Trial::new(program.name, options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Denied(why)) => {
            eprintln!("the label does not hold here now: {why}");
            ExitCode::from(DENIED)
        }
    }
}

//! Runs a program on the simulated CUDA driver: `on-simulated-gpu [KEY=VALUE ...] PROGRAM [ARGUMENTS ...]`.
//!
//! Bytes are not moved unless `data=1` says so: that takes the host's time, which a real device would not, and kernels compute
//! nothing anyway.

use std::process::{Command, ExitCode};

use cuda_sim::harness::Machine;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(why) => {
            #[expect(clippy::print_stderr, reason = "what went wrong, for who has started it")]
            {
                eprintln!("on-simulated-gpu: {why}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let mut arguments = std::env::args().skip(1).peekable();
    let mut machine = Machine::new().map_err(|why| why.to_string())?.with("data=0");
    while let Some(setting) = arguments.next_if(|it| it.contains('=')) {
        machine = machine.with(&setting);
    }
    let program = arguments.next().ok_or("no program is named")?;
    let mut command = Command::new(&program);
    let status = machine.prepare(command.args(arguments)).status();
    let status = status.map_err(|why| format!("{program}: {why}"))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

//! The `cargo-bottleneck` binary: hands the arguments to the library and ends with the code that it returns.

use std::process::ExitCode;

fn main() -> ExitCode {
    cargo_bottleneck::main(std::env::args_os())
}

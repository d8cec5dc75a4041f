//! What a span costs in cargo-bottleneck and in other recorders, side by side; see README.md.
//!
//! The process that the user starts runs itself once for every measurement, and prints a table of the medians. It ends
//! with 1 where a recorder that lost nothing is cheaper than ours, and with 2 where a measurement failed.

mod clock;
mod functions;
mod measure;
mod recorders;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use measure::{Cell, Measured};
use recorders::ALL;
use recorders::bottleneck::DIRECTORY_VARIABLE;
use table::{Row, Table};

const ROUNDS: usize = 25;

/// Freed memory is kept for the next allocation. Recorders that hand out large blocks would pay for fresh pages again and
/// again otherwise, or not, depending on the thread that they are used from.
const KEEP_MEMORY: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.trim_threshold=1073741824:glibc.malloc.mmap_threshold=33554432",
);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["measure", name, cell, folder] => child(name, cell, Path::new(folder)),
        [] => parent(ROUNDS),
        ["--rounds", rounds] => match rounds.parse() {
            Ok(rounds) if rounds > 0 => parent(rounds),
            Ok(_) | Err(_) => Err(format!("{rounds} is no number of rounds")),
        },
        _ => Err("usage: peers [--rounds N]".to_owned()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("peers: {error}");
        ExitCode::from(2)
    })
}

/// One measurement: the line that the parent reads.
fn child(name: &str, cell: &str, folder: &Path) -> Result<ExitCode, String> {
    let cell = Cell::ALL.into_iter().find(|known| known.name() == cell).ok_or("no such cell")?;
    println!("{}", measure::measure(name, cell, folder)?.to_line());
    Ok(ExitCode::SUCCESS)
}

/// All measurements, round by round, and the table.
fn parent(rounds: usize) -> Result<ExitCode, String> {
    let folder = std::env::temp_dir().join(format!("bottleneck-peers-{}", std::process::id()));
    let table = run_rounds(rounds, &folder);
    // Emptied after every measurement; a folder that is left over harms nobody.
    let _ = std::fs::remove_dir_all(&folder);
    let table = table?;
    print!("{table}");
    let cheaper = table.cheaper_than_ours();
    for line in &cheaper {
        println!("{line}");
    }
    Ok(if cheaper.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_rounds(rounds: usize, folder: &Path) -> Result<Table, String> {
    let mut rows: Vec<Row> = ALL.iter().map(|(name, _)| Row::new(name)).collect();
    for round in 0..rounds {
        for cell in Cell::ALL {
            for at in 0..rows.len() {
                // Each round begins with another recorder: none always comes after the same neighbor.
                let row = &mut rows[(at + round) % ALL.len()];
                row.push(cell, in_new_process(row.name, cell, folder)?);
            }
        }
    }
    Ok(Table { rows, rounds })
}

/// Runs this program for one measurement.
fn in_new_process(name: &str, cell: Cell, folder: &Path) -> Result<Measured, String> {
    let failed = |why: String| format!("{name}, {}: {why}", cell.name());
    // The profile of the measurement before this one must not be read for this one.
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
    let program: PathBuf = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let output = Command::new(program)
        .args(["measure", name, cell.name()])
        .arg(folder)
        .env(DIRECTORY_VARIABLE, folder)
        .env(KEEP_MEMORY.0, KEEP_MEMORY.1)
        .output()
        .map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .rev()
        .find_map(Measured::from_line)
        .ok_or_else(|| failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

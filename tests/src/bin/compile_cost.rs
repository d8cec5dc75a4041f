//! What `#[bottleneck]` costs to compile: a crate of 800 functions with the attribute against the same crate without.
//!
//! `cargo run -p bottleneck-tests --bin compile_cost [-- --release]`. Only the user's crate counts: dependencies are built
//! before. The figure is CPU time of the compiler (user and system), median of the rounds, both crates built in turn. Other
//! load on the machine still shows in it, so the smallest round is printed too.

use std::fmt::Write as _;
use std::io::Write as _;
use std::mem::MaybeUninit;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

const N_SYNC: usize = 600;
const N_ASYNC: usize = 200;
const N_ROUNDS: usize = 7;
/// Milliseconds per function that the attribute may add in a dev build.
const LIMIT_MS: f64 = 3.0;

fn main() -> ExitCode {
    let release = std::env::args().any(|it| it == "--release");
    match measure(release) {
        Ok((plain, annotated)) => report(release, &plain, &annotated),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "cannot measure: {error}");
            ExitCode::from(2)
        }
    }
}

fn report(release: bool, plain: &[f64], annotated: &[f64]) -> ExitCode {
    let n = (N_SYNC + N_ASYNC) as f64;
    let per_function = |pick: fn(&[f64]) -> f64| (pick(annotated) - pick(plain)) * 1000.0 / n;
    let median = per_function(median);
    let profile = if release { "release" } else { "dev" };
    let _ = writeln!(
        std::io::stdout(),
        "{profile}: plain {:.2} s, annotated {:.2} s, {median:.2} ms per function (of the smallest: {:.2} ms)",
        self::median(plain),
        self::median(annotated),
        per_function(smallest),
    );
    if !release && LIMIT_MS <= median { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// CPU seconds of each round, without and with the attribute.
fn measure(release: bool) -> std::io::Result<(Vec<f64>, Vec<f64>)> {
    let folder = tempfile::tempdir()?;
    let crates = [("plain", ""), ("annotated", "#[bottleneck_runtime::bottleneck]\n")];
    for (name, attribute) in crates {
        write_crate(&folder.path().join(name), name, attribute)?;
    }
    let (mut plain, mut annotated) = (Vec::new(), Vec::new());
    for round in 0..=N_ROUNDS {
        for (name, _) in crates {
            let seconds = build(&folder.path().join(name), &folder.path().join("target"), release)?;
            // The first round builds the dependencies.
            if 0 < round {
                if name == "plain" { plain.push(seconds) } else { annotated.push(seconds) }
            }
        }
    }
    Ok((plain, annotated))
}

fn write_crate(folder: &Path, name: &str, attribute: &str) -> std::io::Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    std::fs::create_dir_all(folder.join("src"))?;
    std::fs::write(
        folder.join("Cargo.toml"),
        format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
             bottleneck-runtime = {{ path = \"{}\" }}\n",
            workspace.join("bottleneck-runtime").display()
        ),
    )?;
    // The versions of the workspace, so that nothing has to be fetched.
    std::fs::copy(workspace.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    std::fs::write(folder.join("src/lib.rs"), source(attribute))
}

fn source(attribute: &str) -> String {
    let mut text = String::from("//! Generated.\n");
    for i in 0..N_SYNC {
        let _ = writeln!(
            text,
            "{attribute}pub fn sync_{i}(values: &[u64], factor: u64) -> Option<u64> {{\n    \
             let mut sum = 0_u64;\n    for value in values {{ sum = sum.checked_add(value * factor)?; }}\n    \
             if sum == {i} {{ return None; }}\n    Some(sum)\n}}"
        );
    }
    for i in 0..N_ASYNC {
        let _ = writeln!(
            text,
            "{attribute}pub async fn async_{i}(values: &[u64], factor: u64) -> Result<u64, String> {{\n    \
             let first = *values.first().ok_or(\"empty\")?;\n    std::future::ready(first).await;\n    \
             Ok(first * factor + {i})\n}}"
        );
    }
    text
}

fn build(folder: &Path, target: &Path, release: bool) -> std::io::Result<f64> {
    let source = folder.join("src/lib.rs");
    let text = std::fs::read(&source)?;
    std::fs::write(&source, text)?;
    let before = cpu_seconds_of_children();
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--offline"])
        .args(release.then_some("--release"))
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_INCREMENTAL", "0")
        .stdin(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(std::io::Error::other(format!("the build in {} failed", folder.display())));
    }
    Ok(cpu_seconds_of_children() - before)
}

/// User and system time of every child that has ended.
fn cpu_seconds_of_children() -> f64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the call writes one `rusage` to the address, which is valid for that.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn smallest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

//! Checks the GPU path on whatever driver there is, with prebuilt programs: `gpu_check FOLDER`, where the folder holds
//! `cargo-bottleneck`, `gpu_decode` and `gpu_requests`. Ends with 1 if something is not as it should be. `tests/gpu-check.sh` makes
//! the folder and starts this.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use serde_json::Value;

/// A fault, its kind and its first rule; no rule where kernels are all that there is.
const FAULTS: [(&str, &str, Option<&str>); 9] = [
    ("host-starved", "io", Some("host-starved")),
    ("pageable", "io", Some("pageable-copies")),
    ("small-copies", "io", Some("small-copies")),
    ("serial-streams", "scheduling", Some("event-wait-chains")),
    ("default-stream", "scheduling", Some("default-stream")),
    ("sync-each", "scheduling", Some("sync-drain")),
    ("tiny-kernels", "scheduling", Some("launch-bound")),
    ("hbm-bound", "memory", None),
    ("flop-bound", "compute", None),
];
/// Times above this must be those of events, up to [`ALLOWED`].
const LONG_NS: f64 = 1e6;
const ALLOWED: f64 = 0.02;
/// Rounds with and without recording, in turns.
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1).map(PathBuf::from) else {
        eprintln!("usage: gpu_check FOLDER");
        return ExitCode::from(2);
    };
    let checks = Checks { folder };
    let results = [
        checks.faults(),
        checks.graph(),
        checks.counters(),
        checks.times(),
        checks.requests(),
        checks.injection(),
    ];
    checks.cost();
    if results.iter().all(|it| *it) {
        println!("all as it should be");
        ExitCode::SUCCESS
    } else {
        println!("NOT all as it should be");
        ExitCode::FAILURE
    }
}

struct Checks {
    folder: PathBuf,
}

/// Says a result, and passes it on.
fn say(is_right: bool, text: &str) -> bool {
    println!("{}  {text}", if is_right { "ok   " } else { "WRONG" });
    is_right
}

fn rules(summary: &Value) -> Vec<&str> {
    let rules = summary["gpu"]["rules"].as_array();
    rules.into_iter().flatten().filter_map(|it| it["rule"].as_str()).collect()
}

impl Checks {
    fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The report of a program under the command, and what the program printed.
    fn report(&self, flags: &[&str], program: &str, arguments: &[&str]) -> Option<(Value, String)> {
        let reports = self.folder.join("report");
        let mut command = Command::new(self.program("cargo-bottleneck"));
        command
            .args(["bottleneck", "run", "--quiet", "--format", "json"])
            .args(flags)
            .arg("--output")
            .arg(&reports);
        command
            .arg("--exec")
            .arg("--")
            .arg(self.program(program))
            .args(arguments)
            .current_dir(&self.folder);
        // The simulated driver logs one process, and computes its counters from the log.
        let truth = self.folder.join("truth.jsonl");
        let _ = std::fs::remove_file(&truth);
        if std::env::var_os("CUDA_SIM_TRUTH").is_some() {
            command.env("CUDA_SIM_TRUTH", truth);
        }
        let output = command.output().ok()?;
        if !output.status.success() {
            eprintln!(
                "{program} {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr)
            );
            return None;
        }
        let text = std::fs::read_to_string(reports.join("summary.json")).ok()?;
        let summary = serde_json::from_str(&text).ok()?;
        Some((summary, String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    fn faults(&self) -> bool {
        let mut is_right = true;
        let none = self.report(&[], "gpu_decode", &[]);
        let (name, found) =
            none.as_ref().map_or((String::new(), vec!["no report"]), |(summary, _)| {
                let device = &summary["gpu"]["devices"][0];
                (device["name"].as_str().unwrap_or_default().to_owned(), rules(summary))
            });
        println!("device: {name}");
        is_right &= say(found.is_empty(), &format!("without a fault: {found:?}"));
        for (fault, kind, rule) in FAULTS {
            let Some((summary, _)) = self.report(&[], "gpu_decode", &["--fault", fault]) else {
                is_right = say(false, &format!("{fault}: no report"));
                continue;
            };
            let (seen, rules) = (&summary["verdict"]["kind"], rules(&summary));
            let fits = *seen == kind && rules.first().copied() == rule;
            is_right &= say(fits, &format!("{fault}: {seen}, {rules:?}"));
            println!("       {}", summary["gpu"]["devices"][0]);
        }
        is_right
    }

    /// What a graph runs belongs to the span in which it was captured.
    fn graph(&self) -> bool {
        let arguments = ["--graph", "--fault", "hbm-bound"];
        let Some((summary, _)) = self.report(&[], "gpu_decode", &arguments) else {
            return say(false, "graph: no report");
        };
        let kernel = &summary["gpu"]["kernels"][0];
        let spans = summary["spans"].as_array();
        let span = spans.into_iter().flatten().find(|it| it["id"] == kernel["span"]);
        let name = span.map_or(&Value::Null, |it| &it["name"]);
        let (kind, count) = (&summary["verdict"]["kind"], &kernel["count"]);
        let fits = *kind == "memory" && *name == "layers" && *count == 16 * 400;
        say(fits, &format!("graph: {kind}, {count} kernels of {name}"))
    }

    /// Where the device counts, kernels that declare nothing are told apart.
    fn counters(&self) -> bool {
        let mut is_right = true;
        for (fault, expected) in [("hbm-bound", "memory"), ("flop-bound", "compute")] {
            let arguments = ["--undeclared", "--fault", fault];
            let Some((summary, _)) = self.report(&[], "gpu_decode", &arguments) else {
                return say(false, "counters: no report");
            };
            let (kind, device) = (&summary["verdict"]["kind"], &summary["gpu"]["devices"][0]);
            let is_counted = summary["gpu"]["level"] == "counters";
            let expected = if is_counted { expected } else { "inconclusive" };
            is_right &= say(*kind == expected, &format!("{fault}, undeclared: {kind}"));
            println!("       {} {}", device["counters"], device["not_counted"]);
        }
        is_right
    }

    /// Kernels and copies of `gpu_decode --measure`, which times them by events of its own.
    fn times(&self) -> bool {
        let Some((summary, printed)) = self.report(&[], "gpu_decode", &["--measure"]) else {
            return say(false, "times: no report");
        };
        let by_events: Vec<(&str, f64)> = printed
            .lines()
            .filter_map(|line| line.strip_prefix("event "))
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(name, ns)| Some((name, ns.parse().ok()?)))
            .collect();
        let mut is_right =
            say(by_events.len() >= 3, &format!("times by events: {}", by_events.len()));
        for (name, ns) in by_events {
            let found = recorded_ns(&summary, name);
            let off = found.map_or(f64::INFINITY, |found| (found / ns - 1.0).abs());
            let fits = ns < LONG_NS || off <= ALLOWED;
            let text = format!(
                "{name}: {} ns recorded, {ns} ns by events, {:.2} % off",
                found.unwrap_or(0.0),
                100.0 * off
            );
            is_right &= say(fits, &text);
        }
        is_right
    }

    fn requests(&self) -> bool {
        let Some((summary, _)) = self.report(&[], "gpu_requests", &[]) else {
            return say(false, "requests: no report");
        };
        let kernels = summary["gpu"]["kernels"].as_array();
        let rows: Vec<_> =
            kernels.into_iter().flatten().map(|it| (&it["name"], &it["count"])).collect();
        let sum: u64 = rows.iter().filter_map(|it| it.1.as_u64()).sum();
        say(sum == 3200, &format!("requests on four threads: {rows:?}"))
    }

    /// `gpu_plain` knows nothing of us.
    fn injection(&self) -> bool {
        let library = self.folder.join("libbottleneck_gpu.so");
        let library = library.display().to_string();
        let Some((summary, _)) = self.report(&["--gpu-lib", &library], "gpu_plain", &[]) else {
            return say(false, "a program without annotations: no report");
        };
        let kernels = summary["gpu"]["kernels"].as_array().map_or(0, Vec::len);
        say(kernels > 0, &format!("a program without annotations: {kernels} rows of kernels"))
    }

    /// Time of many tiny kernels with recording and without, in turns.
    fn cost(&self) {
        let arguments = ["--fault", "tiny-kernels", "--tokens", "200"];
        let launches = 400.0 * 200.0;
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let alone = Command::new(self.program("gpu_decode")).args(arguments).output().ok();
            without.extend(alone.and_then(|it| tokens_per_s(&String::from_utf8_lossy(&it.stdout))));
            with.extend(
                self.report(&[], "gpu_decode", &arguments)
                    .and_then(|(_, printed)| tokens_per_s(&printed)),
            );
        }
        let median = |all: &mut Vec<f64>| {
            all.sort_by(f64::total_cmp);
            all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
        };
        let (with, without) = (median(&mut with), median(&mut without));
        let ns = (200.0 / with - 200.0 / without) * 1e9 / launches;
        println!(
            "cost   {ns:.0} ns more for each launch ({with:.1} tokens/s recorded, {without:.1} not; medians of {ROUNDS})"
        );
    }
}

/// `400 tokens, 588.1 a second`.
fn tokens_per_s(printed: &str) -> Option<f64> {
    let line = printed.lines().find(|line| line.ends_with(" a second"))?;
    line.split_ascii_whitespace().nth(2)?.parse().ok()
}

/// Median of a kernel, or of copies, that a report has.
fn recorded_ns(summary: &Value, name: &str) -> Option<f64> {
    if let Some(direction) = name.strip_prefix("copy-") {
        let copies = summary["gpu"]["copies"].as_array()?;
        let row =
            copies.iter().max_by_key(|it| (it["direction"] == direction, it["bytes"].as_u64()))?;
        return Some(row["ns"].as_f64()? / row["count"].as_f64()?);
    }
    let kernels = summary["gpu"]["kernels"].as_array()?;
    kernels.iter().find(|it| it["name"] == name)?["median_ns"].as_f64()
}

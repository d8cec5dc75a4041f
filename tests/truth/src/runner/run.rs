//! One run of one program under the command, and without it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use bottleneck_tests::NOT_ALLOWED_HERE;
use bottleneck_tests::command::{Ran, bottleneck, cargo, workspace};
use bottleneck_tests::neighbors::Neighbors;
use serde_json::Value;

use super::achieved::Achieved;
use super::judge::{Judgement, Seen, Truth};
use super::tier::Tier;
use crate::DENIED;
use crate::table::Program;

/// A run is disturbed if others had a larger share of the CPUs meanwhile, and is made again, at most so often.
pub const MOST_FOR_OTHERS: f64 = 0.1;
const AGAIN: usize = 2;

/// What one run is.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Which program.
    pub program: &'static Program,
    /// With which evidence.
    pub tier: Tier,
    /// Of its data.
    pub seed: u32,
    /// How long the recorded part is.
    pub seconds: f64,
    /// Whether the program checks its label first.
    pub oracle: bool,
    /// With the change that takes its bottleneck away.
    pub is_after: bool,
    /// The measure of the core by which portions of compute are made, so that several runs do the same work.
    pub measure: Option<f64>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A verdict.
    Judged(Judgement, Box<Seen>),
    /// A verdict, but other programs had more than [`MOST_FOR_OTHERS`] of the CPUs.
    Disturbed(Judgement, Box<Seen>),
    /// The program says that its label does not hold here now.
    Denied(String),
    /// This machine cannot run it at this tier.
    Skipped(String),
    /// It did not end well.
    Failed(String),
}

/// One run.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was to be done.
    pub plan: Plan,
    /// What came of it.
    pub outcome: Outcome,
    /// What the program found out about itself.
    pub truth: Truth,
    /// Share of the time that a cause other than memory takes, if its oracle tells it.
    pub cause_share: Option<f64>,
    /// Seconds of the recorded part, and those of them that only prepared.
    pub seconds: Option<(f64, f64)>,
    /// The oracle's line.
    pub oracle: Option<Value>,
    /// Passes of the recorded part.
    pub passes: Option<f64>,
    /// Passes of the recorded part in a second.
    pub per_second: Option<f64>,
    /// The measure of the core that it took.
    pub measure: Option<f64>,
    /// A checksum of the results.
    pub checksum: Option<String>,
    /// The whole report.
    pub summary: Option<Value>,
    /// The share of the CPUs that other programs had meanwhile.
    pub others: f64,
}

impl Plan {
    fn arguments(&self) -> Vec<String> {
        let yes = |it| if it { "yes" } else { "no" };
        let (seed, seconds) = (self.seed.to_string(), self.seconds.to_string());
        let size = if self.seed.is_multiple_of(2) { "large" } else { "small" };
        let pairs = [
            ("--seed", seed.as_str()),
            ("--size", size),
            ("--declare", yes(self.tier.is_declared)),
            ("--oracle", yes(self.oracle)),
            ("--seconds", seconds.as_str()),
        ];
        let mut res = vec![self.program.name.to_owned()];
        res.extend(pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_owned()]));
        if let Some(measure) = self.measure {
            res.extend(["--measure".to_owned(), measure.to_string()]);
        }
        if self.is_after {
            res.push("--after".to_owned());
        }
        res
    }

    /// Runs it under the command, and once more where others disturbed that: the last run counts.
    #[must_use]
    pub fn run_undisturbed(self) -> Row {
        let mut res = self.run();
        for _ in 0..AGAIN {
            // A label may be denied because of others, too.
            if res.others <= MOST_FOR_OTHERS || matches!(res.outcome, Outcome::Skipped(_)) {
                break;
            }
            res = self.run();
        }
        res
    }

    /// Runs it under the command.
    #[must_use]
    pub fn run(self) -> Row {
        let target = bottleneck().target().display().to_string();
        let base = ["run", "--target-dir", &target, "--message-format", "json"];
        let base =
            base.into_iter().chain(["-p", "bottleneck-truth", "--bin", "truth-program", "--"]);
        let args = base.map(str::to_owned).chain(self.arguments());
        let command = if self.tier.is_refused {
            let confined = confined().display().to_string();
            bottleneck().command_within(&[&confined, "no-perf", "--"], workspace(), args)
        } else {
            bottleneck().command(workspace(), args)
        };
        let neighbors = Neighbors::start();
        let ran = Ran::of(command);
        self.row(&ran, neighbors.share())
    }

    /// Runs the program alone; it is built by an earlier run under the command.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn run_alone(self, program: &Path) -> Row {
        let mut command = Command::new(program);
        command.args(self.arguments()).stdin(Stdio::null());
        let neighbors = Neighbors::start();
        let ran: Ran = command.output().expect("the program was just run").into();
        self.row(&ran, neighbors.share())
    }

    fn row(self, ran: &Ran, others: f64) -> Row {
        let lines: Vec<Value> =
            ran.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let with = |field: &str| lines.iter().find(|line| line.get(field).is_some());
        let oracle = with("oracle").cloned();
        let of_oracle = |field: &str| oracle.as_ref().and_then(|it| it[field].as_f64());
        let truth = Truth { memory: of_oracle("truth_share"), achieved: Achieved::of(&lines) };
        let cause_share = of_oracle("cause_share");
        let result = with("passes");
        let summary = with("summary").map(|line| line["summary"].clone());
        let last =
            || ran.stderr.lines().rev().find(|line| !line.is_empty()).unwrap_or("").to_owned();
        let denied = oracle
            .as_ref()
            .and_then(|it| it["oracle"].as_str()?.strip_prefix("denied: "))
            .map(str::to_owned);
        let outcome = match (ran.code, &summary, denied) {
            (_, _, Some(why)) => Outcome::Denied(why),
            (Some(code), _, _) if code == i32::from(DENIED) && result.is_none() => {
                // Both `confined` and the programs end with 77.
                debug_assert_eq!(DENIED, NOT_ALLOWED_HERE);
                Outcome::Skipped(last())
            }
            (Some(0), Some(summary), None) => {
                let seen = Seen::of(summary);
                let judgement = seen.judge(self.program, truth);
                if others > MOST_FOR_OTHERS {
                    Outcome::Disturbed(judgement, Box::new(seen))
                } else {
                    Outcome::Judged(judgement, Box::new(seen))
                }
            }
            (code, _, _) => Outcome::Failed(format!("exit code {code:?}: {}", last())),
        };
        Row {
            plan: self,
            outcome,
            truth,
            cause_share,
            seconds: result.and_then(|it| {
                let prepared = with("preparing").and_then(|it| it["preparing"]["seconds"].as_f64());
                Some((it["seconds"].as_f64()?, prepared.unwrap_or(0.0)))
            }),
            passes: result.and_then(|it| it["passes"].as_f64()),
            per_second: result.and_then(|it| it["per_second"].as_f64()),
            measure: with("portion").and_then(|it| it["portion"]["measure"].as_f64()),
            checksum: result.and_then(|it| it["checksum"].as_str()).map(str::to_owned),
            oracle,
            summary,
            others,
        }
    }
}

impl Row {
    /// The share of its cause, as the program measured it.
    #[must_use]
    pub fn truth_share(&self) -> Option<f64> {
        let of_mix = self.truth.achieved.map(|it| it.parts[0]);
        self.truth.memory.or(of_mix).or(self.cause_share)
    }

    /// Passes in a second of work, without what only prepared them.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let (all, preparing) = self.seconds?;
        Some(self.passes? / (all - preparing)).filter(|it| it.is_finite() && 0.0 < *it)
    }

    /// One line.
    #[must_use]
    pub fn line(&self) -> String {
        let Plan { program, tier, seed, seconds, .. } = self.plan;
        let truth = self.truth_share().map_or("    ".to_owned(), |it| format!("{it:4.2}"));
        let head =
            format!("{:26} {:17} {seed} {seconds:3} s  truth {truth}", program.name, tier.name());
        let rest = match &self.outcome {
            Outcome::Judged(judgement, seen) | Outcome::Disturbed(judgement, seen) => format!(
                "{:9}  expected {:10} seen {} / {} ({}), memory {:.2}",
                judgement.word(),
                program.expected.kind,
                seen.kind,
                seen.subkind.as_deref().unwrap_or("-"),
                seen.confidence,
                seen.share("memory"),
            ),
            Outcome::Denied(why) => format!("label off  {why}"),
            Outcome::Skipped(why) => format!("skipped    {why}"),
            Outcome::Failed(why) => format!("FAILED     {why}"),
        };
        let is_disturbed = matches!(self.outcome, Outcome::Disturbed(..));
        let mark = if is_disturbed { "does not count: " } else { "" };
        format!("{head}  {mark}{rest}; others {:.0} %", 100.0 * self.others)
    }

    /// The program's binary, as the command ran it.
    #[must_use]
    pub fn binary(&self) -> Option<PathBuf> {
        let command = &self.summary.as_ref()?["command"];
        command.as_array()?.first()?.as_str().map(PathBuf::from)
    }
}

/// The program that refuses `perf_event_open` to its children, built.
fn confined() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = bottleneck().target();
        let mut build =
            cargo(workspace(), ["build", "-p", "bottleneck-tests", "--bin", "confined"]);
        let status = build.arg("--target-dir").arg(target).status().expect("cargo starts");
        assert!(status.success(), "confined cannot be built");
        target.join("debug/confined")
    })
}

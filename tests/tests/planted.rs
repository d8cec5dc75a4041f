//! `cargo bottleneck run` on every example whose bottleneck is planted: kind, sub-kind and the span to start at, with the
//! records of the kernel and without.
//!
//! `PLANTED_RUNS=5` runs each of them five times (one is the default), `PLANTED=slow_peer,spin_lock` these only, and
//! `-- --nocapture` shows the table also where all is well. A run whose own oracle says that the label does not hold on
//! this machine now is shown, and does not count. Where `PLANTED_RUNS` is not set, a wrong verdict beside busy programs of
//! others is shown too, and the run is made again.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests and what they share: a panic fails them"
)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use bottleneck_tests::NOT_ALLOWED_HERE;
use bottleneck_tests::command::{Ran, bottleneck, workspace};
use bottleneck_tests::label::{Judged, Label};
use bottleneck_tests::neighbors::Neighbors;

/// The one program that only the kernel's records tell apart from one that computes: without them it may abstain.
const MAY_ABSTAIN: &str = "spin_lock";

/// A run is disturbed if others had a larger share of the CPUs meanwhile, and is made again, at most this often.
const MOST_FOR_OTHERS: f64 = 0.1;
const AGAIN: usize = 2;

/// How long a program runs.
const SECONDS: &str = "2";

/// What the report can rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    /// Whatever this machine gives.
    Plain,
    /// No records of context switches, as in most containers.
    NoPerf,
}

/// What came of one run.
#[derive(Clone, Debug)]
enum Outcome {
    Judged(Judged),
    /// Judged, but the program says that its label does not hold on this machine now.
    NoLabel(Judged),
    Failed(String),
    /// This machine cannot do it.
    Skipped(String),
}

/// One run, as a line of the table.
#[derive(Clone, Debug)]
struct Row {
    name: String,
    tier: Tier,
    expected: Label,
    outcome: Outcome,
    /// The share of the CPUs that other programs had meanwhile.
    others: f64,
    /// Wrong, disturbed, and made again.
    is_replaced: bool,
}

impl Row {
    fn of_run(name: &str, expected: &Label, tier: Tier) -> Self {
        let command = bottleneck();
        let target = command.target().to_str().unwrap();
        let args = ["run", "--target-dir", target, "--message-format", "json", "--example", name];
        let args = args.into_iter().chain(["--", SECONDS]);
        let neighbors = Neighbors::start();
        let ran = Ran::of(match tier {
            Tier::Plain => command.command(workspace(), args),
            Tier::NoPerf => {
                let within = [env!("CARGO_BIN_EXE_confined"), "no-perf", "--"];
                command.command_within(&within, workspace(), args)
            }
        });
        let others = neighbors.share();
        let row = |outcome| {
            let (name, expected) = (name.to_owned(), expected.clone());
            Self { name, tier, expected, outcome, others, is_replaced: false }
        };
        if tier == Tier::NoPerf && ran.code == Some(NOT_ALLOWED_HERE.into()) {
            return row(Outcome::Skipped(ran.stderr));
        }
        if ran.code != Some(0) {
            return row(Outcome::Failed(format!("exit code {:?}: {}", ran.code, ran.stderr)));
        }
        let judged = Judged::of(&ran.message()["summary"]);
        let oracle = ran.stdout.lines().find(|line| line.starts_with("oracle: "));
        let holds = oracle.is_none_or(|line| line.ends_with("the label holds"));
        row(if holds { Outcome::Judged(judged) } else { Outcome::NoLabel(judged) })
    }

    /// Runs it, and once more if that was disturbed: all runs, of which the last counts.
    fn of_undisturbed_run(name: &str, expected: &Label, tier: Tier) -> Vec<Self> {
        let mut res = vec![Self::of_run(name, expected, tier)];
        for _ in 0..AGAIN {
            let last = res.last_mut().unwrap();
            // Ceilings that move while a program runs, as those of a shared machine do, are a reason to abstain.
            let abstains = last.judged().is_some_and(|it| it.label.kind == "inconclusive");
            let is_disturbed =
                abstains || (MOST_FOR_OTHERS < last.others && last.judged().is_some());
            if last.is_ok() || !is_disturbed {
                break;
            }
            last.is_replaced = true;
            res.push(Self::of_run(name, expected, tier));
        }
        res
    }

    fn is_ok(&self) -> bool {
        match &self.outcome {
            Outcome::Judged(_) if self.is_replaced => true,
            Outcome::Judged(judged) => {
                let may_abstain = self.name == MAY_ABSTAIN && !judged.has_switches;
                judged.agrees_with(&self.expected)
                    || (may_abstain && judged.label.kind == "inconclusive")
            }
            Outcome::NoLabel(_) | Outcome::Skipped(_) => true,
            Outcome::Failed(_) => false,
        }
    }

    /// The verdict, if it counts.
    fn judged(&self) -> Option<&Judged> {
        match &self.outcome {
            Outcome::Judged(judged) => (!self.is_replaced).then_some(judged),
            Outcome::NoLabel(_) | Outcome::Failed(_) | Outcome::Skipped(_) => None,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (expected, tier) = (self.expected.to_string(), format!("{:?}", self.tier));
        write!(f, "{:20} {tier:7} {expected:27} ", self.name)?;
        match &self.outcome {
            Outcome::Judged(judged) | Outcome::NoLabel(judged) => {
                let (seen, share) = (judged.label.to_string(), 100.0 * judged.share);
                let Judged { confidence, label, .. } = judged;
                let span = label.start.as_deref().unwrap_or("-");
                write!(f, "{seen:27} {share:4.0} % {confidence:10} {span:20} ")?;
                write!(f, "{:5.0} % ", 100.0 * self.others)?;
                let anywhere = Label { start: None, ..self.expected.clone() };
                if self.is_replaced {
                    write!(f, "wrong and disturbed: made again")
                } else if self.judged().is_none() {
                    write!(f, "does not count: the program says its label is off")
                } else if self.is_ok() {
                    write!(f, "ok")
                } else if let (true, Some(start)) =
                    (judged.agrees_with(&anywhere), &self.expected.start)
                {
                    write!(f, "WRONG, start at {start}")
                } else {
                    write!(f, "WRONG")
                }
            }
            Outcome::Failed(why) => write!(f, "FAILED: {why}"),
            Outcome::Skipped(why) => write!(f, "skipped: {why}"),
        }
    }
}

/// The runs of one example; made once, by whichever test asks first. Never two at a time: they would take each other's
/// bandwidth.
fn rows(name: &str, expected: &Label, tier: Tier) -> Vec<Row> {
    static DONE: Mutex<BTreeMap<(String, Tier), Vec<Row>>> = Mutex::new(BTreeMap::new());
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || match std::env::var("PLANTED_RUNS") {
        Ok(runs) => {
            (0..runs.parse().unwrap()).map(|_: u32| Row::of_run(name, expected, tier)).collect()
        }
        Err(_) => Row::of_undisturbed_run(name, expected, tier),
    };
    done.entry((name.to_owned(), tier)).or_insert_with(make).clone()
}

/// Every example, or those of the variable `PLANTED`.
fn chosen() -> Vec<(String, Label)> {
    let mut res = Label::of_examples();
    if let Ok(names) = std::env::var("PLANTED") {
        res.retain(|(name, _)| names.split(',').any(|chosen| chosen == name));
    }
    res
}

fn check(tier: Tier) {
    let rows: Vec<Row> =
        chosen().iter().flat_map(|(name, label)| rows(name, label, tier)).collect();
    println!(
        "{:20} {:7} {:27} {:27} {:>6} {:10} {:20} {:>7}",
        "example", "tier", "expected", "seen", "share", "confidence", "span", "others"
    );
    for row in &rows {
        println!("{row}");
    }
    let wrong = rows.iter().filter(|row| !row.is_ok()).count();
    let counted = rows.iter().filter(|row| row.judged().is_some()).count();
    println!("{} runs, {counted} of them count, {wrong} wrong", rows.len());
    assert_eq!(wrong, 0, "verdicts are wrong, see the table");
}

#[test]
fn planted_bottlenecks_are_found() {
    check(Tier::Plain);
}

#[test]
fn planted_bottlenecks_are_found_where_the_kernel_refuses_its_records() {
    check(Tier::NoPerf);
}

/// The verdict on an example is of none of these kinds, whatever else it is.
#[track_caller]
fn check_never(example: &str, kinds: &[&str]) {
    let examples = chosen();
    let Some((name, label)) = examples.iter().find(|(name, _)| name == example) else { return };
    for tier in [Tier::Plain, Tier::NoPerf] {
        for row in rows(name, label, tier) {
            let is_it = |judged: &Judged| kinds.contains(&judged.label.kind.as_str());
            assert!(!row.judged().is_some_and(is_it), "{row}");
        }
    }
}

#[test]
fn waiting_for_who_computes_is_no_scheduling_problem() {
    check_never("many_handlers", &["scheduling"]);
    check_never("pool_for_a_caller", &["scheduling"]);
}

#[test]
fn a_server_without_clients_has_no_bottleneck_in_its_waits() {
    check_never("idle_server", &["scheduling", "io"]);
}

#[test]
fn every_example_is_listed_with_its_verdict() {
    let read = |path: &str| std::fs::read_to_string(workspace().join(path)).unwrap();
    let (page, manifest) = (read("examples/README.md"), read("examples/Cargo.toml"));
    for (name, label) in Label::of_examples() {
        let row = format!("| [`{name}`]({name}.rs) | {label} | ");
        assert!(page.contains(&row), "examples/README.md has no row `{row}`");
        assert!(manifest.contains(&format!("path = \"{name}.rs\"")), "{name} is in no manifest");
    }
}

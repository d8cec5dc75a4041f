//! What is run, in which order, and for how long: every program once before any is run again, so that a session that is cut
//! short has something to say of all.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::arguments::Arguments;
use super::cost;
use super::pairs::Pair;
use super::run::{Plan, Row};
use super::tier::Tier;
use crate::table::Program;

/// All that was measured.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The runs of full length.
    pub rows: Vec<Row>,
    /// Shorter ones.
    pub shorter: Vec<Row>,
    /// What recording costs, by program: one value for each pair of runs.
    pub costs: Vec<(&'static str, Vec<f64>)>,
    /// The same by the reports of these runs themselves.
    pub own_costs: Vec<f64>,
    /// Programs before and after the change that takes away their bottleneck.
    pub pairs: Vec<Pair>,
    /// What the time did not suffice for, if anything.
    pub left_out: Option<String>,
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Job {
    Verdict(Tier),
    Pair,
    Shorter(f64),
    Cost,
}

/// All jobs in their order, each with its program and the number of its round, from 1.
fn jobs(arguments: &Arguments) -> Vec<(u32, Job, &'static Program)> {
    let mut res = Vec::new();
    let Arguments { runs, cost, .. } = *arguments;
    for round in 1..=runs.max(cost) {
        let mut kinds: Vec<Job> = Vec::new();
        if round <= runs && arguments.verdicts {
            kinds.extend(arguments.tiers.iter().map(|tier| Job::Verdict(*tier)));
        }
        if round <= runs && arguments.pairs {
            kinds.push(Job::Pair);
        }
        if round == 1 {
            kinds.extend(arguments.lengths.iter().map(|seconds| Job::Shorter(*seconds)));
        }
        if round <= cost {
            kinds.push(Job::Cost);
        }
        for job in kinds {
            let programs = arguments.programs.iter().copied();
            let programs = programs.filter(|it| job != Job::Pair || it.has_after);
            res.extend(programs.map(|program| (round, job, program)));
        }
    }
    res
}

/// Runs everything, or what can be begun within the budget. `told` gets each run with the number of jobs done, of how many.
pub fn run(arguments: &Arguments, mut told: impl FnMut(&str)) -> Findings {
    let mut res = Findings::default();
    let mut binary: Option<PathBuf> = None;
    let (jobs, start) = (jobs(arguments), Instant::now());
    for (done, &(round, job, program)) in jobs.iter().enumerate() {
        let passed = start.elapsed();
        if arguments.budget.is_some_and(|budget| budget <= passed) {
            let left = jobs.len() - done;
            res.left_out = Some(format!("{left} of {} measurements", jobs.len()));
            break;
        }
        let progress = format!("{}/{} {}", done + 1, jobs.len(), minutes(passed));
        let tier = arguments.tiers.first().copied().unwrap_or(Tier::ALL[0]);
        let plan = Plan {
            program,
            tier,
            seed: round,
            seconds: arguments.seconds,
            oracle: true,
            is_after: false,
            measure: None,
        };
        let line = match job {
            Job::Verdict(tier) => {
                let row = Plan { tier, ..plan }.run_undisturbed();
                binary = binary.or_else(|| row.binary());
                let line = row.line();
                res.rows.push(row);
                line
            }
            Job::Pair => res.measure_pair(plan, &mut binary),
            Job::Shorter(seconds) => {
                let row = Plan { tier: Tier::ALL[0], seconds, ..plan }.run();
                let line = row.line();
                res.shorter.push(row);
                line
            }
            Job::Cost => res.measure_cost(plan, &mut binary),
        };
        told(&format!("{progress}  {line}"));
    }
    res
}

impl Findings {
    /// One more round of a pair: a report of the program as it is, and both versions alone.
    fn measure_pair(&mut self, plan: Plan, binary: &mut Option<PathBuf>) -> String {
        let same = |row: &&Row| {
            let Plan { program, tier, seed, .. } = row.plan;
            program.name == plan.program.name && tier == plan.tier && seed == plan.seed
        };
        let known = self.rows.iter().find(same).cloned();
        let row = known.unwrap_or_else(|| plan.run_undisturbed());
        if binary.is_none() {
            *binary = row.binary();
        }
        let at = self.pairs.iter().position(|it| it.program.name == plan.program.name);
        let at = at.unwrap_or_else(|| {
            self.pairs.push(Pair::new(plan.program));
            self.pairs.len() - 1
        });
        let pair = &mut self.pairs[at];
        pair.add(&row);
        if let Some(binary) = binary {
            pair.time(Plan { measure: row.measure, ..plan }, binary);
        }
        let number = |it: Option<f64>| it.map_or("none".to_owned(), |it| format!("{it:.2}"));
        let real = pair.speed_up().map(|it| it.median);
        let (verdict, planted) = (pair.advice(|it| it.verdict), pair.advice(|it| it.planted));
        format!(
            "{:26} what-if  real {}, verdict {} (bound {}), planted finding {} (bound {})",
            plan.program.name,
            number(real),
            number(verdict.gain),
            number(verdict.bound),
            number(planted.gain),
            number(planted.bound)
        )
    }

    /// One more pair of runs with and without recording.
    fn measure_cost(&mut self, plan: Plan, binary: &mut Option<PathBuf>) -> String {
        let name = plan.program.name;
        let plan = Plan { oracle: false, tier: Tier::ALL[0], ..plan };
        if binary.is_none() {
            *binary = plan.run().binary();
        }
        let found = binary.as_ref().and_then(|it| cost::measure(plan, it));
        let at = self.costs.iter().position(|it| it.0 == name);
        let at = at.unwrap_or_else(|| {
            self.costs.push((name, Vec::new()));
            self.costs.len() - 1
        });
        self.costs[at].1.extend(found.map(|it| it.longer));
        self.own_costs.extend(found.and_then(|it| it.own));
        let text =
            found.map_or("not measured".to_owned(), |it| format!("{:+.2} %", 100.0 * it.longer));
        format!("{name:26} recording costs {text}")
    }
}

/// As people write it.
#[must_use]
pub fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Arguments {
        Arguments::parse(line.split(' ').map(str::to_owned)).unwrap()
    }

    #[test]
    fn every_program_comes_once_before_any_comes_again() {
        let arguments = parsed("--runs 2 --cost 3 --only gemv,lock_convoy --tiers refused,records");
        let jobs = jobs(&arguments);
        let line = |at: usize| (jobs[at].0, jobs[at].1, jobs[at].2.name);
        let (refused, records) = (Job::Verdict(Tier::ALL[1]), Job::Verdict(Tier::ALL[0]));
        assert_eq!(line(0), (1, refused, "gemv"));
        assert_eq!(line(1), (1, refused, "lock_convoy"));
        assert_eq!(line(2), (1, records, "gemv"));
        // What cannot be taken away has no pair.
        assert_eq!((line(4), line(5)), ((1, Job::Pair, "lock_convoy"), (1, Job::Cost, "gemv")));
        assert_eq!((line(7).0, jobs.len()), (2, 7 + 7 + 2));
    }

    #[test]
    fn only_pairs_run_if_only_they_are_asked_for() {
        let jobs = jobs(&parsed("--pairs --runs 1"));
        assert!(jobs.len() > 8 && jobs.iter().all(|(_, job, _)| *job == Job::Pair));
        assert!(!parsed("--verdicts --runs 1").pairs);
    }

    #[test]
    fn nothing_is_begun_without_time() {
        let found = run(&parsed("--budget 0s --runs 1"), |line| panic!("{line}"));
        assert!(found.rows.is_empty() && found.left_out.is_some());
        assert_eq!(minutes(Duration::from_secs(125)), "2:05");
    }
}

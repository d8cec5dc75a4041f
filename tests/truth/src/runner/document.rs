//! The page that shows what came of all runs: method, machine, date, tables. Pure but for facts about this machine.

use std::fmt::Write as _;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use bottleneck_examples::host;

use super::cost::Interval;
use super::judge::Judgement;
use super::run::{Outcome, Row};
use super::tally::Tally;
use super::tier::Tier;
use crate::table::{Program, Set};

/// What is shown.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The runs of full length.
    pub rows: Vec<Row>,
    /// Shorter ones.
    pub shorter: Vec<Row>,
    /// What recording costs, by program.
    pub costs: Vec<(&'static str, Interval)>,
    /// Tables of other parts of the suite, as text of the page.
    pub further: Vec<String>,
}

const METHOD: &str = "# What the verdicts are worth

Programs whose bottleneck is known by construction run under `cargo bottleneck`, and this page compares its verdicts with
the truth. `cargo run -p bottleneck-truth --bin truth -- --write docs/TRUTH.md` makes it anew.

**Method.** Each program has one dominant cause, on data whose size comes from the caches of the machine. Before it is
recorded, and outside of spans, it checks its own label by clocks alone: the same code on data in a near cache against its
real data, or with the suspected resource doubled or taken away. Where that denies the label, the run does not count. The
true share of memory stalls is `1 - t(near) / t(real)`. A verdict is *right* if its kind is (a mix, a series and a
borderline program have several), *wrong* if it names another, *abstained* if it names none, *external* if it says that
others disturbed the run. A run beside which other programs had more than a tenth of the CPUs is made again, twice at most,
and does not count if it stays so; how many there are is told. Programs marked H were held out: no threshold was chosen by them. Seeds count up; odd ones take the
smaller size of data, even ones the larger.
";

impl Findings {
    /// The page.
    #[must_use]
    pub fn page(&self) -> String {
        let mut res = METHOD.to_owned();
        _ = writeln!(res, "\n**Machine.** {}", machine());
        _ = writeln!(res, "\n**Date.** {}", today());
        for tier in Tier::ALL {
            let tally = Tally::of(&self.rows, tier);
            if tally.judged().next().is_some() {
                _ = writeln!(res, "\n## With {tier}\n\n{}.\n\n{}", tally.totals(), tally.matrix());
                Self::shares(&mut res, &tally);
            }
        }
        self.wrong(&mut res);
        self.programs(&mut res);
        self.times(&mut res);
        self.cost(&mut res);
        for text in &self.further {
            _ = writeln!(res, "\n{text}");
        }
        res
    }

    fn shares(res: &mut String, tally: &Tally<'_>) {
        if let Some((error, runs)) = tally.memory_error() {
            _ = writeln!(
                res,
                "\nMean error of the share of memory: {error:.0} points, over the {runs} runs whose oracle knows it."
            );
        }
        let sweep = tally.sweep();
        if !sweep.is_empty() {
            let is_monotone = sweep.windows(2).all(|pair| pair[0].2 <= pair[1].2 + 0.02);
            let word = if is_monotone { "monotone" } else { "not monotone" };
            _ = writeln!(res, "\n| series | true share | seen |\n|---|---:|---:|");
            for (name, truth, seen) in sweep {
                _ = writeln!(res, "| {name} | {truth:.2} | {seen:.2} |");
            }
            _ = writeln!(res, "\nThe series is {word}.");
        }
    }

    fn wrong(&self, res: &mut String) {
        let wrong = |row: &&Row| matches!(row.outcome, Outcome::Judged(Judgement::Wrong, _));
        let lines: Vec<_> =
            self.rows.iter().filter(wrong).map(|row| format!("    {}", row.line())).collect();
        if !lines.is_empty() {
            _ = writeln!(res, "\n## Wrong\n\n{}", lines.join("\n"));
        }
    }

    /// One line for each program; one letter for each run.
    fn programs(&self, res: &mut String) {
        _ = write!(
            res,
            "\n## Programs\n\nOne letter for each run: r right, W wrong, a abstained, e external, d its label does not hold here, o other programs\nhad the CPUs, s skipped, F failed.\n\n| # | program | truth | expected | true share |"
        );
        for tier in Tier::ALL {
            _ = write!(res, " {} |", tier.name());
        }
        _ = writeln!(res, "\n|---|---|---|---|---:|---|---|---|---|");
        let mut programs: Vec<&Program> = Vec::new();
        for row in &self.rows {
            if !programs.iter().any(|known| known.name == row.plan.program.name) {
                programs.push(row.plan.program);
            }
        }
        for program in programs {
            let of = || self.rows.iter().filter(|row| row.plan.program.name == program.name);
            let truth = Interval::of(of().filter_map(Row::truth_share).collect());
            let truth = truth.map_or(String::new(), |it| format!("{:.2}", it.median));
            let mark = if program.set == Set::HoldOut { "H" } else { program.number };
            let expected = program
                .expected
                .also
                .iter()
                .fold(program.expected.kind.to_owned(), |all, also| all + ", " + also);
            _ = write!(
                res,
                "| {mark} | `{}` | {} | {expected} | {truth} |",
                program.name, program.truth
            );
            for tier in Tier::ALL {
                let letters: String =
                    of().filter(|row| row.plan.tier == tier).map(letter).collect();
                _ = write!(res, " {letters} |");
            }
            res.push('\n');
        }
        self.mixes(res);
    }

    /// Medians over the runs of each mix, against what its parts really were.
    fn mixes(&self, res: &mut String) {
        let mut lines = String::new();
        for tier in Tier::ALL {
            let tally = Tally::of(&self.rows, tier);
            for mix in tally.mixes() {
                let [first, second] = mix.kinds.map(|(sure, most)| {
                    if most - sure < 0.005 {
                        format!("{sure:.2}")
                    } else {
                        format!("{sure:.2} to {most:.2}")
                    }
                });
                _ = writeln!(
                    lines,
                    "| {} | {} | {} | {first}, {second} | {:.2}, {:.2} | {:+.0}, {:+.0} |",
                    mix.name,
                    tier.name(),
                    mix.runs,
                    mix.seen[0],
                    mix.seen[1],
                    mix.deltas[0],
                    mix.deltas[1]
                );
            }
        }
        if !lines.is_empty() {
            _ = writeln!(
                res,
                "\n| mix | tier | runs | true shares | seen | outside of the truth, points |\n|---|---|---:|---|---|---:|\n{lines}"
            );
        }
    }

    /// The shortest run from which on every verdict is right.
    fn times(&self, res: &mut String) {
        if self.shorter.is_empty() {
            return;
        }
        _ = writeln!(
            res,
            "\n## Time to the verdict\n\nThe shortest recorded part from which on the verdict is right and stays so, with records and nothing declared.\n\n| program | seconds |\n|---|---:|"
        );
        let tier = Tier::ALL[0];
        let all = || self.shorter.iter().chain(&self.rows).filter(|row| row.plan.tier == tier);
        let mut done: Vec<&str> = Vec::new();
        for row in &self.shorter {
            let name = row.plan.program.name;
            if done.contains(&name) {
                continue;
            }
            done.push(name);
            let mut runs: Vec<&Row> = all().filter(|it| it.plan.program.name == name).collect();
            runs.sort_by(|a, b| b.plan.seconds.total_cmp(&a.plan.seconds));
            let right = |row: &&&Row| matches!(row.outcome, Outcome::Judged(Judgement::Right, _));
            let shortest = runs.iter().take_while(right).last();
            let text = shortest.map_or("never".to_owned(), |row| format!("{}", row.plan.seconds));
            _ = writeln!(res, "| `{name}` | {text} |");
        }
    }

    fn cost(&self, res: &mut String) {
        if !self.costs.is_empty() {
            _ = writeln!(
                res,
                "\n## What recording costs\n\nTime of a pass with and without recording, runs in turns: the median and its interval (level 0.9).\n\n| program | median | interval |\n|---|---:|---|"
            );
        }
        for (name, Interval { median, low, high }) in &self.costs {
            let [median, low, high] = [median, low, high].map(|it| 100.0 * it);
            _ = writeln!(res, "| `{name}` | {median:+.2} % | {low:+.2} to {high:+.2} % |");
        }
        let own: Vec<f64> = self
            .rows
            .iter()
            .filter_map(|row| match &row.outcome {
                Outcome::Judged(_, seen) => seen.overhead,
                _ => None,
            })
            .collect();
        if let Some(it) = Interval::of(own.clone()) {
            let most = own.iter().copied().fold(0.0, f64::max);
            _ = writeln!(
                res,
                "\nBy the reports' own estimate: median {:.2} %, at most {:.2} %.",
                100.0 * it.median,
                100.0 * most
            );
        }
    }
}

fn letter(row: &Row) -> char {
    match &row.outcome {
        Outcome::Judged(Judgement::Right, _) => 'r',
        Outcome::Judged(Judgement::Wrong, _) => 'W',
        Outcome::Judged(Judgement::Abstained, _) => 'a',
        Outcome::Judged(Judgement::External, _) => 'e',
        Outcome::Denied(_) => 'd',
        Outcome::Skipped(_) => 's',
        Outcome::Failed(_) => 'F',
        Outcome::Disturbed(..) => 'o',
    }
}

fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mib =
        |bytes: Option<u64>| bytes.map_or("unknown".to_owned(), |it| format!("{} MiB", it >> 20));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{model}, {cpus} CPUs, last-level cache {}, {} of memory free, Linux {}.",
        mib(host::last_level_cache()),
        mib(host::available_memory()),
        kernel.trim()
    )
}

/// The date in UTC.
fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    let (year, month, day) = date(seconds / 86_400);
    format!("{year}-{month:02}-{day:02}")
}

/// Year, month and day of a day since 1970-01-01, in the proleptic Gregorian calendar: years begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + later, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(19_782), (2024, 2, 29));
        assert_eq!(date(20_453), (2025, 12, 31));
    }

    #[test]
    fn a_page_without_runs_says_how_it_is_made() {
        let page = Findings::default().page();
        assert!(
            page.contains("cargo run -p bottleneck-truth --bin truth")
                && page.contains("**Date.** 2")
        );
    }
}

//! Sections about times: what-if against real changes, the time to a verdict, and what recording costs.

use std::fmt::Write as _;

use super::Section;
use crate::runner::cost::Interval;
use crate::runner::judge::Judgement;
use crate::runner::pairs::{Advice, Pair};
use crate::runner::run::{Outcome, Row};
use crate::runner::session::Findings;
use crate::runner::tier::Tier;

fn number(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |it| format!("{it:.2}"))
}

/// A table of all pairs, and what they come to.
pub(super) fn what_if(findings: &Findings) -> Section {
    let body = (!findings.pairs.is_empty()).then(|| pairs(&findings.pairs));
    Section::new("What-if", body)
}

fn pairs(pairs: &[Pair]) -> String {
    let mut res = "Each program runs under the command; then it and its version without the bottleneck run alone, in turns (before, after,
after, before), so often as there are rounds, with portions of compute by one measure of the core. *Real* is the ratio of their work per second without preparation, and its
range; *gain* the estimate of the report, by its verdict and by the finding that names the planted cause; *error* is
`|gain / real - 1|`.

| program | real | gain | bound | error | gain of the planted finding | bound | error | advice |
|---|---|---:|---:|---:|---:|---:|---:|---|
"
    .to_owned();
    for pair in pairs {
        let speed_up = pair.speed_up();
        let real = speed_up.map_or("not measured".to_owned(), |it| {
            format!("{:.2} ({:.2} to {:.2})", it.median, it.low, it.high)
        });
        let (verdict, planted) = (pair.advice(|it| it.verdict), pair.advice(|it| it.planted));
        let gain = match (pair.estimates.is_empty(), verdict.gain) {
            (true, _) => format!("no report counts: {}", pair.not_counted.join("; ")),
            (false, None) => "no estimate".to_owned(),
            (false, gain) => number(gain),
        };
        let error = |advice: Advice| {
            let error = pair.error(advice.gain);
            error.map_or("-".to_owned(), |it| format!("{:.0} %", 100.0 * it))
        };
        let low = |advice: Advice| {
            let mark =
                if pair.is_bound_exceeded(advice.bound) { " (below the real one)" } else { "" };
            number(advice.bound) + mark
        };
        let next = pair.estimates.first().map_or("", |it| it.next.as_str());
        _ = writeln!(
            res,
            "| `{}` | {real} | {gain} | {} | {} | {} | {} | {} | {} |",
            pair.program.name,
            low(verdict),
            error(verdict),
            number(planted.gain),
            low(planted),
            error(planted),
            cell(next)
        );
    }
    _ = writeln!(res, "\n{}", summary(pairs));
    res
}

fn summary(pairs: &[Pair]) -> String {
    let errors = |place: fn(&Pair) -> Advice| {
        let errors: Vec<f64> = pairs.iter().filter_map(|it| it.error(place(it).gain)).collect();
        let count = errors.len();
        Interval::of(errors).map_or("no estimate".to_owned(), |it| {
            format!("median error {:.0} % over {count} pairs with an estimate", 100.0 * it.median)
        })
    };
    let names = |is: &dyn Fn(&Pair) -> bool| {
        let names: Vec<_> = pairs.iter().filter(|it| is(it)).map(|it| it.program.name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    format!(
        "{} pairs. By verdicts: {}. By planted findings: {}. Estimates above their own bounds: {}. Bounds more than 10 % below the \
         real speed-up: {}.",
        pairs.len(),
        errors(|it| it.advice(|it| it.verdict)),
        errors(|it| it.advice(|it| it.planted)),
        names(&Pair::is_above_its_bound),
        names(&|it| {
            it.is_bound_exceeded(it.advice(|it| it.verdict).bound)
                || it.is_bound_exceeded(it.advice(|it| it.planted).bound)
        })
    )
}

/// Text that ends no cell of a table.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// The shortest run from which on every verdict is right.
pub(super) fn times(findings: &Findings) -> Section {
    let body = (!findings.shorter.is_empty()).then(|| shortest(findings));
    Section::new("Time to the verdict", body)
}

fn shortest(findings: &Findings) -> String {
    let mut res = "The shortest recorded part from which on the verdict is right and stays so, with records and nothing declared.\n\n| program | seconds |\n|---|---:|\n".to_owned();
    let tier = Tier::ALL[0];
    let all = || findings.shorter.iter().chain(&findings.rows).filter(|row| row.plan.tier == tier);
    let mut done: Vec<&str> = Vec::new();
    let mut seconds: Vec<f64> = Vec::new();
    for row in &findings.shorter {
        let name = row.plan.program.name;
        if done.contains(&name) {
            continue;
        }
        done.push(name);
        let judged = |row: &&Row| matches!(row.outcome, Outcome::Judged(..));
        let mut runs: Vec<&Row> =
            all().filter(|it| it.plan.program.name == name).filter(judged).collect();
        runs.sort_by(|a, b| b.plan.seconds.total_cmp(&a.plan.seconds));
        let right = |row: &&&Row| matches!(row.outcome, Outcome::Judged(Judgement::Right, _));
        let shortest = runs.iter().take_while(right).last().map(|row| row.plan.seconds);
        let none = if runs.is_empty() { "no run counts" } else { "never" };
        let text = shortest.map_or(none.to_owned(), |it| format!("{it}"));
        if !runs.is_empty() {
            seconds.push(shortest.unwrap_or(f64::INFINITY));
        }
        _ = writeln!(res, "| `{name}` | {text} |");
    }
    if let Some(it) = Interval::of(seconds) {
        _ = writeln!(res, "\nThe median is {} s.", it.median);
    }
    res
}

/// By runs in turns, and by the reports themselves.
pub(super) fn cost(findings: &Findings) -> Section {
    let mut res = String::new();
    let of_programs =
        || findings.costs.iter().filter_map(|(name, all)| Some((name, Interval::of(all.clone())?)));
    if of_programs().next().is_some() {
        _ = writeln!(
            res,
            "Time of a pass with and without recording, runs in turns: the median and its interval (level 0.9; the range where there are few).\n\n| program | median | interval |\n|---|---:|---|"
        );
        for (name, Interval { median, low, high }) in of_programs() {
            let [median, low, high] = [median, low, high].map(|it| 100.0 * it);
            _ = writeln!(res, "| `{name}` | {median:+.2} % | {low:+.2} to {high:+.2} % |");
        }
        let medians = Interval::of(of_programs().map(|it| it.1.median).collect());
        if let Some(Interval { median, low, high }) = medians {
            let [median, low, high] = [median, low, high].map(|it| 100.0 * it);
            _ = writeln!(
                res,
                "\nOver the programs: median {median:+.2} %, interval {low:+.2} to {high:+.2} %."
            );
        }
    }
    let of_row = |row: &Row| match &row.outcome {
        Outcome::Judged(_, seen) => seen.overhead,
        _ => None,
    };
    let own = findings.rows.iter().filter_map(of_row);
    let own: Vec<f64> = own.chain(findings.own_costs.iter().copied()).collect();
    let most = own.iter().copied().fold(0.0, f64::max);
    if let Some(it) = Interval::of(own) {
        _ = writeln!(
            res,
            "\nBy the reports' own account (spans, handlers, the recorder's thread) of the time from start to end: median \
             {:.2} %, at most {:.2} %.",
            100.0 * it.median,
            100.0 * most
        );
    }
    Section::new("What recording costs", (!res.is_empty()).then_some(res))
}

//! Sections about verdicts: a matrix for each tier, what was wrong, what was not told, and every program and mix.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::measured::cell;
use super::{Section, causes};
use crate::runner::cost::Interval;
use crate::runner::judge::{Judgement, Seen};
use crate::runner::run::{Outcome, Row};
use crate::runner::session::Findings;
use crate::runner::tally::{Step, Tally};
use crate::runner::tier::Tier;
use crate::table::{self, Set};

/// The confusion matrix of a tier.
pub(super) fn matrix(findings: &Findings, tier: Tier) -> Section {
    let tally = Tally::of(&findings.rows, tier);
    let body = tally.judged().next().map(|_| format!("{}.\n\n{}", tally.totals(), tally.matrix()));
    Section::new(format!("With {tier}"), body)
}

/// All verdicts of a worth that count, with their rows.
fn judged(findings: &Findings, wanted: Judgement) -> impl Iterator<Item = (&Row, &Seen)> {
    findings.rows.iter().filter_map(move |row| match &row.outcome {
        Outcome::Judged(judgement, seen) if *judgement == wanted => Some((row, &**seen)),
        _ => None,
    })
}

/// Every wrong verdict with its line, and its cause as far as it is known.
pub(super) fn wrong(findings: &Findings) -> Section {
    let mut res =
        "| program | tier | seed | expected | headline | cause |\n|---|---|---:|---|---|---|\n"
            .to_owned();
    let mut count = 0;
    for (row, seen) in judged(findings, Judgement::Wrong) {
        let program = row.plan.program;
        count += 1;
        _ = writeln!(
            res,
            "| `{}` | {} | {} | {} | {} | {} |",
            program.name,
            row.plan.tier.name(),
            row.plan.seed,
            program.expected.kind,
            cell(&seen.headline),
            causes::of(program.name, &seen.kind)
        );
    }
    let res = if count == 0 { "No verdict that counts.\n".to_owned() } else { res };
    Section::new("Wrong verdicts", (!findings.rows.is_empty()).then_some(res))
}

/// What reports that name no kind say about it; alike ones of a program and tier in one line.
pub(super) fn abstained(findings: &Findings) -> Section {
    let mut alike: BTreeMap<(&str, Tier, String), usize> = BTreeMap::new();
    for (row, seen) in judged(findings, Judgement::Abstained) {
        let not_seen = seen.not_seen.first().map_or("", String::as_str);
        let reason: Vec<&str> =
            [seen.headline.as_str(), not_seen].into_iter().filter(|it| !it.is_empty()).collect();
        let key = (row.plan.program.name, row.plan.tier, cell(&reason.join("; ")));
        *alike.entry(key).or_default() += 1;
    }
    let mut res = "| program | tier | runs | reason |\n|---|---|---:|---|\n".to_owned();
    for ((name, tier, reason), count) in &alike {
        _ = writeln!(res, "| `{name}` | {} | {count} | {reason} |", tier.name());
    }
    let res = if alike.is_empty() { "No verdict that counts.\n".to_owned() } else { res };
    Section::new("Abstentions", (!findings.rows.is_empty()).then_some(res))
}

/// One line for each program; one letter for each run.
pub(super) fn programs(findings: &Findings) -> Section {
    let mut res = "One letter for each run: r right, W wrong, a abstained, e external, d its label does not hold here, o other programs
had the CPUs, s skipped, F failed; - not measured in this run.

| # | program | truth | expected | true share |"
        .to_owned();
    for tier in Tier::ALL {
        _ = write!(res, " {} |", tier.name());
    }
    _ = writeln!(res, "\n|---|---|---|---|---:|---|---|---|---|");
    for program in table::programs() {
        let of = || findings.rows.iter().filter(|row| row.plan.program.name == program.name);
        let truth = Interval::of(of().filter_map(Row::truth_share).collect());
        let truth = truth.map_or(String::new(), |it| format!("{:.2}", it.median));
        let mark = if program.set == Set::HoldOut { "H" } else { program.number };
        let also = program.expected.also.iter();
        let expected = also.fold(program.expected.kind.to_owned(), |all, also| all + ", " + also);
        _ = write!(
            res,
            "| {mark} | `{}` | {} | {expected} | {truth} |",
            program.name, program.truth
        );
        for tier in Tier::ALL {
            let letters: String = of().filter(|row| row.plan.tier == tier).map(letter).collect();
            _ = write!(res, " {} |", if letters.is_empty() { "-" } else { &letters });
        }
        res.push('\n');
    }
    res.push_str(&not_counted(findings));
    Section::new("Programs", (!findings.rows.is_empty()).then_some(res))
}

/// Why runs do not count, other than because of other programs; alike ones of a program in one line.
fn not_counted(findings: &Findings) -> String {
    let mut alike: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for row in &findings.rows {
        let why = match &row.outcome {
            Outcome::Denied(why) => format!("label off: {why}"),
            Outcome::Skipped(why) => format!("skipped: {why}"),
            Outcome::Failed(why) => format!("failed: {why}"),
            Outcome::Judged(..) | Outcome::Disturbed(..) => continue,
        };
        *alike.entry((row.plan.program.name, cell(&why))).or_default() += 1;
    }
    let mut res = String::new();
    if !alike.is_empty() {
        res.push_str("\n| program | runs that do not count | why |\n|---|---:|---|\n");
    }
    for ((name, why), count) in alike {
        _ = writeln!(res, "| `{name}` | {count} | {why} |");
    }
    res
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

/// Of a program at a tier.
#[derive(Default)]
struct Subkinds<'a> {
    expected: &'static [&'static str],
    right: usize,
    seen: BTreeMap<&'a str, usize>,
}

/// What was seen below the kind, where that is right.
pub(super) fn subkinds(findings: &Findings) -> Section {
    let mut seen: BTreeMap<(&str, Tier), Subkinds<'_>> = BTreeMap::new();
    for (row, found) in judged(findings, Judgement::Right) {
        let Some(is_right) = found.has_right_subkind(row.plan.program) else { continue };
        let key = (row.plan.program.name, row.plan.tier);
        let of_program = seen.entry(key).or_default();
        of_program.right += usize::from(is_right);
        *of_program.seen.entry(found.subkind.as_deref().unwrap_or("none")).or_default() += 1;
        of_program.expected = row.plan.program.expected.subkinds;
    }
    let mut res = "Of the runs whose kind is right.\n\n| program | tier | expected | right | seen |\n|---|---|---|---:|---|\n".to_owned();
    for ((name, tier), Subkinds { expected, right, seen }) in &seen {
        let runs: usize = seen.values().sum();
        let seen: Vec<String> =
            seen.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        _ = writeln!(
            res,
            "| `{name}` | {} | {} | {right} of {runs} | {} |",
            tier.name(),
            expected.join(" or "),
            seen.join(", ")
        );
    }
    Section::new("Sub-kinds", (!seen.is_empty()).then_some(res))
}

/// Medians over the runs of each mix, against what its parts really were.
pub(super) fn mixes(findings: &Findings) -> Section {
    let mut lines = String::new();
    let (mut near, mut all) = (0, 0);
    for tier in Tier::ALL {
        for mix in Tally::of(&findings.rows, tier).mixes() {
            all += 1;
            near += usize::from(mix.is_near());
            let [first, second] = mix.kinds.map(|(sure, most)| {
                let is_one = most - sure < 0.005;
                if is_one { format!("{sure:.2}") } else { format!("{sure:.2} to {most:.2}") }
            });
            let ([a, b], [c, d]) = (mix.seen, mix.deltas);
            _ = writeln!(
                lines,
                "| `{}` | {} | {} | {first}; {second} | {a:.2}; {b:.2} | {c:+.0}; {d:+.0} |",
                mix.name,
                tier.name(),
                mix.runs
            );
        }
    }
    let body = format!(
        "Medians over the runs. True shares are those that the run measured itself: of the first part, and of the second; a range
where a part is not all of its kind (in a convoy, one CPU computes). {near} of {all} are within 15 points.

| mix | tier | runs | true shares | seen | outside of the truth, points |
|---|---|---:|---|---|---:|
{lines}"
    );
    Section::new("Mixes", (0 < all).then_some(body))
}

/// The share of memory stalls against the one that oracles measured.
pub(super) fn memory(findings: &Findings) -> Section {
    let mut res = String::new();
    for tier in Tier::ALL {
        let tally = Tally::of(&findings.rows, tier);
        let Some((error, runs)) = tally.memory_error() else { continue };
        _ = writeln!(
            res,
            "With {tier}: mean error of the estimated share of memory stalls {error:.0} points, over the {runs} runs whose oracle \
             measured it and whose report has an estimate."
        );
        let sweep = tally.sweep();
        if !sweep.is_empty() {
            let is_monotone = |of: fn(&Step) -> f64| {
                sweep.windows(2).all(|pair| of(&pair[0]) <= of(&pair[1]) + 0.02)
            };
            let is_monotone = is_monotone(|it| it.stalled) && is_monotone(|it| it.share);
            _ = writeln!(
                res,
                "\n| series | true stalls | estimated stalls | time of kind memory |\n|---|---:|---:|---:|"
            );
            for Step { name, truth, stalled, share } in sweep {
                _ = writeln!(res, "| `{name}` | {truth:.2} | {stalled:.2} | {share:.2} |");
            }
            let word = if is_monotone { "monotone" } else { "not monotone" };
            _ = writeln!(res, "\nThe series is {word} (steps of 2 points back are allowed).");
        }
        res.push('\n');
    }
    Section::new("Share of memory", (!res.is_empty()).then_some(res))
}

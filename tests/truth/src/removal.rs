//! Programs whose cause can be taken away: the oracle, and the version after the advice was followed, are the same change.

use std::time::Duration;

use crate::oracle::{Oracle, time};
use crate::trial::{Denied, Trial};

/// Rounds of the oracle, each with the cause and without.
const ROUNDS: usize = 5;
/// As many at most, while the label does not hold: other programs take from the version that uses more CPUs.
const ROUNDS_BESIDE_OTHERS: usize = 12;

/// One pass of a program, a fixed amount of work.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Without the cause.
    pub after: bool,
    /// With spans. The oracle has none: it is no part of the program.
    pub seen: bool,
}

/// Checks that the cause takes at least the share `least` of the time of a pass, by taking it away in turns; then records the
/// version that is asked for.
///
/// # Errors
/// If the label does not hold here.
pub fn run(trial: &Trial, least: f64, pass: impl FnMut(Pass) -> u64) -> Result<(), Denied> {
    run_from(trial, least, |_| (), pass)
}

/// As [`run`]; `prepare` is called before every pass, with whether the cause is taken away, and its time is not counted by the oracle.
///
/// # Errors
/// If the label does not hold here.
pub fn run_from(
    trial: &Trial,
    least: f64,
    mut prepare: impl FnMut(bool),
    mut pass: impl FnMut(Pass) -> u64,
) -> Result<(), Denied> {
    if !trial.is_after() {
        trial.check(|| {
            let mut round = |after| {
                prepare(after);
                time(|| pass(Pass { after, seen: false }))
            };
            round(false);
            let mut rounds = vec![(round(false), round(true))];
            loop {
                let found = oracle(least, &rounds);
                let is_over = found.holds.is_ok() || rounds.len() >= ROUNDS_BESIDE_OTHERS;
                if is_over && rounds.len() >= ROUNDS {
                    break found;
                }
                rounds.push((round(false), round(true)));
            }
        })?;
    }
    let mut preparing = Duration::ZERO;
    trial.record(|_| {
        preparing += time(|| prepare(trial.is_after()));
        pass(Pass { after: trial.is_after(), seen: true })
    });
    trial.tell("preparing", &[("seconds", preparing.as_secs_f64())]);
    Ok(())
}

/// Holds if what was taken away has at least the share `least` of the time: by the fastest round with it and the fastest one
/// without, because what others take only makes a round longer.
fn oracle(least: f64, rounds: &[(Duration, Duration)]) -> Oracle {
    let fastest = |one: fn(&(Duration, Duration)) -> Duration| {
        rounds.iter().map(one).min().unwrap_or_default()
    };
    let (with, without) = (fastest(|it| it.0), fastest(|it| it.1));
    let share = 1.0 - without.as_secs_f64() / with.as_secs_f64();
    Oracle::when(least <= share, || {
        format!("the cause takes {share:.2} of the time, at least {least} expected")
    })
    .with("with_ms", 1e3 * with.as_secs_f64())
    .with("without_ms", 1e3 * without.as_secs_f64())
    .with_cause(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_what_goes_with_the_cause() {
        let ms = Duration::from_millis;
        let rounds = [(ms(12), ms(9)), (ms(10), ms(4)), (ms(20), ms(5))];
        assert_eq!(oracle(0.6, &rounds).holds, Ok(()));
        let found = oracle(0.6, &rounds);
        assert_eq!((found.cause_share, found.truth_share), (Some(0.6), None));
        assert!(oracle(0.7, &rounds).holds.is_err_and(|why| why.contains("0.60 of the time")));
    }
}

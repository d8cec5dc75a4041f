//! Programs whose cause can be taken away: the oracle, and the version after the advice was followed, are the same change.

use std::time::Duration;

use crate::oracle::{Oracle, time};
use crate::trial::{Denied, Trial};

/// Rounds of the oracle, each with the cause and without.
const ROUNDS: usize = 5;

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
            oracle(least, (0..ROUNDS).map(|_| (round(false), round(true))).collect())
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

/// Holds if what was taken away has at least the share `least` of the time, in the median of the rounds.
fn oracle(least: f64, mut rounds: Vec<(Duration, Duration)>) -> Oracle {
    let share =
        |(with, without): &(Duration, Duration)| 1.0 - without.as_secs_f64() / with.as_secs_f64();
    rounds.sort_by(|a, b| share(a).total_cmp(&share(b)));
    let (with, without) = rounds[rounds.len() / 2];
    let share = share(&(with, without));
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
        let rounds = vec![(ms(10), ms(9)), (ms(10), ms(4)), (ms(20), ms(2))];
        assert_eq!(oracle(0.6, rounds.clone()).holds, Ok(()));
        let found = oracle(0.6, rounds.clone());
        assert_eq!((found.cause_share, found.truth_share), (Some(0.6), None));
        assert!(oracle(0.7, rounds).holds.is_err_and(|why| why.contains("0.60 of the time")));
    }
}

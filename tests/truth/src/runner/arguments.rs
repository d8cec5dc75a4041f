//! The arguments of `truth`.

use std::path::PathBuf;
use std::time::Duration;

use super::tier::Tier;
use crate::table::{self, Program};

/// How it is called.
pub const USAGE: &str = "usage: truth [--pairs|--verdicts] [--runs N] [--budget 20m] [--only NAME,...] [--tiers TIER,...] \
     [--seconds S] [--lengths S,...] [--cost N] [--write FILE]\n\
     tiers: records, refused, records-declared, refused-declared";

/// What to run.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// How often each program runs at each tier.
    pub runs: u32,
    /// Which programs.
    pub programs: Vec<&'static Program>,
    /// At which tiers.
    pub tiers: Vec<Tier>,
    /// How long the recorded part of a run is.
    pub seconds: f64,
    /// Shorter runs, by which the time to the verdict is found.
    pub lengths: Vec<f64>,
    /// Pairs of runs with and without recording.
    pub cost: u32,
    /// Whether verdicts are judged.
    pub verdicts: bool,
    /// Whether what-if is compared with real changes.
    pub pairs: bool,
    /// How long it may take; what is running is let end.
    pub budget: Option<Duration>,
    /// The page that is written.
    pub write: Option<PathBuf>,
}

impl Arguments {
    /// Reads them.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut res = Self {
            runs: 5,
            programs: table::programs().collect(),
            tiers: Tier::ALL.to_vec(),
            seconds: 2.0,
            lengths: Vec::new(),
            cost: 0,
            verdicts: true,
            pairs: true,
            budget: None,
            write: None,
        };
        let mut args = args.into_iter();
        while let Some(name) = args.next() {
            match name.as_str() {
                "--pairs" => {
                    res.verdicts = false;
                    continue;
                }
                "--verdicts" => {
                    res.pairs = false;
                    continue;
                }
                _ => {}
            }
            let value = args.next().ok_or_else(|| format!("no value behind `{name}`"))?;
            res.set(&name, &value).ok_or_else(|| format!("cannot read `{name} {value}`"))?;
        }
        Ok(res)
    }

    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "--runs" => self.runs = value.parse().ok()?,
            "--cost" => self.cost = value.parse().ok()?,
            "--seconds" => self.seconds = value.parse().ok()?,
            "--only" => self.programs = value.split(',').map(table::find).collect::<Option<_>>()?,
            "--tiers" => self.tiers = value.split(',').map(Tier::named).collect::<Option<_>>()?,
            "--lengths" => {
                let lengths = value.split(',').map(|it| it.parse().ok());
                self.lengths = lengths.collect::<Option<_>>()?;
            }
            "--budget" => self.budget = Some(time(value)?),
            "--write" => self.write = Some(value.into()),
            _ => return None,
        }
        Some(())
    }
}

/// `90s`, `20m`, `2h`.
fn time(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_tiers_are_chosen_by_name() {
        let line = "--runs 2 --only gemv,gemm --tiers refused --lengths 0.5,1 --write x.md";
        let parsed = Arguments::parse(line.split(' ').map(str::to_owned)).unwrap();
        let names: Vec<_> = parsed.programs.iter().map(|it| it.name).collect();
        assert_eq!((names, parsed.runs), (vec!["gemv", "gemm"], 2));
        assert!(parsed.tiers[0].is_refused && parsed.lengths == [0.5, 1.0]);
        let parsed = Arguments::parse(["--pairs", "--budget", "20m"].map(str::to_owned)).unwrap();
        assert_eq!(parsed.budget, Some(Duration::from_secs(1200)));
        assert!(parsed.pairs && !parsed.verdicts);
        for wrong in ["--only nothing", "--tiers best", "--runs", "--budget 20", "--budget m"] {
            assert!(Arguments::parse(wrong.split(' ').map(str::to_owned)).is_err());
        }
    }
}

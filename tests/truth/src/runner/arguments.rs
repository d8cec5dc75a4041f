//! The arguments of `truth`.

use std::path::PathBuf;

use super::tier::Tier;
use crate::table::{self, Program};

/// How it is called.
pub const USAGE: &str = "usage: truth [--runs N] [--only NAME,...] [--tiers TIER,...] [--seconds S] [--lengths S,...] \
     [--cost N] [--write FILE]\ntiers: records, refused, records-declared, refused-declared";

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
    pub cost: usize,
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
            write: None,
        };
        let mut args = args.into_iter();
        while let Some(name) = args.next() {
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
            "--write" => self.write = Some(value.into()),
            _ => return None,
        }
        Some(())
    }
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
        for wrong in ["--only nothing", "--tiers best", "--runs"] {
            assert!(Arguments::parse(wrong.split(' ').map(str::to_owned)).is_err());
        }
    }
}

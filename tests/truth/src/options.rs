//! The arguments of `truth-program`. Nothing here runs a program.

use std::time::Duration;

/// How a program is called.
pub const USAGE: &str = "usage: truth-program NAME [--seed N] [--size small|large] [--declare yes|no] [--seconds S] \
     [--passes N] [--oracle yes|no] [--measure S] [--before|--after]\n       truth-program --list";

/// How much data a program has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// As little as its label allows.
    Small,
    /// Twice that, or so.
    Large,
}

/// Which of two versions of a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// With its bottleneck.
    Before,
    /// With the change that the what-if of the report estimates.
    After,
}

/// What a program is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Of the values and ids; the same seed gives the same results.
    pub seed: u64,
    /// How much data.
    pub size: Size,
    /// Whether spans declare their work.
    pub declare: bool,
    /// How long the recorded part lasts.
    pub time: Duration,
    /// As many passes, however long they take.
    pub passes: Option<u32>,
    /// Whether the program checks its own label first.
    pub oracle: bool,
    /// The measure of the core by which portions of compute are made; of this process if there is none.
    pub measure: Option<f64>,
    /// Which version.
    pub variant: Variant,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            size: Size::Small,
            declare: false,
            time: Duration::from_secs(2),
            passes: None,
            oracle: true,
            measure: None,
            variant: Variant::Before,
        }
    }
}

impl Options {
    /// Reads the arguments behind the name of the program.
    ///
    /// # Errors
    /// Which argument cannot be read.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut res = Self::default();
        let mut args = args.into_iter();
        while let Some(name) = args.next() {
            match name.as_str() {
                "--before" => res.variant = Variant::Before,
                "--after" => res.variant = Variant::After,
                _ => {
                    let value = args.next().ok_or_else(|| format!("no value behind {name}"))?;
                    let known = res.set(&name, &value);
                    known.ok_or_else(|| format!("cannot read {name} {value}"))?;
                }
            }
        }
        Ok(res)
    }

    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "--seed" => self.seed = value.parse().ok()?,
            "--size" => self.size = choice(value, "small", Size::Small, "large", Size::Large)?,
            "--declare" => self.declare = choice(value, "yes", true, "no", false)?,
            "--oracle" => self.oracle = choice(value, "yes", true, "no", false)?,
            "--measure" => {
                self.measure = Some(value.parse().ok().filter(|it| (1e-9..1.0).contains(it))?);
            }
            "--passes" => self.passes = Some(value.parse().ok()?),
            "--seconds" => {
                let seconds = value.parse().ok().filter(|it| (0.0..=3600.0).contains(it))?;
                self.time = Duration::from_secs_f64(seconds);
            }
            _ => return None,
        }
        Some(())
    }
}

fn choice<T>(value: &str, first: &str, is_first: T, second: &str, is_second: T) -> Option<T> {
    match value {
        _ if value == first => Some(is_first),
        _ if value == second => Some(is_second),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        Options::parse(line.split_ascii_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_option_is_read() {
        let all = "--seed 7 --size large --declare yes --seconds 0.5 --passes 3 --oracle no --measure 3e-6 --after";
        let expected = Options {
            seed: 7,
            size: Size::Large,
            declare: true,
            time: Duration::from_millis(500),
            passes: Some(3),
            oracle: false,
            measure: Some(3e-6),
            variant: Variant::After,
        };
        assert_eq!(parsed(all), Ok(expected));
        assert_eq!(parsed(""), Ok(Options::default()));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for line in ["--size huge", "--seconds -1", "--declare", "--unknown 1"] {
            let name = line.split(' ').next().unwrap_or_default();
            assert!(parsed(line).is_err_and(|why| why.contains(name)), "{line}");
        }
    }
}

//! The command line.

use std::fmt::Display;
use std::str::FromStr;

/// Printed by `--help`.
pub(crate) const HELP: &str = "\
Generates text with a transformer on the CPU. The weights are random, so the text makes no sense; the work is real.

Usage: tiny_llm [OPTIONS]

Options:
      --size SIZE        `auto`: weights of four times the last-level cache; `small`: a few MiB; or a number of MiB
                         to stream per token [default: auto]
      --prompt TEXT      the text to continue
      --tokens N         tokens to generate [default: 32]
      --threads N        threads that share the rows of every matrix [default: 1]
      --seed N           seed of the sampling [default: 1]
      --temperature T    0 always takes the most likely token [default: 0.8]
      --top-k N          sample among the N most likely tokens [default: 40]
      --undeclared       no span declares its work
      --quiet            print the generated text only, which is the same in every run
  -h, --help             print this help
";

/// With the token before it 192 tokens: whole panels of the matrix kernel.
const PROMPT: &str = "A program is slow for a reason: it waits for memory, it computes, it moves data, or its work is \
                      divided badly. A profiler that only says where has answered half of the question. Why is it so?";

/// How many bytes a decode step shall stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// Four times the last-level cache.
    Auto,
    /// So many MiB.
    Mib(u64),
}

/// The options with their defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Args {
    pub(crate) size: Size,
    pub(crate) prompt: String,
    pub(crate) tokens: usize,
    pub(crate) threads: usize,
    pub(crate) seed: u64,
    pub(crate) temperature: f32,
    pub(crate) top_k: usize,
    pub(crate) undeclared: bool,
    pub(crate) quiet: bool,
    pub(crate) help: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            size: Size::Auto,
            prompt: PROMPT.to_owned(),
            tokens: 32,
            threads: 1,
            seed: 1,
            temperature: 0.8,
            top_k: 40,
            undeclared: false,
            quiet: false,
            help: false,
        }
    }
}

impl Args {
    /// Parses what follows the name of the program; values come as `--name value` or `--name=value`.
    ///
    /// # Errors
    /// What is wrong, as a sentence for the user.
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut res = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let (name, joined) = match arg.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (arg, None),
            };
            let mut value = || {
                joined
                    .clone()
                    .or_else(|| args.next())
                    .ok_or_else(|| format!("`{name}` needs a value; see `--help`"))
            };
            match name.as_str() {
                "--size" => res.size = parse_size(&value()?)?,
                "--prompt" => res.prompt = value()?,
                "--tokens" => res.tokens = in_range(&name, &value()?, 1..=100_000)?,
                "--threads" => res.threads = in_range(&name, &value()?, 1..=1024)?,
                "--seed" => res.seed = in_range(&name, &value()?, 0..=u64::MAX)?,
                "--temperature" => res.temperature = in_range(&name, &value()?, 0.0..=100.0)?,
                "--top-k" => res.top_k = in_range(&name, &value()?, 1..=256)?,
                "--undeclared" => res.undeclared = true,
                "--quiet" => res.quiet = true,
                "-h" | "--help" => res.help = true,
                _ => return Err(format!("there is no option `{name}`; see `--help`")),
            }
        }
        Ok(res)
    }
}

fn parse_size(text: &str) -> Result<Size, String> {
    match text {
        "auto" => Ok(Size::Auto),
        "small" => Ok(Size::Mib(3)),
        _ => in_range("--size", text, 1..=1 << 20).map(Size::Mib).map_err(|_| {
            format!(
                "`--size` is `auto`, `small` or a number of MiB from 1 to 1048576, not `{text}`"
            )
        }),
    }
}

fn in_range<T>(name: &str, text: &str, range: std::ops::RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    text.parse().ok().filter(|value| range.contains(value)).ok_or_else(|| {
        format!("`{name}` takes a number from {} to {}, not `{text}`", range.start(), range.end())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, String> {
        Args::parse(args.iter().map(ToString::to_string))
    }

    #[test]
    fn values_come_joined_or_apart() {
        let expected =
            Args { tokens: 5, size: Size::Mib(3), prompt: "a=b".into(), ..Args::default() };
        assert_eq!(parse(&["--tokens=5", "--size", "small", "--prompt=a=b"]), Ok(expected));
        assert!(parse(&["--undeclared"]).unwrap().undeclared);
        assert_eq!(parse(&["--size", "100"]).unwrap().size, Size::Mib(100));
    }

    #[test]
    fn mistakes_are_named() {
        for (args, expected) in [
            (&["--tokens", "0"][..], "`--tokens` takes a number from 1 to 100000, not `0`"),
            (&["--temperature", "NaN"], "`--temperature` takes a number from 0 to 100, not `NaN`"),
            (
                &["--size", "big"],
                "`--size` is `auto`, `small` or a number of MiB from 1 to 1048576, not `big`",
            ),
            (&["--seed"], "`--seed` needs a value; see `--help`"),
            (&["--fast"], "there is no option `--fast`; see `--help`"),
        ] {
            assert_eq!(parse(args).unwrap_err(), expected);
        }
    }

    #[test]
    fn the_default_prompt_fills_the_panels_of_the_kernel() {
        assert_eq!(Args::default().prompt.len() + 1, 192);
    }
}

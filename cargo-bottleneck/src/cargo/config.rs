//! Cargo's configuration, as far as it decides how a program is run: `[env]`, runners, the target to build for, `[term]`.
//!
//! Cargo merges its files, `--config` flags and includes by itself and prints the result with `cargo config get`. That
//! subcommand is unstable, so a stable cargo needs `RUSTC_BOOTSTRAP` for this one call; if cargo refuses, the
//! configuration counts as empty and the user is told what then does not apply.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use cargo_metadata::cargo_platform::{Cfg, Platform};
use serde_json::Value;

use crate::cargo::Cargo;
use crate::cargo::inherited::Inherited;
use crate::error::Error;
use crate::exit_code::ExitCode;

/// The merged configuration.
#[derive(Debug, Default)]
pub struct Config {
    values: Value,
    /// The same with the origin of each value, one per line; asked for only where it decides.
    origins: String,
    /// What `--config` flags name: either of these is the origin of what they set, and comes before the environment.
    flags: Vec<String>,
    is_unknown: bool,
}

/// One entry of `[env]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvEntry {
    /// Name of the variable.
    pub name: String,
    /// Its value, made absolute where the entry is `relative`.
    pub value: OsString,
    /// Whether it replaces a variable of the user.
    pub force: bool,
}

impl Config {
    /// Asks cargo, with the user's `--config` flags.
    ///
    /// # Errors
    /// If cargo cannot be started.
    pub fn load(cargo: &Cargo<'_>, config_flags: &[OsString]) -> Result<Self, Error> {
        let Some(json) = ask(cargo, config_flags, &["--format", "json"])? else {
            return Ok(Self { is_unknown: true, ..Self::default() });
        };
        let values = serde_json::from_str(json.trim()).unwrap_or_default();
        let flags = config_flags.iter().filter(|word| *word != "--config").map(origin_of_flag);
        let mut config =
            Self { values, flags: flags.collect(), origins: String::new(), is_unknown: false };
        if !config.flags.is_empty() || config.has_relative_paths() {
            config.origins = ask(cargo, config_flags, &["--format", "toml", "--show-origin"])?
                .unwrap_or_default();
        }
        Ok(config)
    }

    /// Whether cargo refused to say: its configuration cannot be read, or it is too old or too new for the question.
    pub fn is_unknown(&self) -> bool {
        self.is_unknown
    }

    /// The strings at a path of keys, such as `["build", "target"]`: of a `--config` flag, else of the environment, else
    /// of a file. A single value is a list of one.
    pub fn strings(&self, inherited: &Inherited, path: &[&str]) -> Vec<String> {
        let value = path.iter().try_fold(&self.values, |value, key| value.get(key));
        let of_file = || match value {
            Some(Value::Array(list)) => list.iter().filter_map(text_of).collect(),
            other => other.and_then(text_of).into_iter().collect(),
        };
        if self.is_set_by_flag(&path.join(".")) {
            return of_file();
        }
        let variable = format!("CARGO_{}", path.join("_").to_uppercase().replace('-', "_"));
        match inherited.get(&variable) {
            Some(value) => vec![value.to_string_lossy().into_owned()],
            None => of_file(),
        }
    }

    /// The same where there is one value, or none.
    pub fn string(&self, inherited: &Inherited, path: &[&str]) -> Option<String> {
        self.strings(inherited, path).into_iter().next()
    }

    /// Whether a configuration file defines `[profile.NAME]`.
    pub fn has_profile(&self, name: &str) -> bool {
        self.values.get("profile").and_then(|profiles| profiles.get(name)).is_some()
    }

    /// `[env]`, in order of names.
    pub fn env(&self) -> Vec<EnvEntry> {
        let entries = self.values.get("env").and_then(Value::as_object).into_iter().flatten();
        entries.filter_map(|(name, entry)| self.env_entry(name, entry)).collect()
    }

    /// The runner of a target with its arguments, as cargo would choose it. `cfgs` is asked for only if a table of the
    /// form `target.'cfg(...)'` has a runner.
    ///
    /// # Errors
    /// If two such tables match, as in cargo, or `cfgs` fails.
    pub fn runner(
        &self,
        inherited: &Inherited,
        triple: &str,
        cfgs: impl FnOnce() -> Result<Vec<Cfg>, Error>,
    ) -> Result<Option<Vec<OsString>>, Error> {
        let variable =
            format!("CARGO_TARGET_{}_RUNNER", triple.to_uppercase().replace(['-', '.'], "_"));
        // A program with a slash is relative to the current folder, even if it starts elsewhere.
        let from_environment = inherited
            .get(&variable)
            .map(|value| with_folder(words(&value.to_string_lossy()), current_folder));
        let tables = self.values.get("target").and_then(Value::as_object);
        let exact = tables
            .and_then(|tables| tables.get(triple)?.get("runner"))
            .map(|value| self.runner_of(triple, value));
        let by_triple =
            if names_of_table(triple, "runner").iter().any(|key| self.is_set_by_flag(key)) {
                exact.or(from_environment)
            } else {
                from_environment.or(exact)
            };
        if by_triple.is_some() {
            return Ok(by_triple);
        }
        let conditional: Vec<(&String, &Value)> = tables
            .into_iter()
            .flatten()
            .filter(|(key, _)| key.starts_with("cfg("))
            .filter_map(|(key, table)| Some((key, table.get("runner")?)))
            .collect();
        if conditional.is_empty() {
            return Ok(None);
        }
        let cfgs = cfgs()?;
        let matches = |key: &str| {
            key.parse::<Platform>().is_ok_and(|platform| platform.matches(triple, &cfgs))
        };
        let matching: Vec<_> = conditional.into_iter().filter(|(key, _)| matches(key)).collect();
        match matching[..] {
            [] => Ok(None),
            [(key, runner)] => Ok(Some(self.runner_of(key, runner))),
            [(first, _), (second, _), ..] => {
                let what =
                    "several matching instances of `target.'cfg(..)'.runner` in configurations";
                Err(Error::new(ExitCode::BuildFailed, what)
                    .why(format!("`{first}` and `{second}` both match")))
            }
        }
    }

    fn env_entry(&self, name: &str, entry: &Value) -> Option<EnvEntry> {
        let flag = |key: &str| entry.get(key).and_then(Value::as_bool).unwrap_or(false);
        let value = entry.as_str().or_else(|| entry.get("value")?.as_str())?;
        let value = if flag("relative") {
            let directory = self.directory_of(&[format!("env.{name}.value")]);
            directory.join(value).into_os_string()
        } else {
            value.into()
        };
        Some(EnvEntry { name: name.to_owned(), value, force: flag("force") })
    }

    fn runner_of(&self, table: &str, value: &Value) -> Vec<OsString> {
        let runner = match value {
            Value::Array(list) => {
                list.iter().filter_map(|word| Some(word.as_str()?.into())).collect()
            }
            other => words(other.as_str().unwrap_or_default()),
        };
        // A program with a slash is relative to the folder of the configuration file; one without is in `PATH`.
        with_folder(runner, || self.directory_of(&names_of_table(table, "runner")))
    }

    fn has_relative_paths(&self) -> bool {
        let has_relative_entry =
            |entry: &Value| entry.get("relative").and_then(Value::as_bool).unwrap_or(false);
        let has_relative_runner = |table: &Value| {
            let runner = table.get("runner");
            let program =
                runner.and_then(|runner| runner.as_str().or_else(|| runner.get(0)?.as_str()));
            program.is_some_and(|program| program.contains('/') && !program.starts_with('/'))
        };
        let any = |key: &str, test: &dyn Fn(&Value) -> bool| {
            self.values
                .get(key)
                .and_then(Value::as_object)
                .is_some_and(|table| table.values().any(test))
        };
        any("env", &has_relative_entry) || any("target", &has_relative_runner)
    }

    /// The folder that paths of the value with this key are relative to: the one that holds `.cargo/config.toml`, or for
    /// a `--config KEY=VALUE` the current one.
    fn directory_of(&self, keys: &[String]) -> PathBuf {
        let origin = keys.iter().find_map(|key| self.origins_of(key).into_iter().next());
        let file = origin.map(Path::new).filter(|path| path.is_absolute());
        match file.and_then(|file| file.parent()?.parent()) {
            Some(directory) => directory.to_owned(),
            None => current_folder(),
        }
    }

    fn is_set_by_flag(&self, key: &str) -> bool {
        self.origins_of(key).iter().any(|origin| self.flags.iter().any(|flag| flag == origin))
    }

    /// Where the value with this key is from; a list has an origin for each element, on a line of its own.
    fn origins_of(&self, key: &str) -> Vec<&str> {
        let mut lines = self.origins.lines().skip_while(|line| {
            !line.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '=']))
        });
        let Some(first) = lines.next() else {
            return Vec::new();
        };
        let of_line = |line| -> Option<&str> { Some(str::rsplit_once(line, " # ")?.1.trim()) };
        if first.ends_with('[') {
            lines.take_while(|line| !line.starts_with(']')).filter_map(of_line).collect()
        } else {
            of_line(first).into_iter().collect()
        }
    }
}

fn ask(
    cargo: &Cargo<'_>,
    config_flags: &[OsString],
    more: &[&str],
) -> Result<Option<String>, Error> {
    let mut args: Vec<OsString> =
        ["get", "-Zunstable-options"].iter().chain(more).map(OsString::from).collect();
    args.extend(config_flags.iter().cloned());
    let mut command = cargo.command("config", &args);
    command.env("RUSTC_BOOTSTRAP", "1");
    let output = command.output().map_err(|error| cargo.cannot_start(&error))?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// What cargo names as the origin of what a `--config` flag sets.
fn origin_of_flag(flag: &OsString) -> String {
    if Path::new(flag).exists() {
        current_folder().join(flag).to_string_lossy().into_owned()
    } else {
        "--config cli option".to_owned()
    }
}

/// The ways to write a key below `target.TABLE`.
fn names_of_table(table: &str, key: &str) -> [String; 3] {
    [
        format!("target.{table}.{key}"),
        format!("target.\"{table}\".{key}"),
        format!("target.'{table}'.{key}"),
    ]
}

fn with_folder(mut words: Vec<OsString>, folder: impl FnOnce() -> PathBuf) -> Vec<OsString> {
    if let Some(program) = words.first_mut().filter(|program| is_relative_path(program)) {
        *program = folder().join(&*program).into_os_string();
    }
    words
}

fn current_folder() -> PathBuf {
    std::env::current_dir().unwrap_or_default()
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(is_on) => Some(is_on.to_string()),
        _ => None,
    }
}

fn words(text: &str) -> Vec<OsString> {
    text.split_whitespace().map(OsString::from).collect()
}

fn is_relative_path(program: &OsStr) -> bool {
    program.to_string_lossy().contains('/') && Path::new(program).is_relative()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HOST: &str = "x86_64-unknown-linux-gnu";

    fn config(values: Value, origins: &str) -> Config {
        Config { values, origins: origins.to_owned(), ..Config::default() }
    }

    fn runner_with(config: &Config, variables: &[(&str, &str)]) -> Option<Vec<OsString>> {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let inherited = Inherited::from_variables(variables, None);
        config.runner(&inherited, HOST, || Ok(vec!["unix".parse().unwrap()])).unwrap()
    }

    fn os(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn env_entries_are_read_in_every_form() {
        let values = json!({"env": {
            "PLAIN": "x",
            "FORCED": {"value": "y", "force": true},
            "REL": {"value": "some/dir", "relative": true},
        }});
        let origins = "env.REL.relative = true # /w/.cargo/config.toml\nenv.REL.value = \"some/dir\" # /w/.cargo/config.toml";
        let entry = |name: &str, value: &str, force| EnvEntry {
            name: name.into(),
            value: value.into(),
            force,
        };
        assert_eq!(
            config(values, origins).env(),
            [
                entry("FORCED", "y", true),
                entry("PLAIN", "x", false),
                entry("REL", "/w/some/dir", false)
            ]
        );
    }

    #[test]
    fn a_runner_of_the_environment_comes_before_one_of_a_file() {
        let config = config(json!({"target": {HOST: {"runner": ["env", "A=1"]}}}), "");
        assert_eq!(runner_with(&config, &[]), Some(os(&["env", "A=1"])));
        let variable = [("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "nice -n 5")];
        assert_eq!(runner_with(&config, &variable), Some(os(&["nice", "-n", "5"])));
    }

    #[test]
    fn a_runner_with_a_slash_is_relative_to_its_file() {
        let origins =
            format!("target.{HOST}.runner = [\n    \"tools/run\", # /w/.cargo/config.toml\n]");
        let config = config(json!({"target": {HOST: {"runner": ["tools/run", "-x"]}}}), &origins);
        assert_eq!(runner_with(&config, &[]), Some(os(&["/w/tools/run", "-x"])));
    }

    #[test]
    fn a_conditional_runner_applies_where_its_condition_holds() {
        let of = |condition: &str| config(json!({"target": {condition: {"runner": "nice"}}}), "");
        assert_eq!(runner_with(&of("cfg(unix)"), &[]), Some(os(&["nice"])));
        assert_eq!(runner_with(&of("cfg(windows)"), &[]), None);
    }

    #[test]
    fn two_conditional_runners_are_an_error_as_in_cargo() {
        let config = config(
            json!({"target": {"cfg(unix)": {"runner": "a"}, "cfg(not(windows))": {"runner": "b"}}}),
            "",
        );
        let error = config
            .runner(&Inherited::default(), HOST, || Ok(vec!["unix".parse().unwrap()]))
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("several matching instances of `target.'cfg(..)'.runner`")
        );
    }

    #[test]
    fn a_flag_comes_before_the_environment_and_that_before_a_file() {
        let variables = [("CARGO_TERM_QUIET".into(), "true".into())].into();
        let inherited = Inherited::from_variables(variables, None);
        let values = json!({"term": {"quiet": false}, "build": {"target": ["a", "b"]}});
        let of_file = "term.quiet = false # /w/.cargo/config.toml";
        let mut config = config(values, of_file);
        config.flags = vec!["--config cli option".to_owned()];
        assert_eq!(config.string(&inherited, &["term", "quiet"]).as_deref(), Some("true"));
        config.origins = "term.quiet = false # --config cli option".to_owned();
        assert_eq!(config.string(&inherited, &["term", "quiet"]).as_deref(), Some("false"));
        assert_eq!(config.string(&inherited, &["term", "color"]), None);
        assert_eq!(config.strings(&inherited, &["build", "target"]), ["a", "b"]);
    }
}

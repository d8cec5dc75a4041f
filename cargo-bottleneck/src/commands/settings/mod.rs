//! Options that need not be given anew each time: flag, else variable, else the manifest of the package, else that of the
//! workspace, else the default.
//!
//! A key that nobody knows is a warning with the one that may be meant; a value that cannot be meant is an error. Nothing
//! here reads a file or asks cargo.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::cargo::inherited::{FALLBACK_FILE, Inherited, RUN_DIR};
use crate::commands::duration;
use crate::commands::gpu_library::GpuLibrary;
use crate::commands::pipeline::{Format, Options};
use crate::commands::present::{Destination, MessageFormat, Presentation};
use crate::commands::profile::Profile;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::status::Status;

/// Options as they are given in one place; `None` where that place does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Files to write.
    pub formats: Option<Vec<Format>>,
    /// Where to write them: a folder, or one file.
    pub output: Option<PathBuf>,
    /// Whether to open the picture.
    pub open: Option<bool>,
    /// For whom the verdict is.
    pub message_format: Option<MessageFormat>,
    /// How long the program may run.
    pub duration: Option<Duration>,
    /// What to build with.
    pub profile: Option<Profile>,
    /// The library that sees devices, if it is asked for.
    pub gpu: Option<GpuLibrary>,
}

/// A table `[package.metadata.bottleneck]` or `[workspace.metadata.bottleneck]`.
#[derive(Clone, Debug)]
pub struct Table<'a> {
    /// `package` or `workspace`.
    pub owner: &'static str,
    /// The whole `metadata` table of the owner.
    pub metadata: &'a Value,
    /// Its `Cargo.toml`.
    pub manifest: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Format,
    Output,
    Open,
    MessageFormat,
    Duration,
    Profile,
}

impl Key {
    const ALL: [Self; 6] = [
        Self::Format,
        Self::Output,
        Self::Open,
        Self::MessageFormat,
        Self::Duration,
        Self::Profile,
    ];

    /// As in a manifest, and as the flag.
    fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Output => "output",
            Self::Open => "open",
            Self::MessageFormat => "message-format",
            Self::Duration => "duration",
            Self::Profile => "profile",
        }
    }

    fn variable(self) -> String {
        format!("{PREFIX}{}", self.name().to_uppercase().replace('-', "_"))
    }
}

/// What the names of all our variables begin with.
const PREFIX: &str = "BOTTLENECK_";
/// Variables that are no configuration.
const OTHER_VARIABLES: [&str; 2] = [RUN_DIR, FALLBACK_FILE];

/// A value with the place that it comes from, for messages.
struct Given<'a> {
    key: Key,
    value: Value,
    /// The full name: `BOTTLENECK_OPEN`, ``package.metadata.bottleneck.open``.
    name: String,
    /// The manifest, if it is from one.
    manifest: Option<&'a Path>,
}

/// Everything that the user has set, by falling precedence: `flags`, the variables, the tables in their order.
///
/// # Errors
/// If a value has a wrong type or makes no sense, wherever it is.
pub fn layered(
    flags: &Settings,
    inherited: &Inherited,
    tables: &[Table<'_>],
    status: Status,
) -> Result<Settings, Error> {
    let mut settings = flags.clone();
    let mut used = Vec::new();
    let from_tables = tables.iter().flat_map(|table| of_table(table, status));
    for given in of_environment(inherited, status).into_iter().chain(from_tables) {
        let parsed = given.settings()?;
        if settings.fill(parsed) {
            used.push(format!("{} = {} (`{}`)", given.key.name(), shown(&given.value), given.name));
        }
    }
    if !used.is_empty() {
        status.detail("Settings", used.join(", "));
    }
    Ok(settings)
}

fn of_environment(inherited: &Inherited, status: Status) -> Vec<Given<'static>> {
    let names: Vec<String> = Key::ALL.into_iter().map(Key::variable).collect();
    let mut given = Vec::new();
    for (name, value) in inherited.variables() {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        match Key::ALL.into_iter().find(|key| key.variable() == name) {
            // An empty variable is how a shell takes one back for a single command.
            Some(_) if value.is_empty() => {}
            Some(key) => {
                let value = Value::String(value.to_string_lossy().into_owned());
                given.push(Given { key, value, name: name.to_owned(), manifest: None });
            }
            None if OTHER_VARIABLES.contains(&name) => {}
            // The program may have variables with our prefix: only a likely slip is worth a word.
            None => {
                if let Some(meant) = nearest(name, &names) {
                    status.warning(format_args!(
                        "unknown variable `{name}` has no effect\n  fix: did you mean `{meant}`?"
                    ));
                }
            }
        }
    }
    given
}

fn of_table<'a>(table: &'a Table<'_>, status: Status) -> Vec<Given<'a>> {
    let full_name = |key: &str| format!("{}.metadata.bottleneck.{key}", table.owner);
    let names: Vec<String> = Key::ALL.into_iter().map(|key| key.name().to_owned()).collect();
    let entries = table.metadata.get("bottleneck").and_then(Value::as_object);
    let mut given = Vec::new();
    for (name, value) in entries.into_iter().flatten() {
        if let Some(key) = Key::ALL.into_iter().find(|key| key.name() == name) {
            let (value, name) = (value.clone(), full_name(name));
            given.push(Given { key, value, name, manifest: Some(&table.manifest) });
        } else {
            let fix = match nearest(name, &names) {
                Some(meant) => format!("did you mean `{}`?", full_name(meant)),
                None => format!("known keys: {}", names.join(", ")),
            };
            status.warning(format_args!(
                "unknown key `{}` in `{}` has no effect\n  fix: {fix}",
                full_name(name),
                table.manifest.display()
            ));
        }
    }
    given
}

impl Given<'_> {
    fn settings(&self) -> Result<Settings, Error> {
        let mut settings = Settings::default();
        match self.key {
            Key::Format => settings.formats = Some(self.formats()?),
            Key::Output => settings.output = Some(self.output()?),
            Key::Open => settings.open = Some(self.open()?),
            Key::MessageFormat => {
                let form = "write \"human\", \"short\" or \"json\"";
                let format = MessageFormat::named(self.text(form)?);
                settings.message_format = Some(format.ok_or_else(|| self.unfit(form))?);
            }
            Key::Duration => settings.duration = Some(self.duration()?),
            Key::Profile => {
                let form = "write the name of a profile, such as \"release\"";
                settings.profile = Some(Profile::named(self.text(form)?));
            }
        }
        Ok(settings)
    }

    fn formats(&self) -> Result<Vec<Format>, Error> {
        let names: Vec<&str> = Format::ALL.into_iter().map(Format::name).collect();
        let form = format!("write a list of {}, such as [\"svg\", \"json\"]", names.join(", "));
        let texts: Vec<&str> = match &self.value {
            Value::String(text) => text.split(',').map(str::trim).collect(),
            Value::Array(list) => list
                .iter()
                .map(|value| value.as_str().ok_or_else(|| self.unfit(&form)))
                .collect::<Result<_, _>>()?,
            _ => return Err(self.unfit(&form)),
        };
        let format = |text: &str| Format::ALL.into_iter().find(|format| format.name() == text);
        texts.into_iter().map(|text| format(text).ok_or_else(|| self.unfit(&form))).collect()
    }

    fn output(&self) -> Result<PathBuf, Error> {
        let path = Path::new(self.text("write the path of a folder or a file")?);
        // As everything in a manifest, relative to its folder.
        Ok(self.manifest.and_then(Path::parent).map_or_else(|| path.to_owned(), |it| it.join(path)))
    }

    fn open(&self) -> Result<bool, Error> {
        let form = "write true or false";
        match &self.value {
            Value::Bool(open) => Ok(*open),
            // Variables are all text.
            Value::String(text) if self.manifest.is_none() => match &**text {
                "true" | "1" => Ok(true),
                "false" | "0" => Ok(false),
                _ => Err(self.unfit(form)),
            },
            _ => Err(self.unfit(form)),
        }
    }

    fn duration(&self) -> Result<Duration, Error> {
        let parsed = match &self.value {
            Value::String(text) => duration::parse(text),
            Value::Number(number) => duration::of_seconds(number.as_f64().unwrap_or(-1.0)),
            _ => return Err(self.unfit(duration::FORMS)),
        };
        parsed.map_err(|_| self.unfit(duration::FORMS))
    }

    fn text(&self, form: &str) -> Result<&str, Error> {
        self.value.as_str().filter(|text| !text.is_empty()).ok_or_else(|| self.unfit(form))
    }

    fn unfit(&self, form: &str) -> Error {
        let place = self.manifest.map_or_else(
            || "in the environment".to_owned(),
            |manifest| format!("in `{}`", manifest.display()),
        );
        Error::new(ExitCode::Setup, format!("cannot use `{}` {place}", self.name))
            .why(format!("`{}` is no value for it", shown(&self.value)))
            .fix(form)
    }
}

impl Settings {
    /// Takes what `other` says and this does not; whether there was any.
    fn fill(&mut self, other: Self) -> bool {
        fn take<T>(own: &mut Option<T>, other: Option<T>) -> bool {
            let is_new = own.is_none() && other.is_some();
            if is_new {
                *own = other;
            }
            is_new
        }
        let is_new = [
            take(&mut self.formats, other.formats),
            take(&mut self.output, other.output),
            take(&mut self.open, other.open),
            take(&mut self.message_format, other.message_format),
            take(&mut self.duration, other.duration),
            take(&mut self.profile, other.profile),
            take(&mut self.gpu, other.gpu),
        ];
        is_new.contains(&true)
    }

    /// Where the report goes.
    pub fn destination(&self) -> Destination {
        let Some(path) = &self.output else {
            return Destination::Usual;
        };
        let named =
            |format: &Format| path.extension().is_some_and(|extension| extension == format.name());
        match Format::ALL.into_iter().find(named) {
            // A folder may be called anything.
            Some(format) if !path.is_dir() => Destination::File(path.clone(), format),
            Some(_) | None => Destination::Directory(path.clone()),
        }
    }

    /// What the report is.
    pub fn report(&self) -> Options {
        // A file that is asked for by name is written, whatever the list says.
        let by_name = match self.destination() {
            Destination::File(_, format) => Some(format),
            Destination::Usual | Destination::Directory(_) => None,
        };
        let listed = self.formats.as_deref().unwrap_or(&DEFAULT_FORMATS);
        let is_wanted = |format: &Format| by_name == Some(*format) || listed.contains(format);
        Options { formats: Format::ALL.into_iter().filter(is_wanted).collect() }
    }

    /// How the verdict is shown.
    pub fn presentation(&self) -> Presentation {
        Presentation {
            message_format: self.message_format.unwrap_or_default(),
            open: self.open.unwrap_or_default(),
            is_after_program: false,
        }
    }
}

/// What is written where nobody says.
const DEFAULT_FORMATS: [Format; 2] = [Format::Svg, Format::Json];

/// The name that was probably meant.
fn nearest<'a>(name: &str, names: &'a [String]) -> Option<&'a str> {
    // A third of the letters may be wrong, after cargo and rustc.
    let distance =
        |other: &String| strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase());
    let shared = if name.starts_with(PREFIX) { PREFIX.len() } else { 0 };
    let best = names.iter().min_by_key(|other| distance(other))?;
    (distance(best) <= (best.len() - shared).max(3) / 3).then_some(best)
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;

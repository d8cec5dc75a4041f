//! The one seam between running a program and judging its recording.
//!
//! `run` and `report` know folders and processes; profiles, verdicts and pictures are known behind [`report_from`] only.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::recording::{self, Addition, Recording};
use crate::analysis::{self, Context};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::fault;
use crate::launch::{Ended, Exit};
use crate::machine::gpu::Gpus;
use crate::machine::{self, Machine};
use crate::report::model::{self, Frame, MachineView, Summary};
use crate::report::terminal::{self, Look};
use crate::report::{folded, json, svg};
use crate::run_dir;
use crate::signals::StoppedBy;
use crate::symbols::Symbols;
use crate::syscalls::Usage;

/// File in the folder of a run that holds its [`RunFacts`], for a later `report`.
const FACTS_FILE: &str = "run.json";

/// What the command saw of a run from outside, which no recording knows: how long it really took and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Name of the program, as in reports.
    pub program: String,
    /// The command line that was started, a runner included.
    pub command: Vec<String>,
    /// Process id of what was started.
    pub pid: u32,
    /// `CLOCK_MONOTONIC` just before it was started, in ns: the clock of the recording.
    pub started_ns: u64,
    /// From there to its end, in ns.
    pub wall_ns: u64,
    /// How it ended.
    pub exit: Exit,
    /// Who ended it, if not itself.
    pub stopped_by: Option<StoppedBy>,
    /// It did not come to a good end: it failed, panicked, or was interrupted or killed before its time.
    pub cut: bool,
    /// It was stopped after so many ns, as the user had asked; `None` if not.
    #[serde(default)]
    pub stopped_after_ns: Option<u64>,
    /// What the kernel counted for it.
    pub usage: Usage,
    /// Whether the build has line numbers; `None` for a program that was not built by this command.
    pub has_line_numbers: Option<bool>,
    /// Whether the build was optimized; `None` for a program that was not built by this command.
    pub is_optimized: Option<bool>,
    /// Why the instructions that the program sampled were not decoded while it ran; `None` if they were.
    #[serde(default)]
    pub not_decoded: Option<String>,
}

impl RunFacts {
    /// The facts of a run that has just ended.
    ///
    /// `duration` is the time that the user gave the program.
    pub fn new(
        program: &str,
        command: Vec<String>,
        duration: Option<Duration>,
        ended: &Ended,
    ) -> Self {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            program: program.to_owned(),
            command,
            pid: ended.pid,
            started_ns: nanos(ended.started),
            wall_ns: nanos(ended.wall),
            exit: ended.exit,
            stopped_by: ended.stopped_by,
            cut: ended.is_cut(),
            stopped_after_ns: duration
                .filter(|_| ended.stopped_by == Some(StoppedBy::Duration))
                .map(nanos),
            usage: ended.usage,
            has_line_numbers: None,
            is_optimized: None,
            not_decoded: None,
        }
    }

    /// Keeps the facts beside the recording.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), Error> {
        let path = directory.join(FACTS_FILE);
        let json = serde_json::to_vec_pretty(self).map_err(|error| {
            Error::new(ExitCode::CannotWrite, format!("cannot write `{}`", path.display()))
                .why(error)
        })?;
        run_dir::write_atomically(&path, &json)
    }

    /// Reads the facts that an earlier run kept in its folder; `None` where there are none.
    pub fn load(directory: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(directory.join(FACTS_FILE)).ok()?).ok()
    }
}

/// A kind of file that a report can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `flame.svg`
    Svg,
    /// `summary.json`
    Json,
    /// `stacks.folded`
    Folded,
}

impl Format {
    /// Every format, in the order in which files are listed.
    pub const ALL: [Self; 3] = [Self::Svg, Self::Json, Self::Folded];

    /// Its name on the command line, which is also the extension of its files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Json => "json",
            Self::Folded => "folded",
        }
    }

    /// Its file in the folder of a run.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Svg => "flame.svg",
            Self::Json => "summary.json",
            Self::Folded => "stacks.folded",
        }
    }

    /// The word before its path in the list of files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Svg => "Flame",
            Self::Json => "Summary",
            Self::Folded => "Stacks",
        }
    }
}

/// What is wanted of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The files to write, each once.
    pub formats: Vec<Format>,
}

/// Where the recordings of a report are and where its files go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Recordings, that of the first process first; see [`run_dir::recordings`].
    pub recordings: Vec<PathBuf>,
    /// Folder for the files of the report.
    pub directory: PathBuf,
}

/// A report that has been written.
#[derive(Debug, Default)]
pub struct Outputs {
    /// The recording that it is about; `None` if there is none.
    pub recording: Option<PathBuf>,
    /// The files, in the order of [`Format::ALL`], each under its usual name in the folder.
    pub files: Vec<(Format, PathBuf)>,
    /// Spans that were recorded; `None` where nobody has counted them.
    pub n_spans: Option<u64>,
    /// The verdict in at most 80 columns, for a person.
    pub human: String,
    /// The first line of it.
    pub short: String,
    /// The same as `summary.json`; `null` if there is none.
    pub summary: serde_json::Value,
    /// What the reader should know, each with the way out.
    pub warnings: Vec<String>,
    /// Why a file is missing among `files`. The verdict stands nevertheless.
    pub unwritten: Option<Error>,
}

/// Judges the recordings and writes the report.
///
/// `machine` is what was measured before the run that has just ended; `None` for an earlier run, whose recording holds it.
///
/// # Errors
/// If a recording cannot be read. A file that cannot be written is told in [`Outputs::unwritten`]: the run may have been
/// long, and its verdict fits on the terminal.
pub fn report_from(
    source: &Source,
    facts: Option<&RunFacts>,
    machine: Option<Machine>,
    options: &Options,
) -> Result<Outputs, Error> {
    fault::on_demand("report");
    let death_ns = facts.map(|facts| facts.started_ns.saturating_add(facts.wall_ns));
    let (recordings, mut warnings) = recording::read_all(&source.recordings, death_ns)?;
    let Some(main) = recording::main_recording(&recordings, facts.map(|facts| facts.pid)) else {
        return Ok(Outputs { n_spans: Some(0), warnings, ..Outputs::default() });
    };
    let main = &recordings[main];
    let threads = analysis::working_threads(&main.profile);
    let mut known = main.addition();
    if let Some(mut machine) = machine {
        machine.probe_again(threads);
        let conditions = machine.gpu.take().map(|it| it.conditions).unwrap_or_default();
        if main.profile.devices.is_some() {
            let gpus = machine::gpu::look(&reports_of(&source.directory));
            machine.gpu = Some(Gpus { conditions, ..gpus });
        }
        known = Addition { facts: facts.cloned(), machine: Some(machine) };
        if let Err(error) = recording::add(&main.path, &known) {
            warnings.push(format!(
                "`{}` could not be completed ({error}): a report made from it elsewhere will not know this machine",
                main.path.display()
            ));
        }
    }
    warnings.extend(main.warnings.iter().map(ToString::to_string));
    warnings.extend(full(main));
    warnings.extend(others(&recordings, main));
    let facts = facts.or(known.facts.as_ref());
    let symbols = Symbols::of(&main.profile);
    warnings.extend(symbols.notes().iter().cloned());
    warnings.extend(facts.and_then(|facts| facts.not_decoded.clone()));
    let mut context = context(main, facts, known.machine.as_ref(), threads, warnings);
    context.symbols = Some(symbols);
    let judged = analysis::analyze(&main.profile, &context);
    let (mut summary, frame) = analysis::summarize(&main.profile, &judged, &context);
    if let Some(facts) = facts {
        summary.wall_ns = facts.wall_ns;
        // A recording that its program did not close is no surprise where the program was stopped on purpose.
        summary.cut = facts.cut || summary.cut && facts.stopped_after_ns.is_none();
        summary.stopped_after_ns = facts.stopped_after_ns;
    }
    let is_new = known.machine.is_some() && main.path.starts_with(&source.directory);
    let recording = if is_new { run_dir::named_as_root(&main.path) } else { main.path.clone() };
    Ok(Outputs {
        recording: Some(recording),
        n_spans: Some(main.n_spans()),
        ..write(source, options, &summary, &frame)
    })
}

/// The folder that holds the reports of all programs, where ceilings are kept: two above that of a run, or the run's own.
fn reports_of(run: &Path) -> PathBuf {
    let all = run.ancestors().nth(2).filter(|path| path.ends_with(run_dir::REPORTS));
    all.unwrap_or(run).to_owned()
}

/// What reports say beside the recording itself.
fn context(
    main: &Recording,
    facts: Option<&RunFacts>,
    machine: Option<&Machine>,
    threads: u32,
    warnings: Vec<String>,
) -> Context {
    let name = || main.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Context {
        program: facts.map_or_else(name, |facts| facts.program.clone()),
        command: facts.map(|facts| facts.command.clone()).unwrap_or_default(),
        exit: facts.map_or_else(model::Exit::default, |facts| model::Exit {
            code: facts.exit.code,
            signal: facts.exit.signal,
        }),
        machine: machine.map(view).unwrap_or_default(),
        ceilings: machine.map_or_else(
            || Err("the recording does not say on which machine it was made".to_owned()),
            |machine| analysis::Ceilings::of_machine(&machine.ceilings, threads),
        ),
        symbols: None,
        gpu: machine.and_then(|machine| machine.gpu.clone()).unwrap_or_default(),
        warnings,
    }
}

fn view(machine: &Machine) -> MachineView {
    // Plain data, which serialization cannot fail on; `null` would only say that it is unknown.
    let json = |value: serde_json::Result<serde_json::Value>| value.unwrap_or_default();
    MachineView {
        cores: Some(machine.topology.parallelism()),
        ceilings: json(serde_json::to_value(&machine.ceilings)),
        capabilities: json(serde_json::to_value(machine.capabilities_by_name())),
    }
}

/// A sentence on a recording that could not grow.
fn full(main: &Recording) -> Option<String> {
    let errno = i32::try_from(main.profile.losses.full_errno?).unwrap_or(0);
    let why = std::io::Error::from_raw_os_error(errno);
    Some(format!(
        "the recording could not grow ({why}): calls on paths that came later count for the span around them; free some \
         space, or name a folder on another disk with -o DIR"
    ))
}

/// Sentences on the recordings that are not in the report: of other processes, and of what this one was before it became
/// another program.
fn others(recordings: &[Recording], main: &Recording) -> Vec<String> {
    let others = recordings.iter().filter(|other| other.path != main.path && other.n_spans() > 0);
    let (earlier, of_others): (Vec<_>, Vec<_>) =
        others.partition(|other| other.profile.pid == main.profile.pid);
    let n = of_others.len();
    let processes = if n == 1 { "another process" } else { "other processes" };
    let sentence = |who: &str, them: &[&Recording]| {
        let files: Vec<_> = them.iter().map(|it| format!("`{}`", it.path.display())).collect();
        (!files.is_empty()).then(|| {
            format!(
                "{who} recorded spans too, which are not in this report; see `cargo bottleneck report FILE` for {}",
                files.join(", ")
            )
        })
    };
    let programs = "the program that this process was before `exec`";
    [sentence(programs, &earlier), sentence(processes, &of_others)].into_iter().flatten().collect()
}

fn write(source: &Source, options: &Options, summary: &Summary, frame: &Frame) -> Outputs {
    let json = json::render(summary);
    let mut outputs = Outputs::default();
    for &format in &options.formats {
        let path = source.directory.join(format.file_name());
        let bytes = match format {
            Format::Json => Ok(json.clone().into_bytes()),
            Format::Folded => Ok(folded::render(&frame.children).into_bytes()),
            Format::Svg => svg::render(summary, &frame.children).map_err(|error| {
                Error::new(ExitCode::CannotWrite, "cannot draw the flame graph").why(error)
            }),
        };
        match bytes.and_then(|bytes| run_dir::write_atomically(&path, &bytes)) {
            Ok(()) => outputs.files.push((format, path)),
            Err(error) => outputs.unwritten = outputs.unwritten.or(Some(error)),
        }
    }
    Outputs {
        human: terminal::render(summary, Look { color: true, bars: true }),
        short: terminal::short(summary),
        // What was written a few lines above.
        summary: serde_json::from_str(&json).unwrap_or_default(),
        warnings: summary.warnings.clone(),
        ..outputs
    }
}

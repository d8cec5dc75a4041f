//! `cargo bottleneck run`: build, run, report.

use std::ffi::OsString;
use std::path::Path;
use std::time::SystemTime;

use crate::cargo::inherited::{FALLBACK_FILE, RUN_DIR};
use crate::commands::pipeline::{RunFacts, Source, report_from};
use crate::commands::present::{self, Destination, Presentation};
use crate::commands::settings::Settings;
use crate::commands::setup::Setup;
use crate::commands::target::{self, BuildOptions};
use crate::commands::{device_recording, duration, gpu_library};
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::fault;
use crate::launch;
use crate::machine::Machine;
use crate::machine::gpu::{Gpus, Watch};
use crate::partner::Partner;
use crate::run_dir::{self, RunDir};
use crate::signals::SignalGuard;
use crate::status::Status;

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// The program.
    pub program: ProgramChoice,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// What the flags say of the recording and the report.
    pub settings: Settings,
}

/// Where the program comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramChoice {
    /// Cargo builds it.
    Built(BuildOptions),
    /// It is there already.
    Prebuilt(OsString),
}

/// Runs the program and reports on it. Returns the code to end with, which is the program's own wherever it failed.
///
/// # Errors
/// If the program cannot be built or started, records nothing, or the report cannot be written.
pub fn run(options: &RunOptions, setup: Setup) -> Result<u8, Error> {
    let status = setup.status;
    let inherited = setup.inherited.clone();
    let mut runnable = match &options.program {
        ProgramChoice::Built(build) => {
            let (inherited, config, status) = setup.config()?;
            target::built(build, &options.args, &options.settings, &inherited, &config, status)?
        }
        ProgramChoice::Prebuilt(program) => {
            let inherited = &setup.inherited;
            target::prebuilt(program, &options.args, &options.settings, inherited, status)?
        }
    };
    let settings = std::mem::take(&mut runnable.settings);
    let signals = SignalGuard::install(status)
        .map_err(|e| Error::new(ExitCode::Setup, "cannot watch for signals").why(e))?;
    let make = || match &settings.destination() {
        Destination::Directory(path) => RunDir::at(path),
        Destination::Usual | Destination::File(..) => {
            RunDir::create(&runnable.target_directory, &runnable.name, SystemTime::now())
        }
    };
    let mut directory = signals.prepare(make, RunDir::removable)?;
    fault::recording_goes_to(directory.path());
    if let Some(reason) = directory.prepare_recording()? {
        status.note(format_args!(
            "recording into memory: `{}` cannot be mapped ({reason})",
            directory.path().display()
        ));
    }
    let environment = &mut runnable.launch.environment;
    environment.push((RUN_DIR.into(), directory.path().into()));
    environment.extend(
        directory.fallback_path().map(|path| (FALLBACK_FILE.into(), path.into_os_string())),
    );

    if let Some(library) = &settings.gpu {
        let added = gpu_library::environment(
            library,
            Path::new(&runnable.launch.program),
            &gpu_library::cache(&inherited, &runnable.target_directory),
            &runnable.launch.environment,
            &inherited,
            status,
        )?;
        runnable.launch.environment.extend(added);
    }

    let mut machine = measure_machine(&runnable.target_directory, directory.path(), status);
    let command_line = runnable.launch.command_line();
    let limit = settings.duration.map(duration::shown);
    let limit = limit.map(|time| format!(" for {time}")).unwrap_or_default();
    status.line("Running", format_args!("{}{limit}", runnable.description));
    let (folder, memory) = (directory.path().to_owned(), directory.fallback_path());
    let watch = Watch::start(move || device_recording::is_any(&folder, memory.as_deref()));
    let partner = Partner::start(directory.path().to_owned(), directory.fallback_path());
    let running = match launch::start(&runnable.launch, &runnable.name, settings.duration, &signals)
    {
        Ok(running) => running,
        Err(error) => {
            directory.discard();
            return Err(error);
        }
    };
    if !matches!(settings.destination(), Destination::Directory(_)) {
        directory.publish();
    }
    let ended = running.wait()?;
    let not_decoded = partner.finish();
    let memory = directory.fallback_path();
    let own = device_recording::processes(directory.path(), memory.as_deref());
    let conditions = watch.finish(&own);
    if let Some(machine) = &mut machine {
        machine.gpu = Some(Gpus { conditions, ..Gpus::default() });
    }

    let facts = RunFacts {
        has_line_numbers: runnable.has_line_numbers,
        is_optimized: runnable.is_optimized,
        not_decoded,
        ..RunFacts::new(&runnable.name, command_line, settings.duration, &ended)
    };
    if ended.exit.signal.is_some() && !ended.is_as_asked() {
        let command = runnable.launch.display();
        let what =
            format!("process didn't exit successfully: `{command}` ({})", ended.exit.words());
        status.error(&Error::new(ExitCode::Setup, what));
    }
    match fault::caught(|| report_on(&directory, &facts, machine, &settings, status)) {
        Ok(()) => Ok(ended.code_to_pass_on()),
        // The program has failed with a code of its own: that comes first, but the reason is told.
        Err(error) if !ended.is_as_asked() => {
            status.error(&error);
            Ok(ended.code_to_pass_on())
        }
        Err(error) => Err(error),
    }
}

/// Measures what the machine can do, before the program takes it. Without that the report says so.
fn measure_machine(target_directory: &Path, run: &Path, status: Status) -> Option<Machine> {
    let measured = Machine::measure(&target_directory.join(run_dir::REPORTS), run);
    match measured {
        Ok(machine) => {
            status.line("Ceilings", machine.in_short());
            Some(machine)
        }
        Err(error) => {
            status.warning(format_args!(
                "this machine cannot be measured ({error}): declared work will be judged against nothing"
            ));
            None
        }
    }
}

fn report_on(
    directory: &RunDir,
    facts: &RunFacts,
    machine: Option<Machine>,
    settings: &Settings,
    status: Status,
) -> Result<(), Error> {
    for problem in device_recording::join(directory.path()) {
        status.warning(problem);
    }
    let (recordings, not_kept) = directory.recordings();
    // A full disk takes away what a later `report` would need, not this one.
    for error in not_kept.into_iter().chain(facts.save(directory.path()).err()) {
        status.warning(error);
    }
    let source = Source { recordings, directory: directory.path().to_owned() };
    let outputs = report_from(&source, Some(facts), machine, &settings.report())?;
    present::present(
        &source,
        Some(facts),
        &outputs,
        &settings.destination(),
        Presentation { is_after_program: true, ..settings.presentation() },
        status,
    )?;
    if outputs.n_spans == Some(0) {
        return Err(no_spans(facts, source.recordings.is_empty()));
    }
    outputs.unwritten.map_or(Ok(()), Err)
}

fn no_spans(facts: &RunFacts, is_without_recording: bool) -> Error {
    let seconds = std::time::Duration::from_nanos(facts.wall_ns).as_secs_f64();
    let what = format!("no spans were recorded in `{}` (ran {seconds:.1} s)", facts.program);
    let why = "no function that carries #[bottleneck] was called";
    // The recording begins with the first span, so nobody can tell the two apart from outside.
    let or_refused = ", or no recording could be made; then the program has said why on stderr";
    Error::new(ExitCode::NoSpans, what)
        .why(format!("{why}{}", if is_without_recording { or_refused } else { "" }))
        .fix("put #[bottleneck_runtime::bottleneck] on the functions of one request path, from the outermost inwards")
}

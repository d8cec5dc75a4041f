//! What NVIDIA devices reach when nothing else limits them: measured after a run that used one, in a process of its own, for a
//! context costs memory and a driver may fail in any way. Kept in a file between runs.

mod counters;
mod driver;
mod measure;
mod nvml;
mod watch;

use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::interval::Interval;
use crate::units::{BytesPerSec, Nanos};

pub use counters::{LAG_NS, UNITS, Window};
pub use watch::{Conditions, Other, Watch};

/// What the command calls itself with; not for users.
pub const SUBCOMMAND: &str = "measure-gpu";
/// What the driver would load a tool by: it must not see this measurement.
const INJECTION: &str = "CUDA_INJECTION64_PATH";
/// A driver that does not answer is left alone after so long.
const LIMIT: Duration = Duration::from_secs(20);
/// Where results are kept, in the folder of reports.
const FILE: &str = ".gpu.json";
const POLL: Duration = Duration::from_millis(10);

/// What a device reaches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GpuCeilings {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Version of the driver, as `12080`.
    pub driver: i32,
    /// Bytes that are read and written together while it copies within its own memory.
    pub memory: Interval<BytesPerSec>,
    /// Copies from pinned memory of the host.
    pub h2d_pinned: Interval<BytesPerSec>,
    /// Copies from memory of the host as it comes.
    pub h2d_pageable: Interval<BytesPerSec>,
    /// Copies to pinned memory of the host.
    pub d2h_pinned: Interval<BytesPerSec>,
    /// Copies to memory of the host as it comes.
    pub d2h_pageable: Interval<BytesPerSec>,
    /// Host time of a launch, one after the other.
    pub launch: Option<Interval<Nanos>>,
}

/// The devices of this machine, and what of them can be recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gpus {
    /// The devices, and what they reach.
    pub devices: Vec<GpuCeilings>,
    /// Why there are none, or why nothing is known of them.
    pub problem: Option<String>,
    /// Version of CUPTI, which tells programs what devices do.
    pub cupti: Option<u32>,
    /// Why it does not.
    pub cupti_problem: Option<String>,
    /// Counters tell which parts of devices are in use.
    #[serde(default)]
    pub has_counters: bool,
    /// Why they do not.
    #[serde(default)]
    pub counters_problem: Option<String>,
    /// What was seen of devices while the program ran.
    #[serde(default)]
    pub conditions: Vec<Conditions>,
}

/// Looks at the devices of this machine, in a process of its own: for about a second, and for a moment where the same devices
/// and driver were measured before, in `folder`.
pub fn look(folder: &Path) -> Gpus {
    in_own_process(folder)
        .unwrap_or_else(|problem| Gpus { problem: Some(problem), ..Gpus::default() })
}

/// Calls this very program with [`SUBCOMMAND`], and reads what it prints.
fn in_own_process(folder: &Path) -> Result<Gpus, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .args(["bottleneck", SUBCOMMAND])
        .arg(folder)
        .env_remove(INJECTION)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start its measurement: {error}"))?;
    let begin = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begin.elapsed() < LIMIT => std::thread::sleep(POLL),
            Ok(None) | Err(_) => {
                // It may be stuck in the driver: then it stays behind.
                let _ = child.kill();
                return Err(format!("the driver did not answer within {} s", LIMIT.as_secs()));
            }
        }
    };
    let mut text = String::new();
    // A few lines: they fit into the pipe.
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut text).map_err(|error| error.to_string())?;
    }
    if !status.success() {
        return Err(format!("its measurement ended early ({status})"));
    }
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// The folder, where these are the arguments that [`look`] calls this program with.
pub fn asked_for(args: &[OsString]) -> Option<&Path> {
    match args {
        [_, word, subcommand, folder] if word == "bottleneck" && subcommand == SUBCOMMAND => {
            Some(Path::new(folder))
        }
        _ => None,
    }
}

/// Looks in this process, and gives the line that [`look`] reads.
pub fn line(folder: &Path) -> String {
    let mut res = Gpus::default();
    match ceilings(folder) {
        Ok(devices) => res.devices = devices,
        Err(problem) => res.problem = Some(problem),
    }
    match driver::cupti() {
        Ok(version) => res.cupti = Some(version),
        Err(problem) => res.cupti_problem = Some(problem),
    }
    match has_counters() {
        Ok(()) => res.has_counters = true,
        Err(problem) => res.counters_problem = Some(problem),
    }
    serde_json::to_string(&res).unwrap_or_default()
}

/// Whether a device of this machine has counters that can be asked; why none has, if not.
fn has_counters() -> Result<(), String> {
    let nvml = nvml::Nvml::load()?;
    let mut problem = Err("NVML shows no device".to_owned());
    for device in nvml.devices()? {
        problem = counters::Counters::start(nvml, device).map(drop);
        if problem.is_ok() {
            break;
        }
    }
    problem
}

fn ceilings(folder: &Path) -> Result<Vec<GpuCeilings>, String> {
    let driver = driver::Driver::load()?;
    let present = driver.present()?;
    let path = folder.join(FILE);
    let kept = fs::read(&path)
        .ok()
        .and_then(|text| serde_json::from_slice::<Vec<GpuCeilings>>(&text).ok());
    let identity = |it: &GpuCeilings| (it.number, it.name.clone(), it.driver);
    let is_same = |kept: &Vec<GpuCeilings>| {
        kept.iter()
            .map(identity)
            .eq(present.iter().map(|it| (it.number, it.name.clone(), it.driver)))
    };
    if let Some(kept) = kept.filter(is_same) {
        return Ok(kept);
    }
    let measured = measure::all(driver, present)?;
    // Without the file it is measured again.
    let _ = serde_json::to_vec(&measured).map(|text| fs::write(&path, text));
    Ok(measured)
}

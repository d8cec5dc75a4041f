//! Work for a stream: placed, logged, and recorded; or kept, while the stream is captured.

use std::ffi::CStr;

use super::call::{Call, thread_id};
use crate::cupti::records::{Copied, Kind, Launch, Memory as End, Place, Record};
use crate::device::{Direction, Placed, StreamId, Work};
use crate::engine::Ns;
use crate::error::Error;
use crate::model::{Cost, Shape};
use crate::settings::Settings;
use crate::sim::Machine;

/// What a stream can be given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Job {
    /// A kernel.
    Kernel {
        /// Its name, which stays as long as the process.
        name: &'static CStr,
        /// What it costs.
        cost: Cost,
        /// Its blocks and threads.
        shape: Shape,
        /// Shared memory that the launch asked for.
        shared_bytes: u32,
    },
    /// A copy.
    Copy {
        /// Which way.
        direction: Direction,
        /// How much.
        bytes: u64,
        /// The memory of the host is pinned.
        is_pinned: bool,
        /// The call promises to return when it is done.
        is_synchronous: bool,
    },
    /// Memory is set.
    Set {
        /// To what.
        value: u32,
        /// How much.
        bytes: u64,
    },
}

/// The node of a graph that a job is of: the graph's number, and its own.
pub(super) type Node = (u32, u64);

impl Job {
    pub(super) fn work(&self, settings: &Settings) -> Work {
        match *self {
            Self::Kernel { cost, shape, .. } => Work::Kernel {
                length: cost.length(shape, settings),
                occupancy: cost.occupancy(shape, settings),
            },
            Self::Copy { direction, bytes, is_pinned, is_synchronous } => {
                Work::Copy { direction, bytes, is_pinned, is_synchronous }
            }
            Self::Set { bytes, .. } => Work::Set { bytes },
        }
    }
}

/// Gives a stream a job. Returns until when the call does not return.
pub(super) fn submit(
    call: Call,
    machine: &mut Machine,
    stream: StreamId,
    job: Job,
) -> Result<Ns, Error> {
    if machine.graphs.keep(stream, job)? {
        return Ok(call.now());
    }
    let placed = run(call, machine, stream, job, None)?;
    Ok(placed.host_until)
}

/// Runs a job, of a graph or by itself.
pub(super) fn run(
    call: Call,
    machine: &mut Machine,
    stream: StreamId,
    job: Job,
    node: Option<Node>,
) -> Result<Placed, Error> {
    let sim = call.sim;
    let placed = machine.device.submit(stream, call.now(), job.work(&sim.settings))?;
    log(call, stream, job, placed, node);
    // What a graph is recorded as a whole has no records of its own.
    if node.is_none() || !sim.cupti.is_enabled(Kind::GraphTrace) {
        record(call, sim.place(stream, call.correlation), job, placed, node);
    }
    Ok(placed)
}

fn log(call: Call, stream: StreamId, job: Job, placed: Placed, node: Option<Node>) {
    let what = match job {
        Job::Kernel { name, .. } => {
            format!("\"op\":\"kernel\",\"name\":\"{}\"", name.to_string_lossy())
        }
        Job::Copy { direction, bytes, is_pinned, .. } => {
            let direction = match direction {
                Direction::HostToDevice => "h2d",
                Direction::DeviceToHost => "d2h",
                Direction::DeviceToDevice => "d2d",
            };
            format!(
                "\"op\":\"copy\",\"direction\":\"{direction}\",\"pinned\":{is_pinned},\"bytes\":{bytes},\
                 \"host_until\":{}",
                placed.host_until
            )
        }
        Job::Set { bytes, .. } => format!("\"op\":\"set\",\"bytes\":{bytes}"),
    };
    let of = node.map_or(String::new(), |(graph, _)| format!(",\"graph\":{graph}"));
    call.sim.truth.write(format_args!(
        "{what},\"corr\":{},\"thread\":{},\"host\":{},\"stream\":{},\"ready\":{},\"start\":{},\"end\":{}{of}",
        call.correlation,
        thread_id(),
        call.begin,
        stream.0,
        placed.ready,
        placed.runs.start,
        placed.runs.end
    ));
}

fn record(call: Call, place: Place, job: Job, placed: Placed, node: Option<Node>) {
    let (cupti, options) = (&call.sim.cupti, call.sim.options());
    let (version, runs) = (call.sim.settings.version, placed.runs);
    let (graph, graph_node) = node.unwrap_or_default();
    match job {
        Job::Kernel { name, shape, shared_bytes, .. } => {
            let launch = Launch {
                name: name.as_ptr() as u64,
                grid: shape.grid,
                block: shape.block,
                dynamic_shared_bytes: shared_bytes,
                registers: 32,
                graph,
                graph_node,
            };
            cupti.add(Kind::ConcurrentKernel, runs.end, options, move |stamps| {
                Record::kernel(version, stamps.interval(runs), place, launch)
            });
        }
        Job::Copy { direction, bytes, is_pinned, is_synchronous } => {
            let host = if is_pinned { End::Pinned } else { End::Pageable };
            let (kind, from, to) = match direction {
                Direction::HostToDevice => (1, host, End::Device),
                Direction::DeviceToHost => (2, End::Device, host),
                Direction::DeviceToDevice => (8, End::Device, End::Device),
            };
            let copy = Copied { kind, from, to, is_async: !is_synchronous, bytes };
            cupti.add(Kind::Memcpy, runs.end, options, move |stamps| {
                Record::memcpy(version, stamps.interval(runs), place, copy)
            });
        }
        Job::Set { value, bytes } => {
            cupti.add(Kind::Memset, runs.end, options, move |stamps| {
                Record::memset(version, stamps.interval(runs), place, value, bytes)
            });
        }
    }
}

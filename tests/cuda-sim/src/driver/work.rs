//! Work for a stream: placed, logged, and recorded; or kept, while the stream is captured.

use std::ffi::CStr;
use std::sync::mpsc::{self, Receiver};

use super::bytes;
use super::call::Call;
use super::host::HostFunction;
use crate::cupti::listeners::NODE_MADE;
use crate::cupti::records::{Copied, Kind, Launch, Memory as End, Place, Record, SetTo};
use crate::device::{Direction, Placed, StreamId, Submitted, Work};
use crate::engine::Ns;
use crate::error::Error;
use crate::model::{Cost, Shape};
use crate::settings::Settings;
use crate::sim::{Machine, Sim};

/// What a stream can be given.
#[derive(Clone, Debug)]
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
        /// Address that it goes to.
        to: u64,
        /// Address that it comes from.
        from: u64,
        /// How much.
        bytes: u64,
        /// The memory of the host is pinned.
        is_pinned: bool,
        /// The call promises to return when it is done.
        is_synchronous: bool,
    },
    /// Memory is set.
    Set {
        /// Its address.
        to: u64,
        /// To what: the first bytes of this,
        value: u32,
        /// of which each place has so many.
        width: usize,
        /// How much.
        bytes: u64,
    },
    /// A function of the program.
    Host(HostFunction),
}

/// The node of a graph that a job is of: the graph's number, and its own.
pub(super) type Node = (u32, u64);

impl Job {
    /// What a node of a graph is that does this, by the driver's number.
    pub(super) fn sort(&self) -> u32 {
        match self {
            Self::Kernel { .. } => 0,
            Self::Copy { .. } => 1,
            Self::Set { .. } => 2,
            Self::Host(_) => 3,
        }
    }

    fn work(&self, settings: &Settings) -> Work {
        match *self {
            Self::Kernel { cost, shape, .. } => Work::Kernel {
                length: cost.length(shape, settings),
                occupancy: cost.occupancy(shape, settings),
            },
            Self::Copy { direction, bytes, is_pinned, is_synchronous, .. } => {
                Work::Copy { direction, bytes, is_pinned, is_synchronous }
            }
            Self::Set { bytes, .. } => Work::Set { bytes },
            Self::Host(_) => Work::Host,
        }
    }
}

/// When the call that has submitted something returns.
#[derive(Debug)]
pub(super) enum Returns {
    /// Then, or at once if that is over.
    At(Ns),
    /// When a host function has returned that holds it: then it is known.
    Later(Receiver<Ns>),
}

impl Returns {
    /// Waits for it. The lock of the machine must not be held: what has to happen first needs it.
    pub(super) fn wait(self, sim: &Sim) {
        let until = match self {
            Self::At(at) => at,
            // Nobody answers for a job that will never be placed.
            Self::Later(answer) => answer.recv().unwrap_or(0),
        };
        sim.clock.wait_until(until);
    }
}

/// Gives a stream a job.
pub(super) fn submit(
    call: Call,
    machine: &mut Machine,
    stream: StreamId,
    job: Job,
) -> Result<Returns, Error> {
    if let Some(node) = machine.graphs.keep(stream, &job)? {
        call.sim.listeners.tell_node(NODE_MADE, node, 0, job.sort());
        return Ok(Returns::At(call.now()));
    }
    let holds_caller = job.work(&call.sim.settings).holds_caller();
    let (answer, answered) = holds_caller.then(mpsc::channel).unzip();
    let placed = run(call, machine, stream, job, None, move |placed| {
        if let Some(answer) = answer {
            // The caller is there: it waits.
            _ = answer.send(placed.host_until);
        }
    })?;
    Ok(match (placed, answered) {
        (Some(placed), _) => Returns::At(placed.host_until),
        (None, Some(answered)) => Returns::Later(answered),
        (None, None) => Returns::At(call.now()),
    })
}

/// Runs a job, of a graph or by itself, and does something when it is known when it runs; returns that if it is known already.
pub(super) fn run(
    call: Call,
    machine: &mut Machine,
    stream: StreamId,
    job: Job,
    node: Option<Node>,
    then: impl FnOnce(Placed) + Send + 'static,
) -> Result<Option<Placed>, Error> {
    let sim = call.sim;
    let submitted = machine.device.submit(stream, call.now(), job.work(&sim.settings))?;
    let mut taken_over = None;
    if let Submitted::Held(ticket) = submitted {
        if let Job::Host(function) = job {
            machine.functions.insert(ticket, function);
            sim.launched();
        }
        // What a graph copies, the program leaves alone until it has run.
        if node.is_none() && sim.settings.has_data {
            taken_over = bytes::taken_over(&job);
        }
    }
    // What a graph is recorded as a whole has no records of its own.
    let is_recorded = node.is_none() || !sim.cupti.is_enabled(Kind::GraphTrace);
    machine.when_placed(submitted, move |memory, placed| {
        if sim.settings.has_data {
            bytes::carry_out(memory, &job, taken_over.as_deref());
        }
        log(call, stream, &job, placed, node);
        if is_recorded {
            record(call, sim.place(stream, call.correlation), &job, placed, node);
        }
        then(placed);
    });
    Ok(match submitted {
        Submitted::Placed(placed) => Some(placed),
        Submitted::Held(_) => None,
    })
}

fn log(call: Call, stream: StreamId, job: &Job, placed: Placed, node: Option<Node>) {
    let what = match *job {
        Job::Kernel { name, cost, shape, .. } => {
            let length = placed.runs.end.saturating_sub(placed.runs.start);
            let uses = cost.uses(shape, &call.sim.settings, length);
            format!(
                "\"op\":\"kernel\",\"name\":\"{}\",\"device\":{},\"memory\":{:.4},\"arithmetic\":{:.4},\"processors\":{:.4}",
                name.to_string_lossy(),
                call.sim.place(stream, call.correlation).device,
                uses.memory,
                uses.arithmetic,
                uses.processors
            )
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
        Job::Host(_) => "\"op\":\"host\"".to_owned(),
    };
    let of = node.map_or(String::new(), |(graph, _)| format!(",\"graph\":{graph}"));
    call.sim.truth.write(format_args!(
        "{what},\"corr\":{},\"thread\":{},\"host\":{},\"stream\":{},\"ready\":{},\"start\":{},\"end\":{}{of}",
        call.correlation,
        call.thread,
        call.begin,
        stream.0,
        placed.ready,
        placed.runs.start,
        placed.runs.end
    ));
}

fn record(call: Call, place: Place, job: &Job, placed: Placed, node: Option<Node>) {
    let (cupti, options) = (&call.sim.cupti, call.sim.options());
    let (version, runs) = (call.sim.settings.version, placed.runs);
    let (graph, graph_node) = node.unwrap_or_default();
    match *job {
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
        Job::Copy { direction, bytes, is_pinned, is_synchronous, .. } => {
            let host = if is_pinned { End::Pinned } else { End::Pageable };
            let (kind, from, to) = match direction {
                Direction::HostToDevice => (1, host, End::Device),
                Direction::DeviceToHost => (2, End::Device, host),
                Direction::DeviceToDevice => (8, End::Device, End::Device),
            };
            let node = (graph, graph_node);
            let copy = Copied { kind, from, to, is_async: !is_synchronous, bytes, node };
            cupti.add(Kind::Memcpy, runs.end, options, move |stamps| {
                Record::memcpy(version, stamps.interval(runs), place, copy)
            });
        }
        Job::Set { value, bytes, .. } => {
            cupti.add(Kind::Memset, runs.end, options, move |stamps| {
                let set = SetTo { value, bytes, node: (graph, graph_node) };
                Record::memset(version, stamps.interval(runs), place, set)
            });
        }
        // CUPTI has no record of these but that of the call.
        Job::Host(_) => {}
    }
}

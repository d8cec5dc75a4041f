//! Graphs: what is submitted to a captured stream is kept, and run as often as the graph is launched, one job after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{c_int, c_uint, c_ulonglong, c_void};
use std::sync::{Arc, Mutex, PoisonError};

use super::call::{Call, Function, call, put};
use super::handles::{self, Handle};
use super::work::{self, Job};
use crate::cupti::listeners::{NODE_CLONED, NODE_MADE};
use crate::cupti::records::{Kind, Record};
use crate::device::{EventId, StreamId};
use crate::engine::Interval;
use crate::error::Error;

/// Handles of graphs and of what can be launched are their numbers.
const GRAPHS: Handle = 0x5600_0000_0000;

/// Streams that are being captured, and graphs.
#[derive(Debug, Default)]
pub struct Graphs {
    /// The graph that each captured stream becomes.
    captured: BTreeMap<StreamId, u32>,
    /// Who began it, and must end it.
    origins: BTreeMap<u32, StreamId>,
    /// Events that were recorded in a captured stream.
    marked: BTreeMap<EventId, u32>,
    jobs: BTreeMap<u32, Vec<Job>>,
    spoiled: BTreeSet<u32>,
    last: u32,
}

impl Graphs {
    /// Keeps a job for the graph that its stream becomes. Returns the number of the node there, if it did.
    pub(super) fn keep(&mut self, stream: StreamId, job: &Job) -> Result<Option<u64>, Error> {
        let Some(graph) = self.captured.get(&stream) else { return Ok(None) };
        if self.spoiled.contains(graph) {
            return Err(Error::CaptureInvalidated);
        }
        if matches!(job, Job::Copy { is_synchronous: true, .. }) {
            self.spoiled.insert(*graph);
            return Err(Error::CaptureUnsupported);
        }
        let jobs = self.jobs.entry(*graph).or_default();
        jobs.push(job.clone());
        Ok(Some(node(*graph, jobs.len() as u64)))
    }

    /// An event of a captured stream happens in its graph. Returns whether it is one.
    pub(super) fn mark(&mut self, event: EventId, stream: StreamId) -> bool {
        if let Some(graph) = self.captured.get(&stream) {
            self.marked.insert(event, *graph);
            true
        } else {
            self.marked.remove(&event);
            false
        }
    }

    /// A stream that waits for an event of a captured one is captured too. Returns whether that is so.
    pub(super) fn join(&mut self, stream: StreamId, event: EventId) -> Result<bool, Error> {
        match (self.captured.get(&stream), self.marked.get(&event)) {
            (None, None) => Ok(false),
            (None, Some(graph)) => {
                self.captured.insert(stream, *graph);
                Ok(true)
            }
            (Some(own), Some(graph)) if own == graph => Ok(true),
            // What happens outside of the graph has no place in it.
            (Some(own), _) => {
                self.spoiled.insert(*own);
                Err(Error::CaptureIsolation)
            }
        }
    }

    /// # Errors
    /// The stream is captured: nothing can be asked of it, and the graph is spoiled.
    pub(super) fn refuse_while_captured(&mut self, stream: StreamId) -> Result<(), Error> {
        let Some(graph) = self.captured.get(&stream) else { return Ok(()) };
        self.spoiled.insert(*graph);
        Err(Error::CaptureUnsupported)
    }

    /// # Errors
    /// The event happens in a graph: nothing can be asked of it, and the graph is spoiled.
    pub(super) fn refuse_if_marked(&mut self, event: EventId) -> Result<(), Error> {
        let Some(graph) = self.marked.get(&event) else { return Ok(()) };
        self.spoiled.insert(*graph);
        Err(Error::CapturedEvent)
    }

    pub(super) fn forget(&mut self, event: EventId) {
        self.marked.remove(&event);
    }

    fn begin(&mut self, stream: StreamId) -> Result<(), Error> {
        if self.captured.contains_key(&stream) {
            return Err(Error::IllegalState);
        }
        self.last += 1;
        self.captured.insert(stream, self.last);
        self.origins.insert(self.last, stream);
        self.jobs.insert(self.last, Vec::new());
        Ok(())
    }

    /// The graph that a stream has become; `None` if something spoiled it.
    fn end(&mut self, stream: StreamId) -> Result<Option<u32>, Error> {
        let graph = *self.captured.get(&stream).ok_or(Error::IllegalState)?;
        if self.origins.get(&graph) != Some(&stream) {
            return Err(Error::IllegalState);
        }
        self.captured.retain(|_, its| *its != graph);
        self.marked.retain(|_, its| *its != graph);
        self.origins.remove(&graph);
        if self.spoiled.remove(&graph) {
            self.jobs.remove(&graph);
            return Ok(None);
        }
        Ok(Some(graph))
    }

    /// By the numbers of `CUstreamCaptureStatus`: not captured, captured, captured but spoiled.
    fn status(&self, stream: StreamId) -> c_uint {
        let graph = self.captured.get(&stream);
        graph.map_or(0, |graph| if self.spoiled.contains(graph) { 2 } else { 1 })
    }

    fn jobs(&self, graph: u32) -> Result<Vec<Job>, Error> {
        self.jobs.get(&graph).cloned().ok_or(Error::InvalidHandle)
    }
}

/// The number of a node: no other graph has it.
fn node(graph: u32, number: u64) -> u64 {
    u64::from(graph) << 32 | number
}

/// What a graph is when it is ready to be launched: a clone with a number of its own, and so are its nodes.
fn clone_of(graph: u32) -> u32 {
    graph | 1 << 20
}

fn of_graph(graph: u32) -> Handle {
    GRAPHS + graph as Handle * 64
}

fn graph(handle: Handle) -> Result<u32, Error> {
    let at = handle.checked_sub(GRAPHS).ok_or(Error::InvalidHandle)?;
    u32::try_from(at / 64).map_err(|_| Error::InvalidHandle)
}

/// Begins to capture a stream.
#[unsafe(no_mangle)]
extern "C" fn cuStreamBeginCapture_v2(stream: Handle, _mode: c_uint) -> c_int {
    call(Function::new(0, c"cuStreamBeginCapture"), |call| {
        let mut machine = call.sim.machine();
        let id = handles::stream(&mut machine, stream)?;
        machine.graphs.begin(id)
    })
}

/// Ends it: a graph, or 0 where it was spoiled.
#[unsafe(no_mangle)]
extern "C" fn cuStreamEndCapture(stream: Handle, to: *mut Handle) -> c_int {
    call(Function::new(0, c"cuStreamEndCapture"), |call| {
        let mut machine = call.sim.machine();
        let id = handles::stream(&mut machine, stream)?;
        let found = machine.graphs.end(id)?;
        put(to, found.map_or(0, of_graph))?;
        found.map(|_| ()).ok_or(Error::CaptureInvalidated)
    })
}

/// Whether a stream is captured.
#[unsafe(no_mangle)]
extern "C" fn cuStreamIsCapturing(stream: Handle, to: *mut c_uint) -> c_int {
    call(Function::new(499, c"cuStreamIsCapturing"), |call| {
        let mut machine = call.sim.machine();
        let id = handles::stream(&mut machine, stream)?;
        put(to, machine.graphs.status(id))
    })
}

/// Modes make no difference here: no call of another thread spoils a capture.
#[unsafe(no_mangle)]
extern "C" fn cuThreadExchangeStreamCaptureMode(_mode: *mut c_uint) -> c_int {
    call(Function::new(0, c"cuThreadExchangeStreamCaptureMode"), |_| Ok(()))
}

/// Makes a graph ready to be launched.
#[unsafe(no_mangle)]
extern "C" fn cuGraphInstantiateWithFlags(
    to: *mut Handle,
    graph: Handle,
    _flags: c_ulonglong,
) -> c_int {
    call(Function::new(0, c"cuGraphInstantiate"), |call| {
        let number = self::graph(graph)?;
        let jobs = call.sim.machine().graphs.jobs(number)?;
        for (job, at) in jobs.iter().zip(1..) {
            let (original, clone) = (node(number, at), node(clone_of(number), at));
            call.sim.listeners.tell_node(NODE_MADE, clone, 0, job.sort());
            call.sim.listeners.tell_node(NODE_CLONED, clone, original, job.sort());
        }
        put(to, graph)
    })
}

/// The same, with words for errors that there are none of.
#[unsafe(no_mangle)]
extern "C" fn cuGraphInstantiate_v2(
    to: *mut Handle,
    graph: Handle,
    _node: *mut c_void,
    _words: *mut c_void,
    _room: usize,
) -> c_int {
    cuGraphInstantiateWithFlags(to, graph, 0)
}

/// Nothing has to be uploaded here.
#[unsafe(no_mangle)]
extern "C" fn cuGraphUpload(_graph: Handle, _stream: Handle) -> c_int {
    call(Function::new(0, c"cuGraphUpload"), |_| Ok(()))
}

/// A launch of which not all jobs have been placed.
#[derive(Debug)]
struct Launched {
    left: usize,
    runs: Option<Interval>,
}

impl Launched {
    /// From the first beginning to the last end, when nothing is left.
    fn add(&mut self, job: Interval) -> Option<Interval> {
        let so_far = self.runs.unwrap_or(job);
        let runs = Interval { start: so_far.start.min(job.start), end: so_far.end.max(job.end) };
        self.runs = Some(runs);
        self.left -= 1;
        (self.left == 0).then_some(runs)
    }
}

/// Launches a graph: its jobs run one after the other.
#[unsafe(no_mangle)]
extern "C" fn cuGraphLaunch(graph: Handle, stream: Handle) -> c_int {
    let launch = Function::new(514, c"cuGraphLaunch").taking(crate::sim::sim().settings.launch_ns);
    call(launch, |call| {
        let mut machine = call.sim.machine();
        let (id, graph) = (handles::stream(&mut machine, stream)?, self::graph(graph)?);
        let jobs = machine.graphs.jobs(graph)?;
        let nodes = jobs.len();
        let launched = Arc::new(Mutex::new(Launched { left: nodes, runs: None }));
        let mut host_until = call.now();
        for (job, number) in jobs.into_iter().zip(1_u64..) {
            let launched = Arc::clone(&launched);
            let own = (clone_of(graph), node(clone_of(graph), number));
            let placed = work::run(call, &mut machine, id, job, Some(own), move |placed| {
                let mut launched = launched.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(runs) = launched.add(placed.runs) {
                    finish(call, id, clone_of(graph), nodes, runs);
                }
            })?;
            // Behind a host function nothing holds the caller up.
            host_until = placed.map_or(host_until, |placed| host_until.max(placed.host_until));
        }
        drop(machine);
        call.sim.clock.wait_until(host_until);
        Ok(())
    })
}

/// Logs and records a launch as a whole.
fn finish(call: Call, stream: StreamId, graph: u32, nodes: usize, runs: Interval) {
    let sim = call.sim;
    sim.truth.write(format_args!(
        "\"op\":\"graph\",\"corr\":{},\"thread\":{},\"host\":{},\"graph\":{graph},\"nodes\":{nodes},\"stream\":{},\
         \"start\":{},\"end\":{}",
        call.correlation, call.thread, call.begin, stream.0, runs.start, runs.end
    ));
    let (version, place) = (sim.settings.version, sim.place(stream, call.correlation));
    sim.cupti.add(Kind::GraphTrace, runs.end, sim.options(), move |stamps| {
        Record::graph(version, stamps.interval(runs), place, graph)
    });
}

/// Graphs stay as long as the process: their numbers are in records.
#[unsafe(no_mangle)]
extern "C" fn cuGraphDestroy(graph: Handle) -> c_int {
    call(Function::new(0, c"cuGraphDestroy"), |_| self::graph(graph).map(|_| ()))
}

/// The same.
#[unsafe(no_mangle)]
extern "C" fn cuGraphExecDestroy(graph: Handle) -> c_int {
    call(Function::new(0, c"cuGraphExecDestroy"), |_| self::graph(graph).map(|_| ()))
}

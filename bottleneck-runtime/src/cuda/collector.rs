//! Collects what CUPTI tells: sets it up, notes the span of each call, and writes what comes back into the recording, on a thread
//! of its own.

use core::ffi::{CStr, c_void};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::activity::{kind, parse};
use super::buffers::{BUFFER_BYTES, Buffers, Empty};
use super::calls::{Calls, NOTED};
use super::device_facts;
#[cfg(not(bottleneck_injection))]
use super::events;
use super::functions::{Cupti, Driver, GraphData, Handle, ResourceData};
use super::graph_nodes::GraphNodes;
use super::level::{Level, Reason};
use super::works::Works;
use crate::clock::{ClockKind, counter};
use crate::os;
use crate::os::library::Library;
use crate::record::session::Session;
use crate::record::thread;

const DRIVER: &CStr = c"libcuda.so.1";
/// By the major version of the driver, the newest that it takes first.
const CUPTI: [&CStr; 7] = [
    c"libcupti.so.13",
    c"libcupti.so.12",
    c"libcupti.so",
    c"/usr/local/cuda/extras/CUPTI/lib64/libcupti.so",
    c"/usr/local/cuda/lib64/libcupti.so",
    c"/opt/cuda/extras/CUPTI/lib64/libcupti.so",
    c"/usr/lib/x86_64-linux-gnu/libcupti.so",
];

/// Kinds of records that are always wanted.
const KINDS: [u32; 9] = [
    kind::CONCURRENT_KERNEL,
    kind::MEMCPY,
    kind::MEMCPY2,
    kind::MEMSET,
    kind::SYNCHRONIZATION,
    kind::CUDA_EVENT,
    kind::OVERHEAD,
    kind::MEMORY2,
    kind::EXTERNAL_CORRELATION,
];
/// Whose functions CUPTI tells of.
const DRIVER_API: u32 = 1;
/// What CUPTI tells of things that come and go: nodes of graphs that are made, and cloned.
const RESOURCE: u32 = 3;
const NODE_MADE: u32 = 13;
const NODE_CLONED: u32 = 20;
const KERNEL_NODE: u32 = 0;
/// Version of CUPTI of CUDA 12.8, which numbers the recordings of events.
const CUPTI_OF_12_8: u32 = 26;
/// Buffers come zeroed.
const ZEROED_BUFFERS: u32 = 5;
/// Threads have the system's numbers.
const SYSTEM_THREADS: u32 = 1;
/// What is complete is asked for so often.
const PERIOD: Duration = Duration::from_millis(100);
/// A buffer that was given up had at least so many records.
const LEAST_GIVEN_UP: u64 = 1;
/// A flush that gives back what is not complete, too.
const FORCED: u32 = 1;

/// Collects for the recording of this process.
#[derive(Debug)]
pub(crate) struct Collector {
    #[cfg(bottleneck_injection)]
    session: &'static Session,
    cupti: Cupti,
    /// Of CUDA, as records of the CUPTI that is loaded have it: `12000` or `12080`.
    version: u32,
    has_counter: bool,
    calls: Calls,
    nodes: GraphNodes,
    buffers: Buffers,
    works: Mutex<Works>,
    driver: Driver,
    /// Records that CUPTI had no place for.
    dropped: AtomicU64,
    /// The program uses a device: something is done at its end.
    is_used: AtomicBool,
    /// CUPTI was told to stop.
    has_stopped: AtomicBool,
}

static COLLECTOR: AtomicPtr<Collector> = AtomicPtr::new(ptr::null_mut());

/// The collector of this process, if there is one.
fn collector() -> Option<&'static Collector> {
    // Acquire: pairs with the Release in `start`.
    // SAFETY: null or a leaked collector.
    unsafe { COLLECTOR.load(Ordering::Acquire).as_ref() }
}

/// Begins to collect, and notes in the recording how much can be had and why not more.
pub(crate) fn start(session: &'static Session) -> Level {
    let driver = Library::open(DRIVER).map(Driver::of).filter(|it| it.get_version.is_some());
    let (level, reason) = match driver.map(|driver| (driver, begin(session, driver))) {
        Some((_, Ok(()))) => (Level::Activity, None),
        #[cfg(not(bottleneck_injection))]
        Some((driver, Err(reason))) => {
            events::start(session, driver);
            note_thread(session, spawn(move || tend_unseen(session, driver)));
            (Level::Events, Some(reason))
        }
        // Spans name no streams there.
        #[cfg(bottleneck_injection)]
        Some((driver, Err(reason))) => {
            note_thread(session, spawn(move || tend_unseen(session, driver)));
            (Level::None, Some(reason))
        }
        None => (Level::None, Some(Reason::NoDriver)),
    };
    let reason = reason.map(|it| it.to_string());
    session.note_capability("gpu_activity", reason.as_deref());
    let no_driver = reason.filter(|_| level == Level::None);
    session.note_capability("gpu_events", no_driver.as_deref());
    let collects = u32::from(level == Level::Activity);
    session.arena.header().collects_devices.store(collects, Ordering::Relaxed);
    level
}

fn begin(session: &'static Session, driver: Driver) -> Result<(), Reason> {
    let library = CUPTI.into_iter().find_map(Library::open).ok_or(Reason::NoCupti)?;
    let cupti = Cupti::of(library);
    let mut number = 0;
    let get_version = cupti.get_version.ok_or(Reason::Incomplete("cuptiGetVersion"))?;
    // SAFETY: by NVIDIA's headers.
    accepted(unsafe { get_version(&raw mut number) })?;
    let version = if CUPTI_OF_12_8 <= number { 12_080 } else { 12_000 };
    let collector: &'static Collector =
        Box::leak(Box::new(Collector::new(session, cupti, driver, version)));
    // Release: pairs with the Acquire in `collector`. Before CUPTI may call back.
    COLLECTOR.store(ptr::from_ref(collector).cast_mut(), Ordering::Release);
    let subscriber = collector.subscribe()?;
    if let Err(reason) = collector.enable(subscriber) {
        if let Some(unsubscribe) = cupti.unsubscribe {
            // SAFETY: what was subscribed above.
            unsafe { unsubscribe(subscriber) };
        }
        return Err(reason);
    }
    // Without it records wait for the end.
    note_thread(session, spawn(move || collector.tend()));
    Ok(())
}

/// Starts the thread that harvests.
fn spawn(tend: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    os::thread::with_signals_blocked(|| {
        let thread = std::thread::Builder::new().name("bottleneck-gpu".to_owned());
        thread.stack_size(256 << 10).spawn(tend).map(drop)
    })
}

fn note_thread(session: &Session, spawned: std::io::Result<()>) {
    let problem = spawned.err().map(|error| format!("cannot start a thread: {error}"));
    session.note_capability("gpu_thread", problem.as_deref());
}

/// Where no activity is recorded: notes when a device is used, and harvests the events around spans.
fn tend_unseen(session: &Session, driver: Driver) {
    let mut is_used = false;
    loop {
        std::thread::sleep(PERIOD);
        if !is_used && driver.is_used() {
            is_used = true;
            session.note_capability("gpu_used", None);
        }
        #[cfg(not(bottleneck_injection))]
        if let Some(timer) = events::timer() {
            timer.harvest();
        }
    }
}

fn accepted(code: i32) -> Result<(), Reason> {
    if code == 0 { Ok(()) } else { Err(Reason::Refused(code)) }
}

/// The innermost open node of the calling thread; 0 for none.
fn open_node() -> u32 {
    #[cfg(bottleneck_injection)]
    if crate::injection::is_beside_another() {
        return crate::injection::host::open_node();
    }
    thread::open_node()
}

impl Collector {
    pub(super) fn new(
        session: &'static Session,
        cupti: Cupti,
        driver: Driver,
        version: u32,
    ) -> Self {
        Self {
            #[cfg(bottleneck_injection)]
            session,
            cupti,
            version,
            has_counter: session.clock != ClockKind::Monotonic,
            calls: Calls::new(),
            nodes: GraphNodes::new(),
            buffers: Buffers::default(),
            works: Mutex::new(Works::new(session)),
            driver,
            dropped: AtomicU64::new(0),
            is_used: AtomicBool::new(false),
            has_stopped: AtomicBool::new(false),
        }
    }

    fn subscribe(&self) -> Result<usize, Reason> {
        let subscribe = self.cupti.subscribe.ok_or(Reason::Incomplete("cuptiSubscribe"))?;
        let mut subscriber = 0;
        // SAFETY: by NVIDIA's headers; the listener stays as long as the process.
        accepted(unsafe { subscribe(&raw mut subscriber, on_call, 0) })?;
        Ok(subscriber)
    }

    /// In the order that CUPTI asks for: its clock first, then buffers, then kinds.
    fn enable(&self, subscriber: usize) -> Result<(), Reason> {
        let cupti = &self.cupti;
        let clock = cupti
            .register_timestamp
            .ok_or(Reason::Incomplete("cuptiActivityRegisterTimestampCallback"))?;
        // SAFETY: the clock may be read at any time, by any thread.
        accepted(unsafe { clock(if self.has_counter { on_counter } else { on_monotonic }) })?;
        if let Some(set_attribute) = cupti.set_attribute {
            let (mut size, mut is_zeroed) = (1, 1_u8);
            // An older CUPTI refuses, and zeroes by itself.
            // SAFETY: the value has as many bytes as the size says.
            unsafe { set_attribute(ZEROED_BUFFERS, &raw mut size, (&raw mut is_zeroed).cast()) };
        }
        if let Some(set_thread_id_type) = cupti.set_thread_id_type {
            // SAFETY: takes a number.
            unsafe { set_thread_id_type(SYSTEM_THREADS) };
        }
        let register =
            cupti.register_callbacks.ok_or(Reason::Incomplete("cuptiActivityRegisterCallbacks"))?;
        // SAFETY: both stay as long as the process.
        accepted(unsafe { register(on_requested, on_completed) })?;
        let enable = cupti.enable.ok_or(Reason::Incomplete("cuptiActivityEnable"))?;
        for kind in KINDS {
            // SAFETY: takes a number.
            accepted(unsafe { enable(kind) })?;
        }
        // Nothing but one rule rests on it.
        // SAFETY: takes a number.
        unsafe { enable(kind::STREAM) };
        self.enable_calls(subscriber, enable)
    }

    /// Records of the calls that matter: one by one, or, before CUDA 12.5, of all of them.
    fn enable_calls(
        &self,
        subscriber: usize,
        enable: unsafe extern "C" fn(u32) -> i32,
    ) -> Result<(), Reason> {
        let listen = self.cupti.enable_callback.ok_or(Reason::Incomplete("cuptiEnableCallback"))?;
        for &cbid in NOTED {
            // One that this driver does not have is refused, and never called.
            // SAFETY: takes numbers; the subscriber is ours.
            unsafe { listen(1, subscriber, DRIVER_API, cbid) };
        }
        if self.cupti.get_graph_node_id.is_some() {
            for cbid in [NODE_MADE, NODE_CLONED] {
                // Without it what graphs run is of the span that launches them.
                // SAFETY: as above.
                unsafe { listen(1, subscriber, RESOURCE, cbid) };
            }
        }
        let enabled = self.cupti.enable_driver_api.map_or(0, |enable_one| {
            // SAFETY: takes numbers.
            NOTED.iter().filter(|&&cbid| unsafe { enable_one(cbid, 1) } == 0).count()
        });
        if 0 < enabled {
            return Ok(());
        }
        // SAFETY: takes a number.
        accepted(unsafe { enable(kind::DRIVER) })
    }

    fn tend(&self) {
        let mut knows_devices = false;
        loop {
            std::thread::sleep(PERIOD);
            #[cfg(bottleneck_injection)]
            self.session.anchor();
            if self.is_used.load(Ordering::Relaxed) {
                if !std::mem::replace(&mut knows_devices, true) {
                    device_facts::note(self.driver, &self.works());
                }
                self.harvest(0);
                self.count_dropped();
            }
        }
    }

    /// Asks for what is complete, and writes it.
    fn harvest(&self, flag: u32) {
        let ticks = if self.has_counter { counter() } else { os::time::monotonic_ns() };
        if !self.works().begin_harvest(ticks) {
            self.stop();
            return;
        }
        if let Some(flush) = self.cupti.flush_all {
            // SAFETY: takes a number; calls back below, which takes no lock of ours for long.
            unsafe { flush(flag) };
        }
        for filled in self.buffers.take_filled() {
            self.read(filled.memory, filled.used);
            // SAFETY: the buffer has so many bytes, and is nobody else's now.
            unsafe { filled.memory.as_ptr().write_bytes(0, BUFFER_BYTES) };
            self.buffers.put_free(filled.memory);
        }
        let lost = self.dropped.load(Ordering::Relaxed) + self.buffers.given_up() * LEAST_GIVEN_UP;
        let mut works = self.works();
        works.note_captured(&self.nodes);
        works.note_lost(lost);
    }

    /// The log has its full length: the program is freed of what recording costs.
    fn stop(&self) {
        let Some(disable) =
            self.cupti.disable.filter(|_| !self.has_stopped.swap(true, Ordering::Relaxed))
        else {
            return;
        };
        for kind in KINDS.into_iter().chain([kind::STREAM, kind::DRIVER]) {
            // SAFETY: takes a number; a kind that is not enabled is refused.
            unsafe { disable(kind) };
        }
    }

    fn works(&self) -> MutexGuard<'_, Works> {
        self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What CUPTI had no place for. Asked in no lock of ours: it takes one of its own, in which it calls us.
    fn count_dropped(&self) {
        let Some(dropped) = self.cupti.dropped else { return };
        let mut count = 0;
        // SAFETY: by NVIDIA's headers; no context and no stream: all of them.
        if unsafe { dropped(ptr::null_mut(), 0, &raw mut count) } == 0 {
            // Each asking counts from the one before.
            self.dropped.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// Reads a buffer that CUPTI has filled up to `used`, and writes what it says into the file.
    pub(super) fn read(&self, memory: ptr::NonNull<u8>, used: usize) {
        let Some(next_record) = self.cupti.next_record else { return };
        let mut works = self.works();
        let mut record = ptr::null_mut();
        // SAFETY: the buffer was filled by this CUPTI, with so many bytes.
        while unsafe { next_record(memory.as_ptr(), used, &raw mut record) } == 0 {
            let at = (record as usize).wrapping_sub(memory.as_ptr() as usize);
            if used <= at {
                break;
            }
            // SAFETY: from a record within the buffer to the end of what was filled.
            let bytes = unsafe { core::slice::from_raw_parts(record.cast_const(), used - at) };
            if let Some(activity) = parse(bytes, self.version) {
                works.add(activity, &self.calls, &self.nodes);
            }
        }
    }

    /// The program makes a call: notes the span that it is made in.
    pub(super) fn note(&self, correlation: u32) {
        self.calls.note(correlation, open_node());
    }

    /// A node of a graph was made, or cloned.
    fn note_node(&self, cbid: u32, graph: &GraphData) {
        let id = |node: Handle| {
            let mut id = 0;
            let get = self.cupti.get_graph_node_id.filter(|_| !node.is_null())?;
            // SAFETY: by NVIDIA's headers; CUPTI has handed over the node, and it lives.
            (unsafe { get(node, &raw mut id) } == 0).then_some(id)
        };
        let Some(own) = id(graph.node) else { return };
        if cbid == NODE_MADE {
            self.nodes.note(own, open_node(), graph.sort == KERNEL_NODE);
        } else if let Some(original) = id(graph.original_node) {
            self.nodes.note_clone(own, original, graph.sort == KERNEL_NODE);
        }
    }

    /// The program makes its first call: from now on there is something to collect, at the end too.
    #[cold]
    fn note_use(&self) {
        if !self.is_used.swap(true, Ordering::Relaxed) {
            // Later than the driver's own: it runs before that.
            os::thread::at_exit(at_exit);
        }
    }
}

extern "C" fn at_exit() {
    if let Some(collector) = collector() {
        collector.count_dropped();
        collector.harvest(FORCED);
    }
}

/// What CUPTI says of a call, as far as it is used.
#[repr(C)]
struct CallData {
    /// 0 before the call.
    site: u32,
    function: *const c_void,
    parameters: *const c_void,
    returned: *const c_void,
    symbol: *const c_void,
    context: Handle,
    context_number: u32,
    data: *mut u64,
    correlation: u32,
}

unsafe extern "C" fn on_call(_own: usize, domain: u32, cbid: u32, data: *const c_void) {
    if domain == RESOURCE {
        // SAFETY: CUPTI hands over the description of a resource, or nothing.
        let about = unsafe { data.cast::<ResourceData>().as_ref() }.map(|it| it.about);
        // SAFETY: of the two resources that are listened to it is the description of a node of a graph.
        let graph = about.and_then(|about| unsafe { about.as_ref() });
        if let (Some(graph), Some(collector)) = (graph, collector()) {
            collector.note_node(cbid, graph);
        }
        return;
    }
    // SAFETY: CUPTI hands over the description of a call, or nothing.
    let (Some(data), Some(collector)) = (unsafe { data.cast::<CallData>().as_ref() }, collector())
    else {
        return;
    };
    if data.site != 0 {
        return;
    }
    if !collector.is_used.load(Ordering::Relaxed) {
        collector.note_use();
    }
    collector.note(data.correlation);
}

unsafe extern "C" fn on_requested(buffer: *mut *mut u8, size: *mut usize, most: *mut usize) {
    // In the child of a fork there is no collector, and no device that could have records.
    let empty = collector().map_or_else(Empty::scratch, |it| it.buffers.take());
    // SAFETY: CUPTI hands over three places.
    unsafe {
        *buffer = empty.memory.as_ptr();
        *size = empty.bytes;
        *most = 0;
    }
}

unsafe extern "C" fn on_completed(_: Handle, _: u32, buffer: *mut u8, _size: usize, used: usize) {
    if let (Some(memory), Some(collector)) = (ptr::NonNull::new(buffer), collector()) {
        collector.buffers.put_filled(memory, used);
    }
}

unsafe extern "C" fn on_counter() -> u64 {
    counter()
}

unsafe extern "C" fn on_monotonic() -> u64 {
    os::time::monotonic_ns()
}

/// A child of a fork has no devices: CUDA does not survive it.
pub(crate) fn forget_in_child() {
    #[cfg(not(bottleneck_injection))]
    events::forget_in_child();
    COLLECTOR.store(ptr::null_mut(), Ordering::Relaxed);
}

//! Tells a tool of calls while they are made.
#![expect(unsafe_code, reason = "a C interface: functions of its callers are called")]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// The functions of the driver, by CUPTI's number.
pub const DRIVER_API: u32 = 1;

/// What comes and goes, by CUPTI's number.
pub const RESOURCE: u32 = 3;
/// A node of a graph was made, and one is the clone of another.
pub const NODE_MADE: u32 = 13;
/// See [`NODE_MADE`].
pub const NODE_CLONED: u32 = 20;

/// A tool's function: its own data, domain, number of the function, and a description of the call, or of what has come.
pub type Listener = unsafe extern "C" fn(usize, u32, u32, *const c_void);

/// A call as CUPTI describes it.
#[repr(C)]
#[derive(Debug)]
pub struct Description {
    /// 0 before the call, 1 after it.
    site: u32,
    name: *const c_char,
    parameters: *const c_void,
    returned: *const c_void,
    symbol: *const c_char,
    context: usize,
    context_number: u32,
    /// A place for the tool, the same before and after.
    data: *mut u64,
    correlation: u32,
}

/// Something that has come, as CUPTI describes it.
#[repr(C)]
#[derive(Debug)]
struct Resource {
    context: usize,
    stream: usize,
    about: *const GraphNode,
}

/// A node of a graph.
#[repr(C)]
#[derive(Debug)]
struct GraphNode {
    graph: usize,
    original_graph: usize,
    node: u64,
    original: u64,
    sort: u32,
    dependency: usize,
    executable: usize,
}

thread_local! {
    /// What a listener calls itself is not told.
    static IS_LISTENING: Cell<bool> = const { Cell::new(false) };
}

/// Who listens, and to what.
#[derive(Default)]
pub struct Listeners {
    is_anybody: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    listener: Option<(Listener, usize)>,
    /// Domains and numbers.
    functions: BTreeSet<(u32, u32)>,
}

impl Listeners {
    /// Who listens from now on.
    pub fn subscribe(&self, listener: Option<Listener>, data: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.listener = listener.map(|listener| (listener, data));
        self.is_anybody.store(listener.is_some(), Relaxed);
    }

    /// To what.
    pub fn enable(&self, domain: u32, cbid: u32, is_enabled: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if is_enabled {
            state.functions.insert((domain, cbid));
        } else {
            state.functions.remove(&(domain, cbid));
        }
    }

    /// Tells of a call before it is made (`returned` is `None`) or after.
    pub fn tell(
        &self,
        cbid: u32,
        name: &CStr,
        correlation: u32,
        data: &mut u64,
        returned: Option<i32>,
    ) {
        let description = Description {
            site: u32::from(returned.is_some()),
            name: name.as_ptr(),
            parameters: ptr::null(),
            returned: returned.as_ref().map_or(ptr::null(), |it| ptr::from_ref(it).cast()),
            symbol: ptr::null(),
            context: 1,
            context_number: 1,
            data: ptr::from_mut(data),
            correlation,
        };
        self.call(DRIVER_API, cbid, (&raw const description).cast());
    }

    /// Tells of a node of a graph that was made, or of one that is the clone of `original`. Handles of nodes are their numbers;
    /// `sort` is the driver's number: 0 for kernels.
    pub fn tell_node(&self, cbid: u32, node: u64, original: u64, sort: u32) {
        let node = GraphNode {
            graph: 1,
            original_graph: 0,
            node,
            original,
            sort,
            dependency: 0,
            executable: 0,
        };
        let resource = Resource { context: 1, stream: 0, about: &raw const node };
        self.call(RESOURCE, cbid, (&raw const resource).cast());
    }

    fn call(&self, domain: u32, cbid: u32, about: *const c_void) {
        if !self.is_anybody.load(Relaxed) {
            return;
        }
        let found = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.listener.filter(|_| state.functions.contains(&(domain, cbid)))
        };
        let Some((listener, own)) = found else { return };
        if IS_LISTENING.try_with(|it| it.replace(true)).unwrap_or(true) {
            return;
        }
        // SAFETY: the function was handed over to be called like this; what it is about lives until it returns.
        unsafe { listener(own, domain, cbid, about) };
        _ = IS_LISTENING.try_with(|it| it.set(false));
    }
}

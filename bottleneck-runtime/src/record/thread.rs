//! Threads that come and go: attaching a recorder at the first span, leaving it at the end.

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;
use std::sync::PoisonError;

use super::process;
use super::recorder::{Recorder, SwitchSource, add, no_node};
use super::session::Session;
use crate::format::{CHUNK_HEAD_BYTES, ChunkKind, GRANULE, NODE_BYTES, Node, Tree, tree};
use crate::os;
use crate::os::ring::{Refused, Ring};

thread_local! {
    /// The recorder of this thread, or null: before its first span, at its end, and where nothing is recorded.
    static RECORDER: Cell<*const Recorder> = const { Cell::new(ptr::null()) };
    /// The thread is inside the recorder: what comes from a signal handler or an allocator meanwhile is not recorded.
    static BUSY: Cell<bool> = const { Cell::new(false) };
    /// Leaves the recorder when the thread ends.
    static AT_END: Leave = const { Leave };
}

struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        detach();
    }
}

/// Data pages of a ring: 512 waits before the background thread must have looked. Then what is left of the limit of
/// locked memory: 8 MiB hold 120 rings of the first size.
const RING_PAGES: [usize; 3] = [16, 4, 1];

/// What the main thread is called; the kernel gives it the program's name.
pub(super) const MAIN_NAME: [u8; 16] = *b"main\0\0\0\0\0\0\0\0\0\0\0\0";

/// A thread's name without its digits: threads of one pool have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameClass([u8; 16]);

impl NameClass {
    /// That of the main thread, which no name has: the kernel gives its name to every thread without one, and those must
    /// not share its tree.
    pub(super) const MAIN: Self = Self([u8::MAX; 16]);

    /// That of the calling thread.
    fn here() -> Self {
        if os::thread::is_main() { Self::MAIN } else { Self::of(os::thread::name()) }
    }

    pub(super) fn of(name: [u8; 16]) -> Self {
        let mut class = [0; 16];
        let kept = name.into_iter().filter(|byte| *byte != 0 && !byte.is_ascii_digit());
        for (to, byte) in class.iter_mut().zip(kept) {
            *to = byte;
        }
        Self(class)
    }
}

/// The recorder of this thread, if it has one already.
#[inline(always)]
pub(crate) fn attached() -> Option<&'static Recorder> {
    // SAFETY: null or a leaked recorder.
    unsafe { RECORDER.get().as_ref() }
}

/// The innermost open node of the calling thread; 0 for none.
pub(crate) extern "C" fn open_node() -> u32 {
    attached().map_or(0, Recorder::open_node)
}

/// Runs `inside` with this thread marked busy, or not at all if it is.
pub(super) fn undisturbed<R>(inside: impl FnOnce() -> R) -> Option<R> {
    if BUSY.replace(true) {
        return None;
    }
    let result = inside();
    BUSY.set(false);
    Some(result)
}

/// The thread's first span: finds it a recorder. `None` where nothing is recorded.
#[cold]
#[inline(never)]
pub(crate) fn attach() -> Option<&'static Recorder> {
    attach_as(0)
}

/// The same; `whose` is what the tree's flags say from the first moment that a reader may see it.
fn attach_as(whose: u32) -> Option<&'static Recorder> {
    let session = undisturbed(process::session)??;
    let recorder = undisturbed(|| {
        // Registers the destructor; refused in the last moments of a thread, whose spans then are lost.
        AT_END.try_with(|_| ()).ok()?;
        recorder_for(session, whose)
    });
    let Some(Some(recorder)) = recorder else {
        session.arena.header().lost.fetch_add(1, Relaxed);
        return None;
    };
    RECORDER.set(recorder);
    Some(recorder)
}

/// The recorder of a thread of the recorder itself, whose tree is not a part of the program.
pub(super) fn attach_own() -> Option<&'static Recorder> {
    let recorder = attach_as(tree::FLAG_RECORDER)?;
    recorder.session.arena.header().threads.fetch_sub(1, Relaxed);
    Some(recorder)
}

fn recorder_for(session: &'static Session, whose: u32) -> Option<&'static Recorder> {
    let name = os::thread::name();
    let class = NameClass::here();
    let left_behind = {
        let mut idle = session.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let at = idle.iter().position(|(other, _)| *other == class);
        at.map(|at| idle.swap_remove(at).1)
    };
    let recorder = match left_behind {
        Some(recorder) => recorder,
        None => new_recorder(session, whose)?,
    };
    begin(recorder, name, whose);
    Some(recorder)
}

fn new_recorder(session: &'static Session, whose: u32) -> Option<&'static Recorder> {
    let tree_chunk = session.arena.chunk(256)?;
    let root_chunk = session.arena.chunk(NODE_BYTES)?;
    // SAFETY: the payload has 256 bytes of zeros, 64-aligned, which are a valid `Tree`; the mapping stays for good.
    let tree: &'static Tree = unsafe { &*tree_chunk.payload().cast::<Tree>() };
    // SAFETY: likewise for a `Node`. Its alignment within the page is that of a chunk, 64; see the assertion.
    let root: &'static Node = unsafe { &*root_chunk.payload().cast::<Node>() };
    root.min.store(u64::MAX, Relaxed);
    root.own_parent.store(ptr::from_ref(root) as u64, Relaxed);
    root.own_recent_child.store(no_node(), Relaxed);
    tree.root.store(root_chunk.reference, Relaxed);
    tree.flags.store(whose, Relaxed);
    root_chunk.publish(ChunkKind::Nodes, 0);
    tree_chunk.publish(ChunkKind::Tree, 0);
    let recorder: &'static Recorder = Box::leak(Box::new(Recorder::new(session, tree, root)));
    session.recorders.lock().unwrap_or_else(PoisonError::into_inner).push(recorder);
    Some(recorder)
}

const _: () = assert!(align_of::<Node>() <= GRANULE && CHUNK_HEAD_BYTES.is_multiple_of(GRANULE));

/// The calling thread takes the recorder over.
fn begin(recorder: &'static Recorder, name: [u8; 16], whose: u32) {
    let (session, tree) = (recorder.session, recorder.tree);
    let tid = os::thread::tid();
    let is_main = os::thread::is_main();
    let now = os::time::monotonic_ns();
    let mut shown = name;
    if is_main {
        // The kernel calls it by the program's name.
        shown = MAIN_NAME;
    }
    let half =
        |at: usize| u64::from_ne_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|byte| shown[at + byte]));
    tree.name_0.store(half(0), Relaxed);
    tree.name_1.store(half(8), Relaxed);
    tree.tid.store(tid, Relaxed);
    if tree.threads.load(Relaxed) == 0 {
        tree.first_ns.store(now, Relaxed);
    }
    add(&tree.threads, 1);
    session.arena.header().threads.fetch_add(1, Relaxed);
    tree.attached_ns.store(now, Relaxed);
    tree.attached_cpu_ns.store(os::time::thread_cpu_ns(), Relaxed);
    tree.detached_ns.store(0, Relaxed);
    tree.off_since_ns.store(0, Relaxed);
    let main = if is_main { tree::FLAG_MAIN } else { 0 };
    tree.flags.store(tree::FLAG_IN_USE | main | whose, Relaxed);
    session.threads.join(tid, recorder);
    if session.threads.problem().is_none() {
        session.note_samples(true);
    }
    match open_ring(session.threads.problem().is_some()) {
        Ok(ring) => {
            tree.source.store(tree::SOURCE_SWITCHES, Relaxed);
            recorder.take_ring(ring, tid);
        }
        Err(refused) => {
            tree.source.store(tree::SOURCE_THREAD_CLOCK, Relaxed);
            let (call, errno) = match refused {
                Refused::Open(errno) => (1, errno),
                Refused::Map(errno) => (2, errno),
            };
            tree.refused_call.store(call, Relaxed);
            tree.refused_errno.store(u64::from(errno.0.cast_unsigned()), Relaxed);
            recorder.take_thread_clock(tid);
        }
    }
}

fn open_ring(wants_samples: bool) -> Result<Ring, Refused> {
    let mut refused = Refused::Open(os::Errno(libc::ENOSYS));
    for pages in RING_PAGES {
        match Ring::open(pages, wants_samples) {
            Ok(ring) => return Ok(ring),
            Err(Refused::Open(errno)) => return Err(Refused::Open(errno)),
            Err(error @ Refused::Map(_)) => refused = error,
        }
    }
    Err(refused)
}

/// The thread ends: closes what is open, and leaves the recorder to the next thread of this name.
fn detach() {
    let Some(recorder) = attached() else {
        return;
    };
    undisturbed(|| {
        recorder.close_all();
        recorder.session.threads.leave(os::thread::tid());
        recorder.drop_ring();
        let tree = recorder.tree;
        let now = os::time::monotonic_ns();
        add(&tree.lived_ns, now.saturating_sub(tree.attached_ns.load(Relaxed)));
        add(
            &tree.lived_cpu_ns,
            os::time::thread_cpu_ns().saturating_sub(tree.attached_cpu_ns.load(Relaxed)),
        );
        tree.detached_ns.store(now, Relaxed);
        tree.flags.store(tree.flags.load(Relaxed) & !tree::FLAG_IN_USE, Relaxed);
        RECORDER.set(ptr::null());
        let class = NameClass::here();
        let mut idle = recorder.session.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((class, recorder));
    });
}

/// Brings the records of the calling thread up to date.
pub(super) fn account_now() {
    if let Some(recorder) = attached() {
        undisturbed(|| recorder.account_own());
    }
}

/// In a forked child: the guards that are open write into private zeros from now on, and there is no ring.
pub(super) fn forget_in_child() {
    if let Some(recorder) = attached() {
        recorder.set_switch_source(SwitchSource::Nothing);
    }
    RECORDER.set(ptr::null());
    BUSY.set(false);
}

//! The program's own recorder: found by its recording, which is mapped into this process, and asked for the span that is open.

use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use core::{mem, ptr};
use std::fs;

use crate::format::{HEADER_BYTES, Header, MAGIC};
use crate::os;

/// Asks for the innermost open node of the calling thread.
type OpenNode = extern "C" fn() -> u32;

/// The header of the recording, once it was found.
static HEADER: AtomicPtr<Header> = AtomicPtr::new(ptr::null_mut());
/// When to look again, by `CLOCK_MONOTONIC`, and how long after that, in ns.
static NEXT_LOOK_NS: AtomicU64 = AtomicU64::new(0);
static PAUSE_NS: AtomicU64 = AtomicU64::new(1_000_000);
/// A program that has no span for a long time is looked at rarely: a look takes up to a millisecond.
const LONGEST_PAUSE_NS: u64 = 1_000_000_000;

fn header() -> Option<&'static Header> {
    // Acquire: pairs with the Release in `look`.
    // SAFETY: null, or a mapping that its recorder keeps for the life of the process.
    unsafe { HEADER.load(Ordering::Acquire).as_ref() }
}

/// The innermost open node of the calling thread, as the program's recorder numbers them; 0 for none.
pub(crate) fn open_node() -> u32 {
    if header().is_none() && NEXT_LOOK_NS.load(Ordering::Relaxed) <= os::time::monotonic_ns() {
        look();
    }
    let Some(header) = header() else { return 0 };
    let address = header.open_node.load(Ordering::Relaxed);
    if address == 0 {
        return 0;
    }
    // SAFETY: the recorder of this very process (by its number, see `find`) wrote the address of its own function of this type,
    // which stays as long as the process.
    let open_node: OpenNode = unsafe { mem::transmute(address as *const ()) };
    open_node()
}

/// Whether the program's recorder is told by CUPTI itself.
pub(super) fn collects_devices() -> bool {
    header().is_some_and(|it| it.collects_devices.load(Ordering::Relaxed) != 0)
}

/// Looks whether the program records by now.
pub(super) fn look() {
    let pause_ns = PAUSE_NS.load(Ordering::Relaxed);
    NEXT_LOOK_NS.store(os::time::monotonic_ns() + pause_ns, Ordering::Relaxed);
    PAUSE_NS.store((2 * pause_ns).min(LONGEST_PAUSE_NS), Ordering::Relaxed);
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    if let Some(found) = maps.lines().find_map(find) {
        // Release: pairs with the Acquire in `header`.
        HEADER.store(found.cast_mut(), Ordering::Release);
    }
}

/// The header in this mapping, if it is a recording that this process writes.
fn find(line: &str) -> Option<*const Header> {
    let mut words = line.split_ascii_whitespace();
    let (range, access, offset) = (words.next()?, words.next()?, words.next()?);
    let name = words.nth(2)?;
    let is_recording = name.ends_with(".bneck") || name.contains("bottleneck-recording");
    if !is_recording || !access.starts_with("rw") || offset.bytes().any(|it| it != b'0') {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    let (start, end) = (address(start)?, address(end)?);
    if end.checked_sub(start)? < HEADER_BYTES {
        return None;
    }
    let header = start as *const Header;
    // SAFETY: the mapping begins here, has the size of a header, and stays: recordings are never unmapped. It is made of atomics.
    let its = unsafe { &*header };
    // Acquire: pairs with the recorder's Release, which comes when the header is complete.
    let is_ours = its.magic.load(Ordering::Acquire) == u64::from_ne_bytes(MAGIC)
        && its.pid.load(Ordering::Relaxed) == os::thread::pid();
    is_ours.then_some(header)
}

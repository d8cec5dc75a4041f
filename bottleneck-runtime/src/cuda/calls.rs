//! Calls of the driver that are noted, and the spans that they are made in.
//!
//! CUPTI tells of a call while it is made, on its own thread: then the innermost open span is known, on the thread of an
//! asynchronous call too, and nothing is done where no call is made. Records name the call by its correlation number.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Functions of the driver whose calls are noted, by CUPTI's number. Of those that come in two (with a default stream for each
/// thread) both.
pub(crate) const NOTED: &[u32] = &[
    307, 442, // cuLaunchKernel
    652, 653, // cuLaunchKernelEx
    514, 515, // cuGraphLaunch
    276, 278, 280, // cuMemcpyHtoD, DtoH, DtoD
    277, 421, 279, 422, 281, 423, // the same, in the order of a stream
    216, 217, 218, // cuMemsetD8Async, D16, D32
    126, 440, // cuStreamSynchronize
    17,  // cuCtxSynchronize
    121, // cuEventSynchronize
    295, 439, // cuStreamWaitEvent
    119, 438, // cuEventRecord
    243, 245, 598, 600, 39, // cuMemAlloc, Free, AllocAsync, FreeAsync, HostAlloc
    19, // cuModuleLoadData
];

/// Calls whose records may still come: those of some seconds.
const CALLS: usize = 1 << 16;

/// The spans of the newest calls, by the lower bits of their correlation number.
#[derive(Debug)]
pub(crate) struct Calls(Box<[AtomicU64]>);

impl Calls {
    pub(crate) fn new() -> Self {
        Self((0..CALLS).map(|_| AtomicU64::new(0)).collect())
    }

    /// A call is made in this span; 0 for none.
    pub(crate) fn note(&self, correlation: u32, node: u32) {
        if let Some(slot) = self.0.get(correlation as usize % CALLS) {
            // Relaxed: both halves come together, and a record of the call comes through a lock of CUPTI's.
            slot.store(u64::from(correlation) << 32 | u64::from(node), Relaxed);
        }
    }

    /// The span of a call; `None` if it was not noted, or too long ago.
    pub(crate) fn span_of(&self, correlation: u32) -> Option<u32> {
        let noted = self.0.get(correlation as usize % CALLS)?.load(Relaxed);
        let (its, node) = (noted >> 32, noted & u64::from(u32::MAX));
        (its == u64::from(correlation) && correlation != 0)
            .then(|| u32::try_from(node).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_until_another_takes_its_place() {
        let calls = Calls::new();
        calls.note(5, 77);
        calls.note(6, 0);
        assert_eq!(
            (calls.span_of(5), calls.span_of(6), calls.span_of(7)),
            (Some(77), Some(0), None)
        );
        calls.note(5 + 65_536, 78);
        assert_eq!((calls.span_of(5), calls.span_of(5 + 65_536)), (None, Some(78)));
        assert_eq!(calls.span_of(0), None, "nothing was noted of it");
    }
}

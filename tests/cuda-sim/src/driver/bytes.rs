//! Bytes that jobs move: when their turn comes, which is at their submission unless a host function is before them.

use std::ptr;
use std::slice;

use super::work::Job;
use crate::device::{Direction, STAGED_BYTES};
use crate::memory::{Memory, Whose};

/// Bytes of the program that the driver takes over before the call returns: a small copy from pageable memory, which the program
/// may use again at once. `None` for every other job.
pub(super) fn taken_over(job: &Job) -> Option<Box<[u8]>> {
    let Job::Copy { direction: Direction::HostToDevice, from, bytes, is_pinned: false, .. } = *job
    else {
        return None;
    };
    (bytes <= STAGED_BYTES).then(|| {
        // SAFETY: by the C interface the memory that is copied has as many bytes, and is there until the call returns.
        unsafe { slice::from_raw_parts(from as *const u8, count(bytes)) }.into()
    })
}

/// Moves the bytes of a job, of which some may have been taken over. What a program has given back before their turn, which it must
/// not, is left alone.
pub(super) fn carry_out(memory: &Memory, job: &Job, taken_over: Option<&[u8]>) {
    match *job {
        Job::Copy { direction, to, from, bytes, is_pinned, .. } => {
            let bytes = count(bytes);
            let from_device = direction != Direction::HostToDevice;
            let to_device = direction != Direction::DeviceToHost;
            let is_there = |address: u64, is_of_device: bool| {
                if is_of_device {
                    memory.is_of_device(address, bytes)
                } else {
                    !is_pinned || memory.whose(address) == Whose::Pinned
                }
            };
            if !is_there(to, to_device) || !is_there(from, from_device) {
                return;
            }
            let from = taken_over.map_or(from as *const u8, <[u8]>::as_ptr);
            // SAFETY: what is of the device is in one allocation, and pinned memory is there, which the caller's lock of the
            // machine keeps so; by the C interface memory of the program has as many bytes and is there until the copy is done.
            // What was taken over has the bytes of the copy.
            unsafe { ptr::copy(from, to as *mut u8, bytes) };
        }
        Job::Set { to, value, width, bytes } => {
            let bytes = count(bytes);
            if !memory.is_of_device(to, bytes) {
                return;
            }
            // SAFETY: the range is in one allocation of the device, which the caller's lock of the machine keeps.
            let places = unsafe { slice::from_raw_parts_mut(to as *mut u8, bytes) };
            let value = value.to_ne_bytes();
            for place in places.chunks_exact_mut(width) {
                place.copy_from_slice(&value[..width]);
            }
        }
        Job::Kernel { .. } | Job::Host(_) => {}
    }
}

fn count(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

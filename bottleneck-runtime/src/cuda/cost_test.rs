//! What an operation of a device costs the program and the collector's thread.

use core::ffi::c_int;
use core::ptr;

use super::activity::kind;
use super::buffers::BUFFER_BYTES;
use super::collector::Collector;
use super::functions::{Cupti, Driver};
use crate::os;
use crate::record::session::{Place, RECORDING, Session};

/// Bytes of a kernel's record in CUDA 12, and of a call's.
const KERNEL: usize = 208;
const CALL: usize = 40;

/// Records in a buffer, a kernel and its call in turns.
unsafe extern "C" fn next_record(buffer: *mut u8, valid: usize, record: *mut *mut u8) -> c_int {
    const NO_MORE: c_int = 12;
    // SAFETY: the caller hands over a place, and a buffer with so many bytes.
    unsafe {
        let before = (*record).cast_const();
        let next = if before.is_null() {
            buffer
        } else {
            let is_kernel = before.cast::<u32>().read_unaligned() == kind::CONCURRENT_KERNEL;
            (*record).add(if is_kernel { KERNEL } else { CALL })
        };
        if buffer as usize + valid <= next as usize {
            return NO_MORE;
        }
        *record = next;
    }
    0
}

fn put(buffer: &mut [u8], at: usize, value: &[u8]) {
    buffer[at..at + value.len()].copy_from_slice(value);
}

/// A buffer that is full of kernels and their calls; returns how many, and the bytes that are used.
fn fill(buffer: &mut [u8], name: &core::ffi::CStr) -> (u32, usize) {
    let (mut used, mut count) = (0, 0_u32);
    while used + KERNEL + CALL <= buffer.len() {
        count += 1;
        put(buffer, used, &kind::CONCURRENT_KERNEL.to_ne_bytes());
        put(buffer, used + 16, &(1000 * u64::from(count)).to_ne_bytes());
        put(buffer, used + 24, &(1000 * u64::from(count) + 900).to_ne_bytes());
        put(buffer, used + 92, &count.to_ne_bytes());
        put(buffer, used + 104, &(name.as_ptr() as u64).to_ne_bytes());
        used += KERNEL;
        put(buffer, used, &kind::DRIVER.to_ne_bytes());
        put(buffer, used + 32, &count.to_ne_bytes());
        used += CALL;
    }
    (count, used)
}

#[test]
fn an_operation_costs_less_than_a_microsecond() {
    let folder = std::env::temp_dir().join(format!("bottleneck-cost-{}", os::thread::pid()));
    std::fs::create_dir_all(&folder).unwrap();
    let place = Place { directory: folder.clone(), fallback: None, extension: RECORDING };
    let session: &'static Session = Box::leak(Box::new(Session::start(&place).unwrap()));
    let cupti = Cupti { next_record: Some(next_record), ..Cupti::default() };
    let collector = Collector::new(session, cupti, Driver::default(), 12_080);
    let mut buffer = vec![0; BUFFER_BYTES];
    let (count, used) = fill(&mut buffer, c"decode");
    // CPU time of this thread, and the least of some rounds: other programs have no part in it.
    let least_ns = |round: &mut dyn FnMut()| {
        let once = |_| {
            let before = os::time::thread_cpu_ns();
            round();
            os::time::thread_cpu_ns() - before
        };
        (0..8).map(once).min().unwrap() / u64::from(count)
    };
    let in_call = least_ns(&mut || (1..=count).for_each(|it| collector.note(it)));
    let memory = ptr::NonNull::new(buffer.as_mut_ptr()).unwrap();
    let later = least_ns(&mut || collector.read(memory, used));
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(in_call < 100, "{in_call} ns on the program's thread");
    assert!(in_call + later < 1000, "{in_call} ns and {later} ns for each operation and its call");
}

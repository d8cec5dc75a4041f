//! Context switches of one thread, and samples of its instructions, from the kernel's perf ring: unprivileged, without a
//! hardware counter.
//!
//! The event is a dummy that counts nothing; where threads cannot be sampled otherwise, a software clock of the thread's CPU time, which
//! samples. The attribute's bits and the layout of a
//! record are those of `perf_event_open(2)` and `linux/perf_event.h`.
#![expect(
    clippy::cast_possible_truncation,
    reason = "the kernel packs narrow fields into words, and a ring has a few pages"
)]

use core::sync::atomic::{AtomicU64, Ordering};

use super::Errno;
use super::descriptor::Descriptor;

/// `struct perf_event_attr`, as long as the kernel has known it since 5.13; an older kernel takes the shorter prefix.
#[repr(C)]
#[derive(Default)]
struct Attribute {
    kind: u32,
    size: u32,
    config: u64,
    period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_watermark: u32,
    breakpoint_type: u32,
    config1: u64,
    config2: u64,
    branch_sample_type: u64,
    user_registers: u64,
    user_stack: u32,
    clock: i32,
    interrupt_registers: u64,
    aux_watermark: u32,
    max_stack: u16,
    reserved: u16,
}

const SOFTWARE: u32 = 1;
const CPU_CLOCK: u64 = 0;
const DUMMY: u64 = 9;
const EXCLUDE_KERNEL: u64 = 1 << 5;
const EXCLUDE_HYPERVISOR: u64 = 1 << 6;
const WATERMARK: u64 = 1 << 14;
const SAMPLE_ID_ALL: u64 = 1 << 18;
const USE_CLOCK: u64 = 1 << 25;
const CONTEXT_SWITCH: u64 = 1 << 26;
const SAMPLE_IP: u64 = 1;
const SAMPLE_TID: u64 = 1 << 1;
const SAMPLE_TIME: u64 = 1 << 2;
const SAMPLE_CPU: u64 = 1 << 7;
const FLAG_CLOEXEC: u64 = 8;

/// CPU time of a thread between two samples, in ns: a hundred a second, at 17 to 20 µs each in a virtual machine.
pub(crate) const SAMPLE_PERIOD_NS: u64 = 10_000_000;

const RECORD_LOST: u32 = 2;
const RECORD_SAMPLE: u32 = 9;
const RECORD_SWITCH: u32 = 14;
const MISC_SWITCH_OUT: u16 = 0x2000;
const MISC_SWITCH_OUT_PREEMPT: u16 = 0x4000;

/// Offset of `data_head` and `data_tail` in the ring's first page.
const HEAD_AT: usize = 1024;
const TAIL_AT: usize = 1032;
const PAGE: usize = 4096;

/// Which call the kernel refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refused {
    /// `perf_event_open`.
    Open(Errno),
    /// `mmap` of the ring: usually the limit of locked memory.
    Map(Errno),
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// The thread left the CPU at this time; `preempted` if it could have gone on.
    Out { at_ns: u64, preempted: bool },
    /// The thread is back on a CPU.
    In { at_ns: u64 },
    /// The thread was at this instruction.
    Sample { address: u64 },
    /// The ring was full and so many records were not written.
    Lost { count: u64 },
}

/// The ring of one thread.
#[derive(Debug)]
pub(crate) struct Ring {
    fd: Descriptor,
    base: *mut u8,
    data_bytes: u64,
    has_samples: bool,
}

// SAFETY: the ring is memory shared with the kernel; it is read under the owner's lock only.
unsafe impl Send for Ring {}

impl Ring {
    /// Opens the ring of the calling thread with `pages` (a power of two) data pages.
    /// With samples where they are wanted and can be had.
    pub(crate) fn open(pages: usize, wants_samples: bool) -> Result<Self, Refused> {
        if wants_samples {
            match Self::open_with(pages, true) {
                Err(Refused::Open(_)) => {}
                result => return result,
            }
        }
        Self::open_with(pages, false)
    }

    fn open_with(pages: usize, has_samples: bool) -> Result<Self, Refused> {
        let attribute = Attribute {
            kind: SOFTWARE,
            size: size_of::<Attribute>() as u32,
            config: if has_samples { CPU_CLOCK } else { DUMMY },
            period: if has_samples { SAMPLE_PERIOD_NS } else { 0 },
            sample_type: SAMPLE_IP | SAMPLE_TID | SAMPLE_TIME | SAMPLE_CPU,
            flags: EXCLUDE_KERNEL
                | EXCLUDE_HYPERVISOR
                | WATERMARK
                | SAMPLE_ID_ALL
                | USE_CLOCK
                | CONTEXT_SWITCH,
            wakeup_watermark: (pages * PAGE / 4) as u32,
            clock: libc::CLOCK_MONOTONIC,
            ..Attribute::default()
        };
        // SAFETY: the attribute is valid for the call and states its own size.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const attribute,
                0_i32,
                -1_i32,
                -1_i32,
                FLAG_CLOEXEC,
            )
        } as i32;
        if fd < 0 {
            return Err(Refused::Open(Errno::last()));
        }
        let bytes = (pages + 1) * PAGE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no other memory.
        let base = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(core::ptr::null_mut(), bytes, access, libc::MAP_SHARED, fd, 0)
        };
        if base == libc::MAP_FAILED {
            let error = Errno::last();
            // SAFETY: our own descriptor, not used again.
            unsafe { libc::close(fd) };
            return Err(Refused::Map(error));
        }
        let data_bytes = (pages * PAGE) as u64;
        Ok(Self { fd: Descriptor::new(fd), base: base.cast(), data_bytes, has_samples })
    }

    /// Whether the thread is sampled every [`SAMPLE_PERIOD_NS`].
    pub(crate) fn has_samples(&self) -> bool {
        self.has_samples
    }

    /// Where the kernel counts the bytes that it wrote. It moves when the thread was switched out or in, or sampled.
    pub(crate) fn head(&self) -> &AtomicU64 {
        self.word(HEAD_AT)
    }

    /// The descriptor becomes readable when the ring is a quarter full.
    pub(crate) fn fd(&self) -> i32 {
        self.fd.unchecked()
    }

    /// Hands over every record written so far and frees its place. Returns the head up to which it read.
    pub(crate) fn drain(&mut self, each: impl FnMut(Record)) -> u64 {
        let head = self.read_from(self.tail(), each);
        // Release: pairs with the kernel's read of `data_tail`; our reads of the records are done.
        self.word(TAIL_AT).store(head, Ordering::Release);
        head
    }

    /// Position of the oldest record that was not drained.
    fn tail(&self) -> u64 {
        self.word(TAIL_AT).load(Ordering::Relaxed)
    }

    /// Whether there is no place for another record.
    pub(crate) fn is_full(&self) -> bool {
        /// The longest record that is written here.
        const RECORD_BYTES: u64 = 48;
        let used = self.head().load(Ordering::Relaxed).wrapping_sub(self.tail());
        self.data_bytes < used + RECORD_BYTES
    }

    /// Hands over the records from a position, which is the tail or a head that was returned since it was
    /// passed, and leaves them where they are. Returns the head up to which it read.
    pub(crate) fn read_from(&self, from: u64, mut each: impl FnMut(Record)) -> u64 {
        // Acquire: pairs with the kernel's release of `data_head`; the records below it are complete.
        let head = self.head().load(Ordering::Acquire);
        let mut at = from;
        while at < head {
            let record_head = self.data(at);
            let kind = record_head as u32;
            let misc = (record_head >> 32) as u16;
            let bytes = record_head >> 48;
            if bytes < 8 || bytes > head - at {
                // The kernel does not write such a record: give up on this batch rather than misread it.
                each(Record::Lost { count: 1 });
                break;
            }
            match kind {
                RECORD_SWITCH if misc & MISC_SWITCH_OUT != 0 => each(Record::Out {
                    at_ns: self.data(at + 16),
                    preempted: misc & MISC_SWITCH_OUT_PREEMPT != 0,
                }),
                RECORD_SWITCH => each(Record::In { at_ns: self.data(at + 16) }),
                RECORD_SAMPLE => each(Record::Sample { address: self.data(at + 8) }),
                RECORD_LOST => each(Record::Lost { count: self.data(at + 16) }),
                _ => {}
            }
            at += bytes;
        }
        head
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        // SAFETY: `at` is one of the two offsets above, 8-aligned and within the first mapped page.
        unsafe { &*self.base.add(at).cast::<AtomicU64>() }
    }

    /// A `u64` of the ring. Records are 8-aligned and the ring is a multiple of 8, so it never wraps inside.
    fn data(&self, at: u64) -> u64 {
        let offset = PAGE + (at % self.data_bytes) as usize;
        // SAFETY: within the data pages by the remainder, and 8-aligned. The kernel does not write below `data_head`
        // and above `data_tail`.
        unsafe { self.base.add(offset).cast::<u64>().read() }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: our own mapping, not used again.
        unsafe { libc::munmap(self.base.cast(), self.data_bytes as usize + PAGE) };
    }
}

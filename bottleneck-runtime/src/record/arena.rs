//! Space for chunks in the mapped file: handed out in order, never taken back.
#![expect(
    clippy::cast_possible_truncation,
    reason = "a reference counts 64-byte units of at most 256 GiB; texts are cut to one chunk"
)]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::format::{CHUNK_HEAD_BYTES, ChunkHead, ChunkKind, GRANULE, HEADER_BYTES, Header};
use crate::os::map::FileMap;

/// The file begins with this many bytes.
pub(crate) const FIRST_BYTES: usize = 256 << 10;
/// Address space reserved for the file, which is its greatest length. Where the process may not reserve so much, less.
#[cfg(not(feature = "cuda"))]
pub(crate) const RESERVED_BYTES: [usize; 2] = [256 << 20, 32 << 20];
/// With room for the log of devices, see [`crate::cuda`]: less than readers take.
#[cfg(feature = "cuda")]
pub(crate) const RESERVED_BYTES: [usize; 2] = [768 << 20, 32 << 20];
const STEP_BYTES: usize = 1 << 20;

/// The chunks of one file.
#[derive(Debug)]
pub(crate) struct Arena {
    map: FileMap,
    /// Bytes of the file that have space behind them, and the first free one.
    growth: Mutex<Growth>,
    /// No more space is handed out: the disk is full, or this is a forked child that must leave the file alone.
    closed: AtomicBool,
}

#[derive(Debug)]
struct Growth {
    used: usize,
    taken: usize,
}

/// A chunk that is not yet visible to readers.
#[derive(Debug)]
pub(crate) struct NewChunk {
    head: NonNull<u8>,
    /// File offset of the payload divided by [`GRANULE`].
    pub(crate) reference: u32,
}

impl Arena {
    /// Takes over a mapping of [`FIRST_BYTES`] zeros.
    pub(crate) fn new(map: FileMap) -> Self {
        Self {
            map,
            growth: Mutex::new(Growth { used: HEADER_BYTES, taken: FIRST_BYTES }),
            closed: AtomicBool::new(false),
        }
    }

    /// First byte of the mapping: what references count from.
    #[inline]
    pub(crate) fn base(&self) -> *mut u8 {
        self.map.base()
    }

    /// The header page.
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the mapping begins with the header page, which has space behind it since the file was made; `Header` is
        // made of atomics, for which any bytes are valid.
        unsafe { &*self.base().cast::<Header>() }
    }

    /// Hands out no more space.
    pub(crate) fn close(&self) {
        // Relaxed: only a hint to save work; `cut_off` protects the file.
        self.closed.store(true, Ordering::Relaxed);
    }

    /// See [`FileMap::cut_off`]. Only for a child after `fork`.
    pub(crate) fn cut_off(&self) {
        self.close();
        self.map.cut_off();
    }

    /// Space for a chunk with `payload` bytes of zeros, or `None` when there is none; then that is noted in the header.
    pub(crate) fn chunk(&self, payload: usize) -> Option<NewChunk> {
        self.take(payload, true).unwrap_or_else(|errno| {
            self.header().full.store(1 | u64::from(errno.cast_unsigned()) << 32, Ordering::Relaxed);
            // Asking again at every call would cost the program a system call each.
            self.close();
            None
        })
    }

    /// The same for what paths can do without: where there is no space for it, there may be some for them.
    pub(crate) fn spare_chunk(&self, payload: usize) -> Option<NewChunk> {
        self.take(payload, false).ok().flatten()
    }

    /// `None` once no more space is handed out; the error number where there is too little. A chunk that is not `hot` is left
    /// to be faulted in page by page.
    fn take(&self, payload: usize, hot: bool) -> Result<Option<NewChunk>, i32> {
        if self.closed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let bytes = (CHUNK_HEAD_BYTES + payload).next_multiple_of(GRANULE);
        let mut growth = self.growth.lock().unwrap_or_else(PoisonError::into_inner);
        let taken_before = growth.taken;
        while growth.used + bytes > growth.taken {
            self.grow(&mut growth)?;
        }
        let at = growth.used;
        if taken_before < growth.taken {
            let first = if hot { taken_before } else { taken_before.max(at + bytes) };
            self.map.touch(first, growth.taken - first);
        }
        // SAFETY: `at + bytes` is below `taken`, so there is space behind it, and below the reserved length.
        let head = unsafe { NonNull::new_unchecked(self.base().add(at)) };
        // SAFETY: 64-aligned because every chunk is; atomics are valid for any bytes.
        let chunk_head = unsafe { head.cast::<ChunkHead>().as_ref() };
        chunk_head.len.store(bytes as u64, Ordering::Relaxed);
        growth.used += bytes;
        // Release: pairs with the reader's look at `used`; the length above is in place before the chunk is within it.
        self.header().used.store(growth.used as u64, Ordering::Release);
        Ok(Some(NewChunk { head, reference: ((at + CHUNK_HEAD_BYTES) / GRANULE) as u32 }))
    }

    fn grow(&self, growth: &mut Growth) -> Result<(), i32> {
        let step = STEP_BYTES.min(self.map.reserved() - growth.taken);
        if step == 0 {
            return Err(libc::EFBIG);
        }
        self.map.extend(growth.taken, step).map_err(|errno| errno.0)?;
        growth.taken += step;
        Ok(())
    }

    /// A chunk whose payload is these bytes. Returns whether there was space.
    pub(crate) fn text_chunk(
        &self,
        kind: ChunkKind,
        bytes: usize,
        write: impl FnOnce(&mut dyn FnMut(&[u8])),
    ) -> bool {
        let Some(chunk) = self.chunk(bytes) else {
            return false;
        };
        let mut at = 0;
        write(&mut |part: &[u8]| {
            let part = &part[..part.len().min(bytes - at)];
            // SAFETY: `at + part.len() <= bytes`, the payload's length; no reader looks before `publish`.
            unsafe { chunk.payload().add(at).copy_from_nonoverlapping(part.as_ptr(), part.len()) };
            at += part.len();
        });
        chunk.publish(kind, bytes as u32);
        true
    }
}

impl NewChunk {
    /// First byte of the payload.
    pub(crate) fn payload(&self) -> *mut u8 {
        // SAFETY: a chunk is longer than its head.
        unsafe { self.head.as_ptr().add(CHUNK_HEAD_BYTES) }
    }

    /// Makes the chunk visible to readers.
    pub(crate) fn publish(self, kind: ChunkKind, aux: u32) {
        // SAFETY: as in `Arena::chunk`.
        let head = unsafe { self.head.cast::<ChunkHead>().as_ref() };
        head.aux.store(aux, Ordering::Relaxed);
        // Release: pairs with the reader, which trusts the payload of a chunk whose kind is not 0.
        head.kind.store(kind as u32, Ordering::Release);
    }
}

//! Code: the instructions around those that were sampled, and where the program's code comes from.
//!
//! A chunk of kind [`super::ChunkKind::Code`] holds up to [`BLOCKS`] entries of [`ENTRY_BYTES`], as many as its `aux` says:
//!
//! ```text
//! 0   u64  address of the first byte, a multiple of `BLOCK_BYTES`
//! 8   u32  first byte that could be read
//! 12  u32  bytes that could be read from there on
//! 16  256 bytes of code; what could not be read is zero
//! ```
//!
//! A chunk of kind [`super::ChunkKind::Maps`] holds the lines of `/proc/self/maps` whose pages can be executed, as text; `aux`
//! has its bytes, and the chunk may be longer. There is another one when code was mapped since; the later chunk counts where both know an address.

/// Entries in the chunk.
pub const BLOCKS: usize = 768;
/// Bytes of code in an entry.
pub const BLOCK_BYTES: usize = 256;
/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 16 + BLOCK_BYTES;

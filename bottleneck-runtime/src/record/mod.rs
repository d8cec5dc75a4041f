//! Recording: from the first span of a process to its last.
//!
//! ```text
//! span::enter ──▶ Recorder (one per thread) ──▶ Node in the mapped file
//!                    │ cold: new path, switched out, first span        ▲
//!                    └──▶ Session (one per process): Arena of chunks ──┘
//!                            ▲ background thread: takes snapshots, drains rings, writes anchors
//! ```
//!
//! Recording never breaks the program: nothing here panics or returns an error to it; what is lost is counted.

pub(crate) mod arena;
pub(crate) mod background;
mod conditions;
pub(crate) mod find;
mod governor;
pub(crate) mod off_cpu;
pub(crate) mod process;
pub(crate) mod recorder;
mod sample_table;
#[cfg(target_arch = "x86_64")]
mod sampling;
#[cfg(not(target_arch = "x86_64"))]
#[path = "sampling_elsewhere.rs"]
mod sampling;
pub(crate) mod session;
mod snapshot;
mod snapshot_table;
mod standing;
mod tasks;
pub(crate) mod thread;
pub(crate) mod thread_clock;
mod watched;
